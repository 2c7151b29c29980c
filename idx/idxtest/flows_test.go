package idxtest_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/idxauth/idxauth/idx/idxtest"
)

const callback = "https://a/cb?state=abc"

// page is the hosted page for an action, on the way to callback.
func page(action string) string {
	return "/auth.aspx?action=" + action + "&" + encoded(callback)
}

// serverWith is a headless server with changed settings.
func serverWith(t *testing.T, change func(*idxtest.Settings)) *idxtest.Server {
	t.Helper()
	srv := idxtest.NewServer(t)
	srv.Set(change)
	return srv
}

func TestLogin(t *testing.T) {
	srv := serverWith(t, func(set *idxtest.Settings) { set.Verification = idxtest.VerificationRequired })
	for _, tt := range []struct{ name, email, password, wantError string }{
		{"right", idxtest.Ada.Email, idxtest.Password, ""},
		{"capitals and spaces", " ADA@Example.com ", idxtest.Password, ""},
		{"wrong password", idxtest.Ada.Email, "wrong-password", "wrong"},
		{"no password", idxtest.Ada.Email, "", "wrong"},
		{"nobody", "nobody@example.com", idxtest.Password, "wrong"},
		{"blocked", idxtest.Mallory.Email, idxtest.Password, "blocked"},
		{"blocked, wrong password", idxtest.Mallory.Email, "wrong-password", "wrong"},
		{"locked", idxtest.Kurt.Email, idxtest.Password, "locked"},
		{"not verified", idxtest.Alan.Email, idxtest.Password, "verify"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBrowser(t, srv)
			got := b.post(page("login"), "email", tt.email, "password", tt.password)
			if tt.wantError != "" {
				got.wantForm(t, tt.wantError)
				if token := b.session(); token != "" {
					t.Errorf("%s: got session %q, want none", tt.email, token)
				}
				return
			}
			got.wantRedirect(t, callback+"&token="+b.session())
		})
	}
}

func TestOneClick(t *testing.T) {
	srv := idxtest.NewServer(t)
	for _, tt := range []struct{ email, wantError string }{
		{idxtest.Radia.Email, ""},
		{idxtest.Alan.Email, ""}, // unverified is no obstacle while verification is optional
		{idxtest.Mallory.Email, "blocked"},
		{idxtest.Kurt.Email, "locked"},
	} {
		b := newBrowser(t, srv)
		if form := b.get(page("login")); !strings.Contains(form.body, `value="`+tt.email+`"`) {
			t.Errorf("login page does not offer %s", tt.email)
		}
		got := b.post(page("login"), "user", tt.email)
		if tt.wantError != "" {
			got.wantForm(t, tt.wantError)
			continue
		}
		got.wantRedirect(t, callback+"&token="+b.session())
	}
}

func TestDeletedUserCannotLogIn(t *testing.T) {
	srv := idxtest.NewServer(t)
	srv.UpdateUser(idxtest.Ada.Email, func(u *idxtest.User) { u.Deleted = true })
	b := newBrowser(t, srv)
	b.login(page("login"), idxtest.Ada.Email).wantForm(t, "wrong")
	if form := b.get(page("login")); strings.Contains(form.body, idxtest.Ada.Email) {
		t.Errorf("login page offers the deleted user %s", idxtest.Ada.Email)
	}
}

func TestSessionLimit(t *testing.T) {
	srv := serverWith(t, func(set *idxtest.Settings) { set.SessionLimit = 2 })
	for range 2 {
		b := newBrowser(t, srv)
		b.login(page("login"), idxtest.Ada.Email).wantRedirect(t, callback+"&token="+b.session())
	}
	newBrowser(t, srv).login(page("login"), idxtest.Ada.Email).wantForm(t, "too many")
	other := newBrowser(t, srv)
	other.login(page("login"), idxtest.Grace.Email).wantRedirect(t, callback+"&token="+other.session())
	srv.ExpireTokens()
	again := newBrowser(t, srv)
	again.login(page("login"), idxtest.Ada.Email).wantRedirect(t, callback+"&token="+again.session())
}

