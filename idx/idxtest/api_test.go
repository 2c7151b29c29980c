package idxtest_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/idxauth/idxauth/idx/idxtest"
)

// api calls the API with key and secret in headers.
type api struct {
	*browser
	header http.Header
}

func newAPI(t *testing.T, srv *idxtest.Server) *api {
	t.Helper()
	cfg := srv.Config()
	header := http.Header{}
	header.Set("X-LoginRadius-ApiKey", cfg.APIKey)
	header.Set("X-LoginRadius-ApiSecret", string(cfg.APISecret))
	return &api{newBrowser(t, srv), header}
}

func (a *api) call(method, path, body string) answer {
	a.t.Helper()
	return a.do(method, path, "application/json", body, a.header)
}

func (a *api) get(path string) answer {
	a.t.Helper()
	return a.call("GET", path, "")
}

// wantCode checks for an error with its envelope.
func (a answer) wantCode(t *testing.T, call string, status, code int) {
	t.Helper()
	object := a.object(t)
	name := "ErrorCode"
	if strings.Contains(call, "/api/v2/") {
		name = "errorCode"
	}
	if a.status != status || object[name] != float64(code) {
		t.Errorf("%s: got status %d, body %.300s; want status %d, %s %d", call, a.status, a.body, status, name, code)
	}
}

func (a answer) wantOK(t *testing.T, call string) map[string]any {
	t.Helper()
	if a.status != http.StatusOK {
		t.Fatalf("%s: got status %d, body %.300s; want 200", call, a.status, a.body)
	}
	return a.object(t)
}

const (
	authPath   = "/identity/v2/auth/"
	managePath = "/identity/v2/manage/account"
	oldPath    = "/api/v2/access_token/"
	strangeID  = "00000000-1111-4222-8333-444444444444" // a GUID that is nobody's
)

func TestCredentials(t *testing.T) {
	srv := idxtest.NewServer(t)
	cfg := srv.Config()
	key, secret := cfg.APIKey, string(cfg.APISecret)
	token := string(srv.IssueToken(idxtest.Ada.Email))
	own, manage := authPath+"account", managePath+"/"+idxtest.Ada.UID
	old := oldPath + "validate?access_token=" + token
	for _, tt := range []struct {
		name, path   string
		header       []string // names and values
		status, code int
	}{
		{"query", own + "?apikey=" + key + "&access_token=" + token, nil, 200, 0},
		{"query apiKey", own + "?apiKey=" + key + "&access_token=" + token, nil, 200, 0},
		{"header and bearer", own, []string{"X-LoginRadius-ApiKey", key, "Authorization", "Bearer " + token}, 200, 0},
		{"raw token", own, []string{"X-LoginRadius-ApiKey", key, "Authorization", token}, 200, 0},
		{"path in capitals", "/Identity/V2/Auth/Account", []string{"X-LoginRadius-ApiKey", key, "Authorization", token}, 200, 0},
		{"secret in query", manage + "?apikey=" + key + "&apisecret=" + secret, nil, 200, 0},
		{"secret in header", manage, []string{"X-LoginRadius-ApiKey", key, "X-LoginRadius-ApiSecret", secret}, 200, 0},
		{"old API", old + "&key=" + key + "&secret=" + secret, nil, 200, 0},
		{"old API, headers", old, []string{"X-LoginRadius-ApiKey", key, "X-LoginRadius-ApiSecret", secret}, 200, 0},

		{"no key", own + "?access_token=" + token, nil, 400, 922},
		{"malformed key", own + "?apikey=x", nil, 400, 920},
		{"unknown key", own + "?apikey=" + strangeID, nil, 403, 901},
		{"no token", own + "?apikey=" + key, nil, 400, 1060},
		{"empty bearer", own, []string{"X-LoginRadius-ApiKey", key, "Authorization", "Bearer "}, 400, 1060},
		{"unknown token", own + "?apikey=" + key + "&access_token=" + strangeID, nil, 403, 905},
		{"no secret", manage + "?apikey=" + key, nil, 400, 923},
		{"malformed secret", manage + "?apikey=" + key + "&apisecret=x", nil, 400, 921},
		{"unknown secret", manage + "?apikey=" + key + "&apisecret=" + strangeID, nil, 401, 902},
		{"key before secret", manage, nil, 400, 922},
		{"old API, no secret", old + "&key=" + key, nil, 400, 923},
		{"old API, no key", old, nil, 400, 922},
	} {
		header := http.Header{}
		for i := 0; i+1 < len(tt.header); i += 2 {
			header.Set(tt.header[i], tt.header[i+1])
		}
		got := newBrowser(t, srv).do("GET", tt.path, "", "", header)
		if tt.code != 0 {
			got.wantCode(t, tt.name+": "+tt.path, tt.status, tt.code)
		} else if got.status != tt.status {
			t.Errorf("%s: %s: got status %d, body %.300s; want %d", tt.name, tt.path, got.status, got.body, tt.status)
		}
	}
}

