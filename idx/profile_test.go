package idx_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/idxauth/idxauth/idx"
)

const fullProfile = `{
 "Uid":"0123456789abcdef0123456789abcdef","ID":"fedcba9876543210fedcba9876543210","Provider":"Email",
 "FirstName":"Ada","MiddleName":"King","LastName":"Lovelace","FullName":"Ada Lovelace","NickName":"al","UserName":"ada",
 "Email":[{"Type":"Work","Value":"ada@work.test"},{"Type":"Primary","Value":"ada@example.test"}],
 "UnverifiedEmail":[{"Type":"Primary","Value":"evil@example.test"}],"EmailVerified":true,
 "PhoneId":"+4712345678","PhoneIdVerified":true,"Gender":"F","BirthDate":"12-10-1815","Company":"Engines","Website":"https://ada.test",
 "City":"London","State":"Greater London","Country":{"Code":"GB","Name":"United Kingdom"},"TimeZone":"0","Language":"en",
 "ImageUrl":"https://ada.test/me.png","Roles":["editor","admin"],"CustomFields":{"plan":"pro","seats":3,"beta":true,"x":null,"y":{}},
 "IsActive":true,"IsDeleted":false,"IsLoginLocked":true,"FirstLogin":true,"NoOfLogins":3,"PreviousUids":["old1","old2"],
 "CreatedDate":"2026-01-02T03:04:05.282Z","ModifiedDate":"2026-02-02T03:04:05.1234567Z",
 "LastLoginDate":"2026-02-02T03:04:05","LastPasswordChangeDate":"2026-02-02T05:04:05.5+02:00","Unknown":{"a":[1]}}`

func TestProfile(t *testing.T) {
	got, err := decoded(t, fullProfile)
	if err != nil {
		t.Fatal(err)
	}
	date := func(s string) time.Time {
		d, err := time.Parse(time.RFC3339Nano, s)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	want := &idx.Profile{
		UID: testUID, ID: "fedcba9876543210fedcba9876543210", Provider: "Email",
		FirstName: "Ada", MiddleName: "King", LastName: "Lovelace", FullName: "Ada Lovelace", NickName: "al", UserName: "ada",
		Email: "ada@example.test", Emails: []string{"ada@work.test", "ada@example.test"}, EmailVerified: true,
		PhoneID: "+4712345678", PhoneVerified: true, Gender: "F", BirthDate: "12-10-1815", Company: "Engines", Website: "https://ada.test",
		City: "London", State: "Greater London", Country: "United Kingdom", TimeZone: "0", Language: "en", ImageURL: "https://ada.test/me.png",
		Roles: []string{"editor", "admin"}, CustomFields: map[string]string{"plan": "pro", "seats": "3", "beta": "true"},
		IsActive: true, IsLoginLocked: true, FirstLogin: true, NoOfLogins: 3, PreviousUIDs: []string{"old1", "old2"},
		CreatedAt: date("2026-01-02T03:04:05.282Z"), ModifiedAt: date("2026-02-02T03:04:05.1234567Z"),
		LastLoginAt: date("2026-02-02T03:04:05Z"), PasswordChangedAt: date("2026-02-02T03:04:05.5Z"),
		Raw: json.RawMessage(fullProfile),
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("profile is\n %+v, want\n %+v", got, want)
	}
}

// A profile of nothing but null is what most users have in most fields.
func TestProfileOfNulls(t *testing.T) {
	var b strings.Builder
	b.WriteString(`{"Uid":"u"`)
	for _, field := range idx.DefaultFields[1:] {
		b.WriteString(`,"` + field + `":null`)
	}
	b.WriteString("}")
	for _, body := range []string{b.String(), `{"Uid":"u"}`} {
		got, err := decoded(t, body)
		if err != nil {
			t.Fatal(err)
		}
		want := &idx.Profile{UID: "u", IsActive: true, Raw: json.RawMessage(body)}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("profile of %s is\n %+v, want\n %+v", body, got, want)
		}
	}
}