func TestSilentRedirect(t *testing.T) {
	b := newBrowser(t, idxtest.NewServer(t))
	b.login(page("login"), idxtest.Ada.Email)
	token := b.session()
	for _, action := range []string{"login", "register", "forgotpassword"} {
		b.get(page(action)).wantRedirect(t, callback+"&token="+token)
	}
	b.get("/auth.aspx").wantRedirect(t, "/profile.aspx")
}

func TestDeadTokenShowsForm(t *testing.T) {
	for _, tt := range []struct {
		name string
		kill func(b *browser)
	}{
		{"expired", func(b *browser) { b.srv.ExpireTokens() }},
		{"too old", func(b *browser) { b.srv.Advance(15 * time.Minute) }},
		{"invalidated", func(b *browser) {
			newAPI(b.t, b.srv).get("/identity/v2/auth/access_token/invalidate?access_token=" + b.session())
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBrowser(t, idxtest.NewServer(t))
			b.login(page("login"), idxtest.Ada.Email)
			tt.kill(b)
			b.get(page("login")).wantForm(t, `role="alert"`)
			if token := b.session(); token != "" {
				t.Errorf("%s: session after the error: got %q, want none", tt.name, token)
			}
			b.login(page("login"), idxtest.Ada.Email).wantRedirect(t, callback+"&token="+b.session())
		})
	}
}

func TestRegister(t *testing.T) {
	for _, tt := range []struct {
		policy idxtest.Verification
		mails  int
		token  bool
	}{
		{idxtest.VerificationNone, 0, true},
		{idxtest.VerificationOptional, 1, true},
		{idxtest.VerificationRequired, 1, false},
	} {
		t.Run(string(tt.policy), func(t *testing.T) {
			srv := serverWith(t, func(set *idxtest.Settings) { set.Verification = tt.policy })
			b := newBrowser(t, srv)
			got := b.post(page("register"), "email", "new@example.com", "password", "sesame-open", "firstname", "New", "lastname", "User")
			want := callback + "&action_completed=register"
			if tt.token {
				want = callback + "&token=" + b.session()
			}
			got.wantRedirect(t, want)
			if has := b.session() != ""; has != tt.token {
				t.Errorf("session: got %t, want %t", has, tt.token)
			}
			if mails := srv.Mails(); len(mails) != tt.mails {
				t.Errorf("got %d mails, want %d", len(mails), tt.mails)
			}
			u := srv.User("new@example.com")
			if u.FirstName != "New" || u.LastName != "User" || u.EmailVerified || len(u.UID) != 32 {
				t.Errorf("got %+v, want New User, not verified, with an id", u)
			}
		})
	}
}

func TestRegisterRefuses(t *testing.T) {
	for _, tt := range []struct{ email, password, want string }{
		{"ADA@example.com", "sesame-open", "exists"},
		{"no-address", "sesame-open", "check"},
		{"@example.com", "sesame-open", "check"},
		{"new@", "sesame-open", "check"},
		{"new@example.com", "short", "check"},
	} {
		srv := idxtest.NewServer(t)
		b := newBrowser(t, srv)
		b.post(page("register"), "email", tt.email, "password", tt.password).wantForm(t, tt.want)
		if n := len(srv.Mails()); n != 0 || b.session() != "" {
			t.Errorf("%s, %s: got %d mails, session %q; want neither", tt.email, tt.password, n, b.session())
		}
	}
}

// lastLink returns the link in the last mail.
func lastLink(t *testing.T, srv *idxtest.Server, to string) string {
	t.Helper()
	mails := srv.Mails()
	if len(mails) == 0 {
		t.Fatal("no mail")
	}
	last := mails[len(mails)-1]
	if last.To != to {
		t.Errorf("mail to %q, want %q", last.To, to)
	}
	return last.Link
}