func TestErrorEnvelope(t *testing.T) {
	srv := idxtest.NewServer(t)
	for path, want := range map[string][]string{
		authPath + "account":  {"Description", "ErrorCode", "IsProviderError", "Message", "ProviderErrorResponse"},
		oldPath + "validate?": {"description", "errorCode", "isProviderError", "message", "providerErrorResponse"},
	} {
		var keys []string
		for key := range newBrowser(t, srv).get(path).object(t) {
			keys = append(keys, key)
		}
		slices.Sort(keys)
		if !slices.Equal(keys, want) {
			t.Errorf("%s: keys: got %q, want %q", path, keys, want)
		}
	}
}

func TestErrorCodes(t *testing.T) {
	srv := serverWith(t, func(set *idxtest.Settings) { set.Verification = idxtest.VerificationRequired })
	srv.UpdateUser(idxtest.Radia.Email, func(u *idxtest.User) { u.Deleted = true })
	live := string(srv.IssueToken(idxtest.Grace.Email))
	expired := string(srv.IssueToken(idxtest.Ada.Email))
	srv.ExpireTokens()
	dead := string(srv.IssueToken(idxtest.Ada.Email))
	a := newAPI(t, srv)
	a.get(authPath+"access_token/invalidate?access_token="+dead).wantOK(t, "invalidate")
	login := func(email, password string) string { return `{"email":"` + email + `","password":"` + password + `"}` }
	for _, tt := range []struct {
		method, path, body string
		status, code       int
	}{
		{"GET", authPath + "account?access_token=" + expired, "", 403, 906},
		{"GET", authPath + "account?access_token=" + live, "", 403, 906},
		{"GET", authPath + "account?access_token=" + dead, "", 403, 905},
		{"GET", authPath + "access_token/validate?access_token=" + expired, "", 403, 906},
		{"GET", authPath + "access_token/validate?access_token=" + dead, "", 403, 905},
		{"GET", authPath + "access_token/invalidate?access_token=" + dead, "", 403, 905},
		{"GET", authPath + "email?verificationtoken=x", "", 403, 974},
		{"POST", authPath + "login", login(idxtest.Ada.Email, "wrong"), 401, 966},
		{"POST", authPath + "login", login("nobody@example.com", idxtest.Password), 401, 966},
		{"POST", authPath + "login", "no JSON", 401, 966},
		{"POST", authPath + "login", login(idxtest.Mallory.Email, idxtest.Password), 403, 991},
		{"POST", authPath + "login", login(idxtest.Kurt.Email, idxtest.Password), 403, 1198},
		{"POST", authPath + "login", login(idxtest.Alan.Email, idxtest.Password), 403, 970},
		{"POST", authPath + "register", `{"Email":[{"Type":"Primary","Value":"n@example.com"}],"Password":"sesame-open"}`, 403, 908},
		{"POST", authPath + "register?sott=x", `{"Email":[{"Type":"Primary","Value":"ada@example.com"}],"Password":"sesame-open"}`, 403, 936},
		{"POST", authPath + "register?sott=x", `{"Email":[{"Type":"Primary","Value":"n@example.com"}],"Password":"short"}`, 403, 1134},
		{"PUT", authPath + "password/reset", `{"resettoken":"x","password":"sesame-open"}`, 403, 974},
		{"GET", managePath + "/unknown", "", 403, 938},
		{"GET", managePath + "/" + idxtest.Radia.UID, "", 403, 938},
		{"GET", managePath + "?email=nobody@example.com", "", 403, 938},
		{"GET", managePath + "/unknown/role", "", 403, 938},
		{"GET", managePath + "/access_token?uid=unknown", "", 403, 938},
		{"GET", managePath + "/access_token/refresh?refresh_token=x", "", 403, 1217},
		{"GET", managePath + "/access_token/refresh/revoke?refresh_token=x", "", 403, 1217},
		{"DELETE", managePath + "/unknown/access_token/refresh/revoke", "", 403, 938},
		{"GET", oldPath + "validate?access_token=" + dead, "", 403, 905},
		{"GET", oldPath + "validate?access_token=" + expired, "", 403, 906},
		{"GET", oldPath + "invalidate?access_token=" + dead, "", 403, 905},
		{"GET", oldPath + "activeSession?accountid=unknown", "", 403, 938},
	} {
		a.call(tt.method, tt.path, tt.body).wantCode(t, tt.method+" "+tt.path+" "+tt.body, tt.status, tt.code)
	}

	srv.Set(func(set *idxtest.Settings) { set.SessionLimit = 1 })
	srv.IssueToken(idxtest.Ada.Email)
	a.call("POST", authPath+"login", login(idxtest.Ada.Email, idxtest.Password)).wantCode(t, "login beyond the limit", 403, 1338)
}