// What nobody needs may be of any type.
func TestProfileLenient(t *testing.T) {
	deciding := map[string]bool{"Uid": true, "IsActive": true, "IsDeleted": true, "EmailVerified": true, "Roles": true}
	for _, value := range []string{`null`, `0`, `-1.5e300`, `"text"`, `""`, `true`, `[]`, `{}`, `[[]]`, `[{}]`, `[null]`, `{"Value":{"a":1}}`, `"\ud800"`} {
		for _, field := range idx.DefaultFields {
			if deciding[field] {
				continue
			}
			body := `{"Uid":"u","` + field + `":` + value + `}`
			if _, err := decoded(t, body); err != nil {
				t.Errorf("profile %s: %v", body, err)
			}
		}
	}
}

func TestProfileUID(t *testing.T) {
	for _, value := range []string{`"u"`, `"my uid: ü"`, `"a/b"`, `"` + strings.Repeat("a", 256) + `"`} {
		if _, err := decoded(t, `{"Uid":`+value+`}`); err != nil {
			t.Errorf("Uid %s: %v", value, err)
		}
	}
	for _, body := range []string{
		`{}`, `{"ID":"x"}`, `{"Uid":null}`, `{"Uid":""}`, `{"Uid":1}`, `{"Uid":true}`, `{"Uid":["u"]}`, `{"Uid":{"a":"u"}}`,
		`{"Uid":"a\u0000"}`, `{"Uid":"a\n"}`, `{"Uid":"a\u007f"}`, `{"Uid":"a\u0085"}`, `{"Uid":"` + strings.Repeat("a", 257) + `"}`,
		"{\"Uid\":\"a\xff\"}", `{"Uid":"a\ud800"}`, // both decode to a replacement character
		`{"Uid":"u","Uid":"u"}`, `{"Uid":"u","UID":"admin"}`, `{"Uid":"u","uid":null}`, `{"Uid":"u","\u0055id":"v"}`,
	} {
		profile, err := decoded(t, body)
		if profile != nil {
			t.Errorf("profile of %s has UID %q", body, profile.UID)
		}
		checkClass(t, err, idx.ErrUnavailable)
	}
}

func TestProfileFlags(t *testing.T) {
	flags := map[string]struct {
		of     func(*idx.Profile) bool
		absent bool
	}{
		"IsActive":      {func(p *idx.Profile) bool { return p.IsActive }, true},
		"IsDeleted":     {func(p *idx.Profile) bool { return p.IsDeleted }, false},
		"EmailVerified": {func(p *idx.Profile) bool { return p.EmailVerified }, false},
	}
	values := map[string]bool{
		`true`: true, `"true"`: true, `"True"`: true, `1`: true, `"1"`: true,
		`false`: false, `"false"`: false, `"False"`: false, `0`: false, `"0"`: false,
	}
	for name, flag := range flags {
		values[`null`] = flag.absent
		for value, want := range values {
			profile, err := decoded(t, `{"Uid":"u","`+name+`":`+value+`}`)
			if err != nil || flag.of(profile) != want {
				t.Errorf("%s %s: %+v, %v, want %t", name, value, profile, err, want)
			}
		}
		for _, value := range []string{`""`, `"yes"`, `2`, `1.0`, `-1`, `[]`, `{}`, `[true]`, `"fal\u017fe"`, `" true"`} {
			_, err := decoded(t, `{"Uid":"u","`+name+`":`+value+`}`)
			t.Logf("%s %s", name, value)
			checkClass(t, err, idx.ErrUnavailable)
		}
	}
}

func TestProfileRoles(t *testing.T) {
	for body, want := range map[string][]string{
		`null`:             nil,
		`[]`:               nil,
		`["a","b"]`:        {"a", "b"},
		`[null,"a",""]`:    {"a"},
		`["<b>","\u0000"]`: {"<b>", "\x00"},
	} {
		profile, err := decoded(t, `{"Uid":"u","Roles":`+body+`}`)
		if err != nil || !reflect.DeepEqual(profile.Roles, want) {
			t.Errorf("Roles %s = %+v, %v, want %q", body, profile, err, want)
		}
	}
	for _, body := range []string{`"admin"`, `{}`, `1`, `true`, `[1]`, `["a",{}]`, `[["a"]]`} {
		_, err := decoded(t, `{"Uid":"u","Roles":`+body+`}`)
		t.Log(body)
		checkClass(t, err, idx.ErrUnavailable)
	}
}

