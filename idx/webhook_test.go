package idx_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/idxauth/idxauth/idx"
)

const (
	testHookID = "079345b7-7491-4619-91fa-eb881dd78ba4"
	testHash   = "Rfc2898DeriveBytes$1000$not-for-anybody"

	smallHook = `{"HookName":"login","Time":"2026-01-02T03:04:05Z","HookId":"` + testHookID + `","Data":{"Uid":"` + testUID + `"}}`
)

// hookOf is the body of a webhook with the given data.
func hookOf(name, data string) string {
	return `{"HookName":"` + name + `","Time":"2026-01-02T03:04:05Z","HookId":"` + testHookID + `","Data":` + data + `}`
}

func sign(secret idx.Secret, body string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	io.WriteString(mac, body)
	return fmt.Sprintf("%X", mac.Sum(nil))
}

// hookRequest is a webhook with the given signatures.
func hookRequest(body string, signatures ...string) *http.Request {
	r := httptest.NewRequest("POST", "https://app.example/hooks", strings.NewReader(body))
	for _, signature := range signatures {
		r.Header.Add("signature", signature)
	}
	return r
}

// parsed returns what the client makes of a body that is signed as it should be.
func parsed(t testing.TB, body string) (*idx.Webhook, error) {
	t.Helper()
	return mustNew(t, idx.Config{APISecret: testSecret}).ParseWebhook(hookRequest(body, sign(testSecret, body)))
}

// checkHookError reports an error of t unless err is of the class want and of no
// other, or if there is a webhook as well.
func checkHookError(t *testing.T, hook *idx.Webhook, err, want error) {
	t.Helper()
	all := maps.Clone(classes)
	all["signature"], all["malformed"], all["too large"] = idx.ErrWebhookSignature, idx.ErrWebhookMalformed, idx.ErrWebhookTooLarge
	for name, class := range all {
		if got := errors.Is(err, class); got != (class == want) {
			t.Errorf("error %q is of class %q: got %t", err, name, got)
		}
	}
	if hook != nil {
		t.Errorf("got webhook %v with error %v, want none", hook, err)
	}
}

func TestParseWebhook(t *testing.T) {
	body := hookOf("blockaccount", `{"Password":"`+testHash+`","LastPasswordChangeToken":"t","EmailVerified":true,"IsActive":false,
		"IsDeleted":false,"Uid":"`+testUID+`","CustomFields":null,"LoginLockedType":0,"FirstName":"Ada","Gender":null,
		"Email":[{"Type":"Primary","Value":"ada@example.test"}],"LastLoginDate":"0001-01-01T00:00:00Z"}`)
	got, err := parsed(t, body)
	if err != nil {
		t.Fatal(err)
	}
	want := &idx.Webhook{
		ID: testHookID, Event: idx.EventBlockAccount, Time: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), UID: testUID,
		Profile: &idx.Profile{UID: testUID, FirstName: "Ada", Email: "ada@example.test", Emails: []string{"ada@example.test"}, EmailVerified: true},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v with %+v, want %v with %+v", got, got.Profile, want, want.Profile)
	}
}

// The signature of this body was made with openssl dgst -sha256 -hmac.
func TestParseWebhookSignature(t *testing.T) {
	const signature = "E11C3906C91740EDB26A3A4966B2B6086B090164242D6AEF8800183218240B44"
	const other = idx.Secret("another secret of the app")
	flipped := "0" + signature[1:]
	for _, tt := range []struct {
		name    string
		request *http.Request
		want    error
	}{
		{"upper case", hookRequest(smallHook, signature), nil},
		{"lower case", hookRequest(smallHook, strings.ToLower(signature)), nil},
		{"mixed case", hookRequest(smallHook, signature[:32]+strings.ToLower(signature[32:])), nil},
		{"none", hookRequest(smallHook), idx.ErrWebhookSignature},
		{"empty", hookRequest(smallHook, ""), idx.ErrWebhookSignature},
		{"one digit off", hookRequest(smallHook, flipped), idx.ErrWebhookSignature},
		{"truncated", hookRequest(smallHook, signature[:62]), idx.ErrWebhookSignature},
		{"longer", hookRequest(smallHook, signature+"00"), idx.ErrWebhookSignature},
		{"no hex", hookRequest(smallHook, "G"+signature[1:]), idx.ErrWebhookSignature},
		{"with a prefix", hookRequest(smallHook, "sha256="+signature), idx.ErrWebhookSignature},
		{"two headers", hookRequest(smallHook, signature, signature), idx.ErrWebhookSignature},
		{"two in one header", hookRequest(smallHook, signature+","+signature), idx.ErrWebhookSignature},
		{"right and wrong", hookRequest(smallHook, signature, flipped), idx.ErrWebhookSignature},
		{"zeros", hookRequest(smallHook, strings.Repeat("0", 64)), idx.ErrWebhookSignature},
		{"with an empty key", hookRequest(smallHook, sign("", smallHook)), idx.ErrWebhookSignature},
		{"with the API key", hookRequest(smallHook, sign(testKey, smallHook)), idx.ErrWebhookSignature},
		{"with a secret that is not configured", hookRequest(smallHook, sign(other, smallHook)), idx.ErrWebhookSignature},
		{"of another body", hookRequest(smallHook+" ", signature), idx.ErrWebhookSignature},
		{"of no body", hookRequest("", signature), idx.ErrWebhookSignature},
		{"of no JSON", hookRequest("not JSON", signature), idx.ErrWebhookSignature}, // not parsed
	} {
		hook, err := mustNew(t, idx.Config{APISecret: testSecret}).ParseWebhook(tt.request)
		if tt.want != nil {
			t.Run(tt.name, func(t *testing.T) { checkHookError(t, hook, err, tt.want) })
		} else if err != nil || hook.UID != testUID {
			t.Errorf("%s: got %v, %v; want a webhook", tt.name, hook, err)
		}
	}
}