func TestUserCalls(t *testing.T) {
	srv := idxtest.NewServer(t)
	a := newAPI(t, srv)
	token := string(srv.IssueToken(idxtest.Ada.Email))
	query := "?access_token=" + token

	if got := a.get("/identity/v2/serverinfo").wantOK(t, "serverinfo"); got["CurrentTime"] == nil {
		t.Errorf("serverinfo: got %v, want CurrentTime", got)
	}
	got := a.get(authPath+"access_token"+query).wantOK(t, "token info")
	if got["provider"] != "Email" || got["access_token"] != token || got["isrememberme"] != false {
		t.Errorf("token info: got %v, want Email, %s, false", got, token)
	}
	got = a.call("PUT", authPath+"account"+query, `{"FirstName":"Augusta"}`).wantOK(t, "update")
	if data, _ := got["Data"].(map[string]any); got["IsPosted"] != true || data["FirstName"] != "Augusta" || data["LastName"] != "Lovelace" {
		t.Errorf("update: got %v, want Augusta Lovelace", got)
	}
	for email, want := range map[string]bool{"ADA@example.com": true, "nobody@example.com": false} {
		if got := a.get(authPath+"email?email="+email).wantOK(t, "email"); got["IsExist"] != want {
			t.Errorf("email %s: got %v, want IsExist %t", email, got, want)
		}
	}
	got = a.call("POST", authPath+"login", `{"email":"grace@example.com","password":"`+idxtest.Password+`"}`).wantOK(t, "login")
	if profile, _ := got["Profile"].(map[string]any); profile["Uid"] != idxtest.Grace.UID || got["access_token"] == nil || got["refresh_token"] == nil {
		t.Errorf("login: got %v, want tokens and Grace", got)
	}
	// A token in the body of a call that has one.
	if got := a.call("PUT", authPath+"account", `{"access_token":"`+token+`"}`); got.status != 200 {
		t.Errorf("token in body: got status %d, body %.300s; want 200", got.status, got.body)
	}
}