func TestVerifyLink(t *testing.T) {
	for _, tt := range []struct {
		name       string
		settings   func(*idxtest.Settings)
		age        time.Duration
		wantToken  bool
		wantNotice string
	}{
		{"logs in", func(*idxtest.Settings) {}, 72*time.Hour - time.Second, true, ""},
		{"required, logs in", func(set *idxtest.Settings) { set.Verification = idxtest.VerificationRequired }, 0, true, ""},
		{"does not log in", func(set *idxtest.Settings) { set.LoginAfterVerification = false }, 0, false, `role="status"`},
		{"too old", func(*idxtest.Settings) {}, 72 * time.Hour, false, `role="alert"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			srv := serverWith(t, tt.settings)
			newBrowser(t, srv).post(page("register"), "email", "new@example.com", "password", "sesame-open")
			link := lastLink(t, srv, "new@example.com")
			// The state survives: the return URL is still encoded.
			if start := srv.URL + "/auth.aspx?" + encoded(callback) + "&vtype=emailverification&vtoken="; !strings.HasPrefix(link, start) {
				t.Fatalf("link: got %q, want it to begin with %q", link, start)
			}
			srv.Advance(tt.age)
			b := newBrowser(t, srv) // another device
			got := b.get(link)
			if tt.wantToken {
				got.wantRedirect(t, callback+"&token="+b.session())
			} else {
				got.wantForm(t, tt.wantNotice)
			}
			if verified, want := srv.User("new@example.com").EmailVerified, tt.age < 72*time.Hour; verified != want {
				t.Errorf("verified: got %t, want %t", verified, want)
			}
			newBrowser(t, srv).get(link).wantForm(t, `role="alert"`) // works once
		})
	}
}

// The action is cut out as text, so that it stays unless it comes first.
func TestVerifyLinkKeepsLateAction(t *testing.T) {
	srv := idxtest.NewServer(t)
	newBrowser(t, srv).post("/auth.aspx?"+encoded(callback)+"&action=register", "email", "new@example.com", "password", "sesame-open")
	link := lastLink(t, srv, "new@example.com")
	if want := srv.URL + "/auth.aspx?" + encoded(callback) + "&action=register&vtype="; !strings.HasPrefix(link, want) {
		t.Errorf("link: got %q, want it to begin with %q", link, want)
	}
}

func TestForgotAndReset(t *testing.T) {
	srv := idxtest.NewServer(t)
	b := newBrowser(t, srv)
	b.post(page("forgotpassword"), "email", idxtest.Ada.Email).wantRedirect(t, callback+"&action_completed=forgotpassword")

	link := lastLink(t, srv, idxtest.Ada.Email)
	// The state is lost: the helper decodes and cuts at the second "?".
	if start := srv.URL + "/auth.aspx?return_url=https://a/cb&vtype=reset&vtoken="; !strings.HasPrefix(link, start) {
		t.Fatalf("link: got %q, want it to begin with %q", link, start)
	}
	b.get(link).wantForm(t, `name="newpassword"`)
	b.post(link, "newpassword", "short").wantForm(t, `name="newpassword"`)
	b.post(link, "newpassword", "another-sesame").wantForm(t, `role="status"`)
	b.get(link).wantForm(t, `role="alert"`) // works once

	b.login(link, idxtest.Ada.Email).wantForm(t, "wrong")
	b.post(link, "email", idxtest.Ada.Email, "password", "another-sesame").wantRedirect(t, "https://a/cb?token="+b.session())
}

func TestForgot(t *testing.T) {
	srv := idxtest.NewServer(t)
	b := newBrowser(t, srv)
	b.post("/auth.aspx?action=forgotpassword", "email", idxtest.Ada.Email).wantForm(t, `role="status"`)
	if link, want := lastLink(t, srv, idxtest.Ada.Email), srv.URL+"/auth.aspx?action=forgotpassword&vtype=reset&vtoken="; !strings.HasPrefix(link, want) {
		t.Errorf("link without return URL: got %q, want it to begin with %q", link, want)
	}
	srv.Advance(24 * time.Hour)
	b.get(lastLink(t, srv, idxtest.Ada.Email)).wantForm(t, `role="alert"`)
}

func TestLogout(t *testing.T) {
	for _, tt := range []struct {
		name, address, want  string
		appends, invalidates bool
	}{
		{"without return URL", "/auth.aspx?action=logout", "/auth.aspx", false, false},
		{"without return URL, appends", "/auth.aspx?action=logout", "/auth.aspx", true, false},
		{"with return URL", page("logout"), callback, false, false},
		{"appends", page("logout"), callback + "&action_completed=logout", true, false},
		{"invalidates", page("logout"), callback, false, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			srv := serverWith(t, func(set *idxtest.Settings) {
				set.LogoutAppends, set.LogoutInvalidates = tt.appends, tt.invalidates
			})
			b := newBrowser(t, srv)
			b.login(page("login"), idxtest.Ada.Email)
			token := b.session()
			b.get(tt.address).wantRedirect(t, tt.want)
			if left := b.session(); left != "" {
				t.Errorf("session after logout: got %q, want none", left)
			}
			b.get("/auth.aspx").wantForm(t, `name="password"`)
			want := http.StatusOK
			if tt.invalidates {
				want = http.StatusForbidden
			}
			if got := newAPI(t, srv).get("/identity/v2/auth/access_token/validate?access_token=" + token); got.status != want {
				t.Errorf("validate after logout: got status %d, want %d", got.status, want)
			}
		})
	}
}

func TestProfilePage(t *testing.T) {
	srv := idxtest.NewServer(t)
	b := newBrowser(t, srv)
	const back = "https://app.example/account?tab=1&x=2"
	address := "/profile.aspx?" + encoded(back)

	// Without a session the visitor logs in first and comes back here, way back included.
	got := b.get(address)
	if got.status != http.StatusFound || !strings.HasPrefix(got.location, "/auth.aspx?action=login&return_url=") {
		t.Fatalf("GET %s: got status %d, Location %q; want the login form", address, got.status, got.location)
	}
	got = b.login(got.location, idxtest.Ada.Email)
	if want := srv.URL + address + "&token=" + b.session(); got.location != want {
		t.Fatalf("after login: got Location %q, want %q", got.location, want)
	}
	if got := b.get(got.location); !strings.Contains(got.body, `href="https://app.example/account?tab=1&amp;x=2"`) || !strings.Contains(got.body, "Lovelace") {
		t.Errorf("profile page: got %.1200s, want Ada and the way back", got.body)
	}

	got = b.post(address, "firstname", "Augusta", "lastname", "King", "company", "<b>", "phone", "1815")
	if !strings.Contains(got.body, `value="&lt;b&gt;"`) || !strings.Contains(got.body, `href="https://app.example/account?tab=1&amp;x=2"`) {
		t.Errorf("profile page after saving: got %.1200s, want the company escaped and the way back", got.body)
	}
	if u := srv.User(idxtest.Ada.Email); u.FirstName != "Augusta" || u.LastName != "King" || u.Company != "<b>" || u.Phone != "1815" {
		t.Errorf("after saving: got %+v, want Augusta King, <b>, 1815", u)
	}
}

func TestProfilePageWayBackIsChecked(t *testing.T) {
	srv := serverWith(t, func(set *idxtest.Settings) { set.Whitelist = idxtest.WhitelistHost })
	b := newBrowser(t, srv)
	b.login("/auth.aspx", idxtest.Ada.Email)
	for back, want := range map[string]bool{"http://localhost:8080/": true, "https://evil.example/": false} {
		if got := b.get("/profile.aspx?" + encoded(back)); strings.Contains(got.body, `href="`+back) != want {
			t.Errorf("%s: link to it: got %t, want %t", back, !want, want)
		}
	}
}