func TestParseWebhookSecrets(t *testing.T) {
	const a, b, c = idx.Secret("secret-a"), idx.Secret("secret-b"), idx.Secret("secret-c")
	for _, tt := range []struct {
		name string
		cfg  idx.Config
		want map[idx.Secret]error
	}{
		{"none", idx.Config{}, map[idx.Secret]error{a: idx.ErrNoSecret, "": idx.ErrNoSecret}},
		{"API secret", idx.Config{APISecret: a}, map[idx.Secret]error{a: nil, b: idx.ErrWebhookSignature}},
		{"others", idx.Config{APISecret: a, WebhookSecrets: []idx.Secret{b, c}}, map[idx.Secret]error{a: idx.ErrWebhookSignature, b: nil, c: nil}},
		{"no API secret", idx.Config{WebhookSecrets: []idx.Secret{b}}, map[idx.Secret]error{a: idx.ErrWebhookSignature, b: nil}},
	} {
		client := mustNew(t, tt.cfg)
		for secret, want := range tt.want {
			hook, err := client.ParseWebhook(hookRequest(smallHook, sign(secret, smallHook)))
			if !errors.Is(err, want) || (hook == nil) == (err == nil) {
				t.Errorf("%s: signed with %s: got %v, %v; want error %v", tt.name, string(secret), hook, err, want)
			}
		}
	}
	for _, secrets := range [][]idx.Secret{{""}, {a, ""}, {"two words"}, {"line\n"}} {
		if _, err := idx.New(idx.Config{AppName: "my-app", APIKey: testKey, WebhookSecrets: secrets}); err == nil || !strings.Contains(err.Error(), "WebhookSecrets") {
			t.Errorf("New with %d webhook secrets: got error %v, want one about WebhookSecrets", len(secrets), err)
		}
	}
}