func TestAPIRegisterVerifyReset(t *testing.T) {
	for policy, wantData := range map[idxtest.Verification]bool{
		idxtest.VerificationNone: true, idxtest.VerificationOptional: true, idxtest.VerificationRequired: false,
	} {
		srv := serverWith(t, func(set *idxtest.Settings) { set.Verification = policy })
		a := newAPI(t, srv)
		a.header.Set("X-LoginRadius-Sott", "anything")
		got := a.call("POST", authPath+"register", `{"Email":[{"Type":"Primary","Value":"n@example.com"}],"Password":"sesame-open"}`).wantOK(t, "register")
		data, _ := got["Data"].(map[string]any)
		if hasToken := data["access_token"] != nil; got["IsPosted"] != true || hasToken != wantData {
			t.Errorf("%s: register: got %v, want a token: %t", policy, got, wantData)
		}
		if policy == idxtest.VerificationNone {
			continue
		}
		_, vtoken, _ := strings.Cut(lastLink(t, srv, "n@example.com"), "vtoken=")
		got = a.get(authPath+"email?verificationtoken="+vtoken).wantOK(t, "verify")
		if data, _ := got["Data"].(map[string]any); data["access_token"] == nil || !srv.User("n@example.com").EmailVerified {
			t.Errorf("%s: verify: got %v, want a token and a verified address", policy, got)
		}

		a.call("POST", authPath+"password", `{"email":"n@example.com"}`).wantOK(t, "forgot")
		_, vtoken, _ = strings.Cut(lastLink(t, srv, "n@example.com"), "vtoken=")
		a.call("PUT", authPath+"password/reset", `{"resettoken":"`+vtoken+`","password":"second-sesame"}`).wantOK(t, "reset")
		a.call("POST", authPath+"login", `{"email":"n@example.com","password":"second-sesame"}`).wantOK(t, "login")
	}
}

func TestProfile(t *testing.T) {
	srv := idxtest.NewServer(t)
	a := newAPI(t, srv)
	got := a.get(authPath+"account?access_token="+string(srv.IssueToken(idxtest.Ada.Email))).wantOK(t, "profile")
	if len(got) < 140 {
		t.Errorf("got %d keys, want about 150", len(got))
	}
	for key, want := range map[string]any{
		"Uid": idxtest.Ada.UID, "Provider": "Email", "FirstName": "Ada", "LastName": "Lovelace", "FullName": "Ada Lovelace",
		"EmailVerified": true, "IsActive": true, "IsDeleted": false, "IsLoginLocked": false, "Company": "Analytical Engines",
		"NoOfLogins": 1.0,
	} {
		if got[key] != want {
			t.Errorf("%s: got %v, want %v", key, got[key], want)
		}
	}
	for _, key := range []string{"Gender", "Country", "Addresses", "Identities", "UserName", "PIN", "Password", "PreviousUids", "PhoneId"} {
		if value, ok := got[key]; !ok || value != nil {
			t.Errorf("%s: got %v (there: %t), want null", key, value, ok)
		}
	}
	if id, uid := got["ID"], got["Uid"]; id == uid || id == nil {
		t.Errorf("ID: got %v, want one other than Uid %v", id, uid)
	}
	email, _ := got["Email"].([]any)
	if len(email) != 1 || email[0].(map[string]any)["Value"] != idxtest.Ada.Email || email[0].(map[string]any)["Type"] != "Primary" {
		t.Errorf("Email: got %v, want Ada's, primary", got["Email"])
	}

	// A social account without an address, and one that has roles.
	u := srv.AddUser(idxtest.User{Provider: "Google"})
	got = a.get(authPath+"account?access_token="+string(srv.IssueToken(u.UID))).wantOK(t, "profile")
	for key, want := range map[string]any{"Email": nil, "Roles": nil, "CustomFields": nil, "FirstName": nil, "Provider": "Google"} {
		if got[key] != want {
			t.Errorf("social account: %s: got %v, want %v", key, got[key], want)
		}
	}
}