func TestSSO(t *testing.T) {
	srv := idxtest.NewServer(t)
	b := newBrowser(t, srv)
	wantState := func(token any) {
		t.Helper()
		got := b.get("/ssologin/login").object(t)
		if got["token"] != token || got["isauthenticated"] != (token != nil) {
			t.Errorf("/ssologin/login: got %v, want token %v", got, token)
		}
	}
	wantState(nil)

	token, key := string(srv.IssueToken(idxtest.Ada.Email)), "&apikey="+srv.Config().APIKey
	for _, name := range []string{"setToken", "setcustomtoken"} {
		got := b.get("/ssologin/" + name + "?token=" + token + key).object(t)
		if got["ok"] != true || got["istokenvalid"] != true {
			t.Errorf("%s: got %v, want ok, and the token valid", name, got)
		}
		wantState(token)
		b.get(page("login")).wantRedirect(t, callback+"&token="+token)
		if got := b.get("/ssologin/logout").object(t); got["ok"] != true {
			t.Errorf("logout: got %v, want ok", got)
		}
		wantState(nil)
	}
	for _, name := range []string{"setSafariToken", "setCustomSafariToken"} {
		b.get("/ssologin/"+name+"?token="+token+key+"&callback="+url.QueryEscape(callback)).wantRedirect(t, callback)
		wantState(token)
		b.get("/ssologin/logout")
	}
	if got := b.get("/ssologin/setToken?token=unknown" + key).object(t); got["istokenvalid"] != false {
		t.Errorf("setToken with an unknown token: got %v, want it not valid", got)
	}
	wantState(nil)
}