func TestParseWebhookRequest(t *testing.T) {
	client := mustNew(t, idx.Config{APISecret: testSecret})
	signature := sign(testSecret, smallHook)
	// filled is a webhook of n bytes.
	filled := func(n int) string { return smallHook + strings.Repeat(" ", n-len(smallHook)) }
	const limit = 256 << 10
	for _, method := range []string{"GET", "HEAD", "PUT", "post", "OPTIONS"} {
		r := hookRequest(smallHook, signature)
		r.Method = method
		hook, err := client.ParseWebhook(r)
		checkHookError(t, hook, err, idx.ErrWebhookMalformed)
	}
	for _, tt := range []struct {
		name string
		body io.Reader
		n    int64 // Content-Length
		sign string
		want error
	}{
		{"as long as may be", strings.NewReader(filled(limit)), limit, sign(testSecret, filled(limit)), nil},
		{"as long as may be, chunked", strings.NewReader(filled(limit)), -1, sign(testSecret, filled(limit)), nil},
		{"byte by byte", iotest.OneByteReader(strings.NewReader(smallHook)), -1, signature, nil},
		{"too long", strings.NewReader(filled(limit + 1)), limit + 1, sign(testSecret, filled(limit+1)), idx.ErrWebhookTooLarge},
		{"too long, chunked", strings.NewReader(filled(limit + 1)), -1, sign(testSecret, filled(limit+1)), idx.ErrWebhookTooLarge},
		{"endless", endless{}, -1, signature, idx.ErrWebhookTooLarge},
		{"said to be too long, and not read", iotest.ErrReader(errors.New("read")), limit + 1, signature, idx.ErrWebhookTooLarge},
		{"without signature, and not read", iotest.ErrReader(errors.New("read")), -1, "", idx.ErrWebhookSignature},
		{"breaks off", io.MultiReader(strings.NewReader(smallHook), iotest.ErrReader(errors.New("hunter2"))), -1, signature, idx.ErrWebhookMalformed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := hookRequest("", tt.sign)
			r.Body, r.ContentLength = io.NopCloser(tt.body), tt.n
			hook, err := client.ParseWebhook(r)
			if tt.want != nil {
				checkHookError(t, hook, err, tt.want)
				if strings.Contains(err.Error(), "hunter2") {
					t.Errorf("error shows what the connection said: %v", err)
				}
			} else if err != nil || hook.ID != testHookID {
				t.Errorf("got %v, %v; want a webhook", hook, err)
			}
		})
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { return copy(p, "                "), nil }

func TestParseWebhookEvents(t *testing.T) {
	for name, want := range map[string]idx.Event{
		"login": idx.EventLogin, "Login": idx.EventLogin, "LOGIN": idx.EventLogin,
		"deleteaccount": idx.EventDeleteAccount, "emailVerification": idx.EventEmailVerification,
		"updatephoneid": idx.EventUpdatePhoneID, "UpdateUID": idx.EventUpdateUID, "setpin": idx.EventSetPIN,
		"UpdateCustomobject": idx.EventUpdateCustomObject, "removerolecontext": idx.EventRemoveRoleContext,
		"logout": "logout", "A new Event": "A new Event", "unblockAccount": "unblockAccount", // kept
	} {
		hook, err := parsed(t, hookOf(name, `{"Uid":"u"}`))
		if err != nil || hook.Event != want {
			t.Errorf("HookName %s: got %v, %v; want event %s", name, hook, err, want)
		}
	}
}

func TestParseWebhookTime(t *testing.T) {
	for text, want := range map[string]time.Time{
		"2026-01-02T03:04:05Z":         time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		"2023-04-04T08:53:50.186Z":     time.Date(2023, 4, 4, 8, 53, 50, 186e6, time.UTC),
		"2026-01-02T03:04:05.1234567Z": time.Date(2026, 1, 2, 3, 4, 5, 123456700, time.UTC),
		"2026-01-02T05:04:05+02:00":    time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		"2026-01-02T03:04:05":          time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
	} {
		hook, err := parsed(t, strings.Replace(smallHook, "2026-01-02T03:04:05Z", text, 1))
		if err != nil || !hook.Time.Equal(want) || hook.Time.Location() != time.UTC {
			t.Errorf("Time %s: got %v, %v; want %v", text, hook, err, want)
		}
	}
}

func TestParseWebhookData(t *testing.T) {
	const about = `"Uid":"` + testUID + `"`
	for _, tt := range []struct {
		name, event, data string
		uid               string
		profile           bool
	}{
		{"profile", "login", `{` + about + `}`, testUID, true},
		{"odd in fields nobody needs", "login", `{` + about + `,"Gender":7,"Email":"a@b.test","CustomFields":[]}`, testUID, true},
		{"profile one level deeper", "removeemail", `{"UserProfile":{` + about + `,"Password":"` + testHash + `"},"RemovedEmail":"a@b.test"}`, testUID, true},
		{"custom object", "deletecustomobject", `{"Id":"5d01","IsActive":false,"IsDeleted":true,` + about + `,"CustomObject":{}}`, testUID, false},
		{"unknown event", "novelty", `{` + about + `,"IsActive":true}`, testUID, true},
		// The event counts even where the profile does not.
		{"ambiguous profile", "blockaccount", `{` + about + `,"IsActive":false,"isactive":true}`, testUID, false},
		{"odd in fields that decide", "blockaccount", `{` + about + `,"Roles":"admin"}`, testUID, false},
		{"no account", "novelty", `{"a":1}`, "", false},
		{"account without a usable id", "novelty", `{"Uid":7}`, "", false},
		{"null", "novelty", `null`, "", false},
		{"text", "novelty", `"text"`, "", false},
		{"list", "novelty", `[{` + about + `}]`, "", false},
	} {
		hook, err := parsed(t, hookOf(tt.event, tt.data))
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if hook.UID != tt.uid || (hook.Profile != nil) != tt.profile || hook.Profile != nil && hook.Profile.UID != tt.uid {
			t.Errorf("%s: got UID %q, profile %+v; want UID %q, a profile: %t", tt.name, hook.UID, hook.Profile, tt.uid, tt.profile)
		}
	}
	if hook, err := parsed(t, `{"HookName":"login","Time":"2026-01-02T03:04:05Z","HookId":"x","Extra":1}`); err != nil || hook.UID != "" {
		t.Errorf("without Data: got %v, %v; want a webhook about nobody", hook, err)
	}
}

// Signed, and yet not to be used. No error may show anything of what was signed.
func TestParseWebhookMalformed(t *testing.T) {
	for _, body := range []string{
		``, `hunter2`, `null`, `[]`, `"hunter2"`, smallHook + `hunter2`, smallHook + smallHook, smallHook[:len(smallHook)-1], "\ufeff" + smallHook,
		"\x1f\x8b\x08hunter2", `HookName=login&Data=hunter2`,
		`{"Time":"2026-01-02T03:04:05Z","HookId":"hunter2"}`,
		`{"HookName":null,"Time":"2026-01-02T03:04:05Z","HookId":"hunter2"}`,
		`{"HookName":"hunter2\u0000","Time":"2026-01-02T03:04:05Z","HookId":"i"}`,
		`{"HookName":["hunter2"],"Time":"2026-01-02T03:04:05Z","HookId":"i"}`,
		`{"HookName":"hunter2","Time":"2026-01-02T03:04:05Z"}`,
		`{"HookName":"hunter2","Time":"2026-01-02T03:04:05Z","HookId":""}`,
		`{"HookName":"hunter2","Time":"2026-01-02T03:04:05Z","HookId":7}`,
		`{"HookName":"hunter2","Time":"2026-01-02T03:04:05Z","HookId":"` + strings.Repeat("i", 257) + `"}`,
		`{"HookName":"hunter2","HookId":"i"}`,
		`{"HookName":"hunter2","Time":"hunter2","HookId":"i"}`,
		`{"HookName":"hunter2","Time":1767323045,"HookId":"i"}`,
		`{"HookName":"hunter2","Time":"0001-01-01T00:00:00Z","HookId":"i"}`,
		`{"HookName":"login","hookname":"hunter2","Time":"2026-01-02T03:04:05Z","HookId":"i"}`,
		`{"HookName":"login","Time":"2026-01-02T03:04:05Z","HookId":"i","HookId":"hunter2"}`,
		`{"HookName":"login","Time":"2026-01-02T03:04:05Z","HookId":"i","Data":{"Uid":"hunter2"},"data":{}}`,
		hookOf("login", `{"Uid":"u","UID":"hunter2"}`),
		hookOf("login", `{"UserProfile":{"Uid":"hunter2","uid":"v"}}`),
	} {
		hook, err := parsed(t, body)
		checkHookError(t, hook, err, idx.ErrWebhookMalformed)
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("error shows the body: %v", err)
		}
	}
}