func TestDateDigits(t *testing.T) {
	srv := idxtest.NewServer(t)
	a := newAPI(t, srv)
	seen := map[int]bool{}
	for range 24 {
		profile := a.get(authPath+"account?access_token="+string(srv.IssueToken(idxtest.Ada.Email))).wantOK(t, "profile")
		for _, key := range []string{"CreatedDate", "SignupDate", "ModifiedDate", "LastLoginDate"} {
			text, _ := profile[key].(string)
			if at, err := time.Parse(time.RFC3339Nano, text); err != nil || time.Since(at).Abs() > time.Hour {
				t.Fatalf("%s: got %q, want a recent date: %v", key, text, err)
			}
			_, fraction, _ := strings.Cut(strings.TrimSuffix(text, "Z"), ".")
			seen[len(fraction)] = true
		}
	}
	for digits := range 8 {
		if !seen[digits] {
			t.Errorf("no date with %d digits, want 0 to 7", digits)
		}
	}
	if len(seen) != 8 {
		t.Errorf("numbers of digits: got %v, want 0 to 7", seen)
	}
}

func TestFields(t *testing.T) {
	srv := idxtest.NewServer(t)
	a := newAPI(t, srv)
	token := string(srv.IssueToken(idxtest.Ada.Email))
	for _, tt := range []struct {
		fields string
		want   []string // nil: everything
	}{
		{"Uid", []string{"Uid"}},
		{"Uid,Email,Roles", []string{"Email", "Roles", "Uid"}},
		{"Uid,NoSuchKey", []string{"Uid"}},
		{"Uid,CustomFields/plan", []string{"CustomFields", "Uid"}},
		{"Email(Type,Value),Uid", []string{"Email", "Uid"}},
		{"*", nil},
		{"", nil},
	} {
		for _, path := range []string{authPath + "account?access_token=" + token + "&", managePath + "/" + idxtest.Ada.UID + "?"} {
			object := a.get(path+"fields="+tt.fields).wantOK(t, path)
			var keys []string
			for key := range object {
				keys = append(keys, key)
			}
			slices.Sort(keys)
			if tt.want == nil && len(keys) < 140 || tt.want != nil && !slices.Equal(keys, tt.want) {
				t.Errorf("%sfields=%s: got keys %q, want %q", path, tt.fields, keys, tt.want)
			}
		}
	}
}

func TestBlockedAndDeletedProfile(t *testing.T) {
	for _, tt := range []struct {
		how  idxtest.BlockedProfile
		code int // 0: a profile with IsActive false
	}{
		{idxtest.BlockedCode991, 991},
		{idxtest.BlockedCode938, 938},
		{idxtest.BlockedInactive, 0},
	} {
		srv := serverWith(t, func(set *idxtest.Settings) { set.BlockedProfile = tt.how })
		got := newAPI(t, srv).get(authPath + "account?access_token=" + string(srv.IssueToken(idxtest.Mallory.Email)))
		if tt.code != 0 {
			got.wantCode(t, string(tt.how), 403, tt.code)
		} else if profile := got.wantOK(t, string(tt.how)); profile["IsActive"] != false {
			t.Errorf("%s: IsActive: got %v, want false", tt.how, profile["IsActive"])
		}
	}
}

func TestManagement(t *testing.T) {
	srv := idxtest.NewServer(t)
	a := newAPI(t, srv)
	for _, path := range []string{managePath + "/" + strings.ToUpper(idxtest.Ada.UID), managePath + "?email=ADA@example.com"} {
		got := a.get(path).wantOK(t, path)
		if got["Uid"] != idxtest.Ada.UID || got["Password"] == nil {
			t.Errorf("%s: got Uid %v, Password %v; want Ada and a hash", path, got["Uid"], got["Password"])
		}
		if hash, _ := got["Password"].(string); strings.Contains(hash, idxtest.Password) {
			t.Errorf("%s: Password %q holds the password itself", path, hash)
		}
	}
	if got := a.get(managePath+"/"+idxtest.Mallory.UID).wantOK(t, "blocked"); got["IsActive"] != false {
		t.Errorf("blocked account: IsActive: got %v, want false", got["IsActive"])
	}
	if roles, _ := a.get(managePath+"/"+idxtest.Ada.UID+"/role").wantOK(t, "role")["Roles"].([]any); len(roles) != 1 || roles[0] != "admin" {
		t.Errorf("roles: got %v, want admin", roles)
	}

	issued := a.get(managePath+"/access_token?uid="+idxtest.Ada.UID).wantOK(t, "impersonate")
	token, _ := issued["access_token"].(string)
	if got := a.get(oldPath+"Validate?access_token="+token).wantOK(t, "validate"); got["access_token"] != token {
		t.Errorf("validate: got %v, want %s", got, token)
	}
	for _, query := range []string{"accountid=" + idxtest.Ada.UID, "token=" + token} {
		got := a.get(oldPath+"activeSession?"+query).wantOK(t, "active sessions")
		data, _ := got["data"].([]any)
		if len(data) != 1 || data[0].(map[string]any)["AccessToken"] != token {
			t.Errorf("active sessions by %s: got %v, want %s", query, got, token)
		}
	}
	a.get(oldPath+"invalidate?access_token="+token).wantOK(t, "invalidate")
	got := a.get(oldPath+"activeSession?accountid="+idxtest.Ada.UID).wantOK(t, "active sessions")
	if data, ok := got["data"].([]any); !ok || len(data) != 0 {
		t.Errorf("active sessions after the end: got %v, want an empty list", got)
	}
}