func TestSSORefuses(t *testing.T) {
	srv := serverWith(t, func(set *idxtest.Settings) { set.Whitelist = idxtest.WhitelistHost })
	token := string(srv.IssueToken(idxtest.Ada.Email))
	key, back := "&apikey="+srv.Config().APIKey, "&callback="+url.QueryEscape("http://localhost:8080/back")
	for _, tt := range []struct {
		call, query  string
		status, code int
	}{
		{"setToken", "", 400, 922},
		{"setCustomToken", "&apikey=" + strangeID, 403, 901},
		{"setSafariToken", back, 400, 922},
		{"setSafariToken", back + "&apikey=x", 400, 920},
		{"setSafariToken", back + "&apikey=" + strangeID, 403, 901},
		{"setCustomSafariToken", back, 400, 922},
		{"setSafariToken", key, 403, 908},
		{"setSafariToken", key + "&callback=", 403, 908},
		{"setSafariToken", key + "&callback=" + url.QueryEscape("https://evil.example/"), 403, 908},
		{"setCustomSafariToken", key + "&callback=javascript:0", 403, 908},
	} {
		b := newBrowser(t, srv)
		got := b.get("/ssologin/" + tt.call + "?token=" + token + tt.query)
		got.wantCode(t, tt.call+" "+tt.query, tt.status, tt.code)
		if got.location != "" || b.session() != "" {
			t.Errorf("%s %s: got Location %q, session %q; want neither", tt.call, tt.query, got.location, b.session())
		}
	}
	b := newBrowser(t, srv)
	b.get("/ssologin/setSafariToken?token="+token+key+back).wantRedirect(t, "http://localhost:8080/back")
	if b.session() != token {
		t.Errorf("setSafariToken: got session %q, want %q", b.session(), token)
	}
}

func TestForeignFormsAreRefused(t *testing.T) {
	srv := idxtest.NewServer(t)
	for _, tt := range []struct {
		name    string
		header  http.Header
		refused bool
	}{
		{"other site", http.Header{"Sec-Fetch-Site": {"cross-site"}, "Origin": {"https://evil.example"}}, true},
		{"other site, old browser", http.Header{"Origin": {"https://evil.example"}}, true},
		{"sister host", http.Header{"Sec-Fetch-Site": {"same-site"}}, true},
		{"without origin", http.Header{"Origin": {"null"}}, true},
		{"own page", http.Header{"Sec-Fetch-Site": {"same-origin"}, "Origin": {srv.URL}}, false},
		{"own page, old browser", http.Header{"Origin": {srv.URL}}, false},
		{"no browser", nil, false},
	} {
		b := newBrowser(t, srv)
		form := url.Values{"email": {idxtest.Ada.Email}, "password": {idxtest.Password}}.Encode()
		for _, address := range []string{page("login"), "/auth?action=login", "/profile.aspx", "/profile"} {
			got := b.do("POST", address, "application/x-www-form-urlencoded", form, tt.header)
			if refused := got.status == http.StatusForbidden; refused != tt.refused {
				t.Errorf("%s: POST %s: got status %d, want it refused: %t", tt.name, address, got.status, tt.refused)
			}
		}
		if signedIn := b.session() != ""; signedIn == tt.refused {
			t.Errorf("%s: signed in: got %t", tt.name, signedIn)
		}
	}
}

func TestRememberMe(t *testing.T) {
	srv := idxtest.NewServer(t)
	for remember, want := range map[string]bool{"true": true, "": false} {
		b := newBrowser(t, srv)
		token := string(srv.IssueToken(idxtest.Ada.Email))
		b.get("/ssologin/setcustomtoken?token=" + token + "&isrememberme=" + remember + "&apikey=" + srv.Config().APIKey)
		info := newAPI(t, srv).get("/identity/v2/auth/access_token?access_token=" + token).object(t)
		if info["isrememberme"] != want {
			t.Errorf("isrememberme=%q: got %v, want %t", remember, info["isrememberme"], want)
		}
	}
}