// Neither a webhook nor the client it was read with may show it in a log.
func TestWebhookIsNotPrinted(t *testing.T) {
	for name, want := range map[string]string{"blockaccount": "idx.Webhook(BlockAccount)", "hunter2": "idx.Webhook(other)"} {
		hook, err := parsed(t, hookOf(name, `{"Uid":"hunter2","FirstName":"hunter2","Password":"`+testHash+`"}`))
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(hook); got != want {
			t.Errorf("printed %s, want %s", got, want)
		}
		for _, value := range []any{hook, *hook, []any{*hook}} {
			for form, text := range forms(value) {
				if strings.Contains(text, testHash) || form != "JSON" && form != "slog JSON" && strings.Contains(text, "hunter2") {
					t.Errorf("webhook as %s shows its body: %s", form, text)
				}
			}
		}
		var b bytes.Buffer
		slog.New(slog.NewJSONHandler(&b, nil)).Info("x", "hook", hook, "value", *hook)
		if strings.Contains(b.String(), "hunter2") {
			t.Errorf("log shows the body: %s", b.String())
		}
		text, err := json.Marshal(hook)
		if err != nil || strings.Contains(string(text), testHash) {
			t.Errorf("JSON: got %s, %v; want no password", text, err)
		}
	}
}

// A flood of forged webhooks must not cost more than reading them.
func BenchmarkParseWebhook(b *testing.B) {
	client := mustNew(b, idx.Config{APISecret: testSecret})
	typical := hookOf("login", `{"Uid":"u","About":"`+strings.Repeat("x", 13<<10)+`"}`)
	largest := hookOf("login", `{"Uid":"u","About":"`+strings.Repeat("x", 255<<10)+`"}`)
	for _, bb := range []struct{ name, body, signature string }{
		{"authentic", typical, sign(testSecret, typical)},
		{"forged", typical, strings.Repeat("0", 64)},
		{"forged, largest", largest, strings.Repeat("0", 64)},
		{"unsigned", largest, ""},
	} {
		b.Run(bb.name, func(b *testing.B) {
			r := hookRequest("", bb.signature)
			r.ContentLength = int64(len(bb.body))
			for b.Loop() {
				r.Body = io.NopCloser(strings.NewReader(bb.body))
				if _, err := client.ParseWebhook(r); (err == nil) != (bb.name == "authentic") {
					b.Fatal(err)
				}
			}
		})
	}
}