func TestTokenFormats(t *testing.T) {
	srv := idxtest.NewServer(t)
	if token := string(srv.IssueToken(idxtest.Ada.Email)); len(token) != 36 {
		t.Errorf("GUID: got %q, want 36 characters", token)
	}
	srv.Set(func(set *idxtest.Settings) { set.TokenFormat = idxtest.TokenJWE })
	token := string(srv.IssueToken(idxtest.Ada.Email))
	if parts := strings.Split(token, "."); len(parts) != 5 || parts[1] != "" || len(token) <= 700 {
		t.Errorf("JWE: got %q (%d characters), want 5 segments, the second empty, and more than 700", token, len(token))
	}
	newAPI(t, srv).get(authPath+"account?access_token="+token).wantOK(t, "profile by JWE")
	b := newBrowser(t, srv)
	b.login(page("login"), idxtest.Ada.Email).wantRedirect(t, callback+"&token="+b.session())
	if len(b.session()) <= 700 {
		t.Errorf("login: got %q, want a JWE", b.session())
	}
}

func TestExpiry(t *testing.T) {
	for _, tt := range []struct {
		sliding bool
		status  int // 20 minutes after the login, with a call after 10
	}{{false, 403}, {true, 200}} {
		srv := serverWith(t, func(set *idxtest.Settings) { set.Sliding = tt.sliding })
		a := newAPI(t, srv)
		path := authPath + "access_token/validate?access_token=" + string(srv.IssueToken(idxtest.Ada.Email))
		expiry := func() time.Time {
			t.Helper()
			text, _ := a.get(path).wantOK(t, path)["expires_in"].(string)
			at, err := time.Parse(time.RFC3339Nano, text)
			if err != nil {
				t.Fatalf("expires_in: %v", err)
			}
			return at
		}
		first := expiry()
		if left := time.Until(first); left < 14*time.Minute || left > 15*time.Minute {
			t.Errorf("expires_in: got %v from now, want 15 minutes", left)
		}
		srv.Advance(10 * time.Minute)
		if moved := expiry().Sub(first) > 9*time.Minute; moved != tt.sliding {
			t.Errorf("sliding %t: expiry moved: got %t", tt.sliding, moved)
		}
		srv.Advance(10 * time.Minute)
		if got := a.get(path); got.status != tt.status {
			t.Errorf("sliding %t: after 20 minutes: got status %d, want %d", tt.sliding, got.status, tt.status)
		}
	}
}