// encoding/json would take the last of two keys that are equal under folding.
func TestProfileAmbiguousKeys(t *testing.T) {
	for _, body := range []string{
		`{"Uid":"u","IsActive":false,"I\u017fActive":true}`,
		`{"Uid":"u","IsActive":false,"isactive":true}`,
		`{"Uid":"u","IsActive":true,"IsActive":true}`,
		`{"Uid":"u","IsDeleted":true,"ISDELETED":false}`,
		`{"Uid":"u","EmailVerified":false,"emailVerified":true}`,
		`{"Uid":"u","Roles":[],"Role\u017f":["admin"]}`,
		`{"Uid":"u","Email":[],"EMAIL":["a@b.test"]}`,
		`{"Uid":"u","Email":[{"Value":"a@b.test","value":"c@d.test"}]}`,
		`{"Uid":"u","Email":[{"Type":"Primary","type":"x","Value":"c@d.test"}]}`,
		`{"Uid":"u","FirstName":"a","firstname":"b"}`,
	} {
		_, err := decoded(t, body)
		t.Log(body)
		checkClass(t, err, idx.ErrUnavailable)
	}
	for _, body := range []string{
		`{"uid":"u","isactive":true}`, // one spelling is no ambiguity
		`{"Uid":"u","Other":1,"other":2}`,
		`{"Uid":"u","x":{"Uid":"v","uid":"w"}}`,
	} {
		if profile, err := decoded(t, body); err != nil || profile.UID != "u" {
			t.Errorf("profile of %s = %+v, %v", body, profile, err)
		}
	}
}

func TestProfileEmail(t *testing.T) {
	tests := []struct {
		name, value string
		email       string
		all         []string
	}{
		{"primary", `[{"Type":"Work","Value":"w@x.test"},{"Type":"Primary","Value":"p@x.test"}]`, "p@x.test", []string{"w@x.test", "p@x.test"}},
		{"two primaries", `[{"Type":"Primary","Value":"p@x.test"},{"Type":"primary","Value":"q@x.test"}]`, "p@x.test", []string{"p@x.test", "q@x.test"}},
		{"no primary", `[{"Type":"Work","Value":"w@x.test"},{"Type":null,"Value":"v@x.test"}]`, "w@x.test", []string{"w@x.test", "v@x.test"}},
		{"strings", `["a@x.test","b@x.test"]`, "a@x.test", []string{"a@x.test", "b@x.test"}},
		{"string", `"a@x.test"`, "a@x.test", []string{"a@x.test"}},
		{"object", `{"Type":"Primary","Value":"a@x.test"}`, "a@x.test", []string{"a@x.test"}},
		{"nulls", `[null,{"Type":"Primary","Value":null},{"Type":"Work","Value":"w@x.test"}]`, "w@x.test", []string{"w@x.test"}},
		{"empty", `[]`, "", nil},
		{"null", `null`, "", nil},
		{"number", `7`, "", nil},
		{"unreadable primary", `[{"Type":"Primary","Value":{}},{"Type":"Work","Value":"w@x.test"}]`, "", nil},
		{"unreadable other", `[{"Type":"Primary","Value":"p@x.test"},7]`, "", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			profile, err := decoded(t, `{"Uid":"u","UnverifiedEmail":[{"Type":"Primary","Value":"evil@x.test"}],"Email":`+tt.value+`}`)
			if err != nil || profile.Email != tt.email || !reflect.DeepEqual(profile.Emails, tt.all) {
				t.Errorf("Email %s: %+v, %v, want %q of %q", tt.value, profile, err, tt.email, tt.all)
			}
		})
	}
}