func TestRefresh(t *testing.T) {
	srv := idxtest.NewServer(t)
	a := newAPI(t, srv)
	refreshOf := func() (token, refresh string) {
		t.Helper()
		token = string(srv.IssueToken(idxtest.Ada.Email))
		refresh, _ = a.get(authPath+"access_token/validate?access_token="+token).wantOK(t, "validate")["refresh_token"].(string)
		if refresh == "" {
			t.Fatal("validate: no refresh token")
		}
		return token, refresh
	}
	exchange := managePath + "/access_token/refresh?refresh_token="

	token, refresh := refreshOf()
	got := a.get(exchange+refresh).wantOK(t, "refresh")
	if got["access_token"] == token || got["refresh_token"] == refresh || got["refresh_token"] == nil {
		t.Errorf("refresh: got %v, want a new pair", got)
	}
	a.get(exchange+refresh).wantCode(t, "refresh twice", 403, 1217)

	token, refresh = refreshOf()
	a.get(managePath+"/access_token/refresh/revoke?refresh_token="+refresh).wantOK(t, "revoke")
	a.get(exchange+refresh).wantCode(t, "refresh after revoke", 403, 1217)
	a.get(authPath+"account?access_token="+token).wantOK(t, "access token after revoke")

	_, first := refreshOf()
	_, second := refreshOf()
	a.call("DELETE", managePath+"/"+idxtest.Ada.UID+"/access_token/refresh/revoke", "").wantOK(t, "revoke all")
	for _, refresh := range []string{first, second} {
		a.get(exchange+refresh).wantCode(t, "refresh after revoking all", 403, 1217)
	}

	for prevent, want := range map[string]int{"true": 403, "false": 200} {
		token, refresh := refreshOf()
		a.get(authPath+"access_token/invalidate?access_token="+token+"&preventRefresh="+prevent).wantOK(t, "invalidate")
		if got := a.get(exchange + refresh); got.status != want {
			t.Errorf("refresh after preventRefresh=%s: got status %d, want %d", prevent, got.status, want)
		}
	}

	_, refresh = refreshOf()
	srv.ExpireTokens()
	a.get(exchange+refresh).wantOK(t, "refresh of an expired token")
	_, refresh = refreshOf()
	srv.Advance(60 * 24 * time.Hour)
	a.get(exchange+refresh).wantCode(t, "refresh after 60 days", 403, 1217)

	srv.Set(func(set *idxtest.Settings) { set.RefreshToken = false })
	if got := a.get(authPath+"access_token/validate?access_token="+string(srv.IssueToken(idxtest.Ada.Email))).wantOK(t, "validate"); got["refresh_token"] != nil {
		t.Errorf("validate: refresh_token: got %v, want null", got["refresh_token"])
	}
}

func TestCreateAndDeleteAccount(t *testing.T) {
	srv := idxtest.NewServer(t)
	a := newAPI(t, srv)
	const body = `{"Email":[{"Type":"Primary","Value":"n@example.com"}],"Password":"sesame-open","FirstName":"New"}`
	created := a.call("POST", managePath, body).wantOK(t, "create")
	uid, _ := created["Uid"].(string)
	if created["FirstName"] != "New" || len(uid) != 32 {
		t.Fatalf("create: got Uid %q, FirstName %v; want 32 digits, New", uid, created["FirstName"])
	}
	a.call("POST", managePath, body).wantCode(t, "create twice", 403, 936)
	a.call("POST", managePath, `{}`).wantCode(t, "create without address", 403, 1134)
	if got := a.call("DELETE", managePath+"/"+uid, "").wantOK(t, "delete"); got["IsDeleted"] != true {
		t.Errorf("delete: got %v, want IsDeleted", got)
	}
	a.get(managePath+"/"+uid).wantCode(t, "profile after delete", 403, 938)
	a.call("DELETE", managePath+"/"+uid, "").wantCode(t, "delete twice", 403, 938)
}

func TestRefreshByBearer(t *testing.T) {
	srv := idxtest.NewServer(t)
	a := newAPI(t, srv)
	issued := a.get(managePath+"/access_token?uid="+idxtest.Ada.UID).wantOK(t, "impersonate")
	refresh, _ := issued["refresh_token"].(string)
	a.header.Set("Authorization", "Bearer "+refresh)
	const path = authPath + "access_token/refresh"
	if got := a.get(path).wantOK(t, path); got["access_token"] == nil || got["access_token"] == issued["access_token"] {
		t.Errorf("%s: got %v, want a new token", path, got)
	}
	a.get(path).wantCode(t, path+" twice", 403, 1217)
}