func TestProfileOddForms(t *testing.T) {
	tests := []struct {
		member string
		got    func(*idx.Profile) any
		want   any
	}{
		{`"Country":"Norway"`, func(p *idx.Profile) any { return p.Country }, "Norway"},
		{`"Country":{"Code":"NO","Name":null}`, func(p *idx.Profile) any { return p.Country }, "NO"},
		{`"Country":{"Code":"NO","Name":"Norway"}`, func(p *idx.Profile) any { return p.Country }, "Norway"},
		{`"Country":{}`, func(p *idx.Profile) any { return p.Country }, ""},
		{`"phoneId":4712345678`, func(p *idx.Profile) any { return p.PhoneID }, "4712345678"},
		{`"NoOfLogins":"12"`, func(p *idx.Profile) any { return p.NoOfLogins }, 12},
		{`"NoOfLogins":1e3`, func(p *idx.Profile) any { return p.NoOfLogins }, 0},
		{`"PreviousUids":"old"`, func(p *idx.Profile) any { return p.PreviousUIDs }, []string{"old"}},
		{`"PreviousUids":[{"Uid":"old"},"older",{"x":1},7,""]`, func(p *idx.Profile) any { return p.PreviousUIDs }, []string{"old", "older"}},
		{`"CustomFields":[]`, func(p *idx.Profile) any { return p.CustomFields }, map[string]string(nil)},
		{`"CustomFields":{"a":"","b":1.50,"c":false}`, func(p *idx.Profile) any { return p.CustomFields }, map[string]string{"a": "", "b": "1.50", "c": "false"}},
		{`"CreatedDate":"0001-01-01T00:00:00"`, func(p *idx.Profile) any { return p.CreatedAt.IsZero() }, true},
		{`"CreatedDate":"yesterday"`, func(p *idx.Profile) any { return p.CreatedAt.IsZero() }, true},
	}
	for digits := range 8 {
		fraction := "0000000"[:digits]
		if digits > 0 {
			fraction = "." + fraction
		}
		for _, zone := range []string{"", "Z", "+00:00"} {
			tests = append(tests, struct {
				member string
				got    func(*idx.Profile) any
				want   any
			}{
				`"CreatedDate":"2026-01-02T03:04:05` + fraction + zone + `"`,
				func(p *idx.Profile) any { return p.CreatedAt },
				time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
			})
		}
	}
	for _, tt := range tests {
		profile, err := decoded(t, `{"Uid":"u",`+tt.member+`}`)
		if err != nil {
			t.Errorf("%s: %v", tt.member, err)
			continue
		}
		if got := tt.got(profile); !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s: got %#v, want %#v", tt.member, got, tt.want)
		}
	}
}

func TestBlockedAndDeletedProfilesAreReturned(t *testing.T) {
	client := serve(t, answer(200, `{"Uid":"u","IsActive":false,"IsDeleted":true}`))
	profile, err := client.Profile(t.Context(), testToken)
	if err != nil || profile.IsActive || !profile.IsDeleted {
		t.Errorf("Profile = %+v, %v", profile, err)
	}
	profile, err = client.Account(t.Context(), "u")
	if err != nil || profile.IsActive || !profile.IsDeleted {
		t.Errorf("Account = %+v, %v", profile, err)
	}
}

func TestRawHasNoPassword(t *testing.T) {
	const body = `{"Uid":"u", "Password" : "hash1","password":"hash2","Pa\u017fsword":"hash3","LastPasswordChangeToken":"hash4","LastPasswordChangeDate":null,"<":[1, 2]}`
	client := serve(t, answer(200, body))
	for name, call := range map[string]func() (*idx.Profile, error){
		"Account": func() (*idx.Profile, error) { return client.Account(t.Context(), "u") },
		"Profile": func() (*idx.Profile, error) { return client.Profile(t.Context(), testToken) },
	} {
		profile, err := call()
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var got map[string]any
		if err := json.Unmarshal(profile.Raw, &got); err != nil {
			t.Errorf("%s: Raw is %s: %v", name, profile.Raw, err)
		}
		want := map[string]any{"Uid": "u", "LastPasswordChangeDate": nil, "<": []any{1.0, 2.0}}
		if !reflect.DeepEqual(got, want) || strings.Contains(string(profile.Raw), "hash") {
			t.Errorf("%s: Raw is %s", name, profile.Raw)
		}
	}
	profile, err := decoded(t, `{"Password":"hash","Uid":"u"}`)
	if err != nil || string(profile.Raw) != `{"Uid":"u"}` {
		t.Errorf("Raw is %s, %v", profile.Raw, err)
	}
}
