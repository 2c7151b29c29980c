package middleware_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/idxauth/idxauth/idx/idxtest"
	"github.com/idxauth/idxauth/middleware"
)

// A browser at the callback with something that is no finished login of its own.
func TestCallbackLetsNobodyIn(t *testing.T) {
	const token = "5f3c1c5e-0000-4000-8000-0123456789ab"
	for _, tt := range []struct {
		name string
		// address returns the address that the browser opens, from the good one.
		address func(a *app, good url.URL) string
	}{
		{"no state", with("state")},
		{"damaged state", func(_ *app, u url.URL) string {
			return strings.Replace(u.String(), "state=", "state=A", 1)
		}},
		{"changed state", func(_ *app, u url.URL) string {
			q := u.Query()
			s := []byte(q.Get("state"))
			s[40] ^= 1
			return with("state", string(s))(nil, u)
		}},
		{"signature of another state", func(a *app, u url.URL) string {
			other := a.browser().callback("/dashboard/other", idxtest.Grace).Query().Get("state")
			mine := u.Query().Get("state")
			return with("state", other[:21]+mine[21:])(nil, u)
		}},
		{"state of another browser", func(a *app, u url.URL) string {
			return with("state", a.browser().callback("/dashboard/other", idxtest.Grace).Query().Get("state"))(nil, u)
		}},
		{"two states", func(_ *app, u url.URL) string { return u.String() + "&state=x" }},
		{"huge state", with("state", strings.Repeat("A", 60000))},
		{"no token", with("token")},
		{"empty token", with("token", "")},
		{"two tokens", func(_ *app, u url.URL) string { return u.String() + "&token=" + token }},
		{"two tokens, one broken", func(_ *app, u url.URL) string { return u.String() + "&x=1;token=2&token=%zz" }},
		{"zero token", with("token", "00000000-0000-0000-0000-000000000000")},
		{"unknown token", with("token", token)},
		{"64 KB of token", with("token", strings.Repeat("a", 64<<10))},
		{"control characters in the token", with("token", token+"\r\n")},
		{"markup in the token", with("token", "<script>alert(1)</script>")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := newApp(t)
			b := a.browser()
			good := b.callback("/dashboard/deep", idxtest.Ada)
			before := a.hub.Count("GET /identity/v2/auth/account")

			got := b.step(b.request("GET", tt.address(a, *good)))
			if _, ok := b.cookies()["session"]; ok {
				t.Fatal("somebody is signed in")
			}
			if got.StatusCode != http.StatusFound || !strings.HasPrefix(got.Header.Get("Location"), a.hub.URL) {
				t.Fatalf("answer = %s to %q, want a new start", got.Status, got.Header.Get("Location"))
			}
			if n := a.hub.Count("GET /identity/v2/auth/account"); n != before && tt.name != "unknown token" {
				t.Errorf("the API was asked %d times", n-before)
			}
			// The hosted page still knows the visitor: starting over needs no click.
			home := b.open(got.Header.Get("Location"))
			home.want(t, 200, "user "+idxtest.Ada.Email)
			if strings.Contains(a.log.String(), good.Query().Get("token")) || strings.Contains(a.log.String(), good.Query().Get("state")) {
				t.Error("the log holds the token or the state")
			}
		})
	}
}

// with returns a function that replaces a query parameter, or removes it.
func with(name string, value ...string) func(*app, url.URL) string {
	return func(_ *app, u url.URL) string {
		q := u.Query()
		q[name] = value
		if value == nil {
			delete(q, name)
		}
		u.RawQuery = q.Encode()
		return u.String()
	}
}

func TestCallbackMethods(t *testing.T) {
	a := newApp(t)
	b := a.browser()
	good := b.callback("/dashboard/", idxtest.Ada)
	for _, method := range []string{"POST", "HEAD", "OPTIONS", "PUT", "get"} {
		got := b.step(b.request(method, good.String()))
		if got.StatusCode != http.StatusMethodNotAllowed || len(got.Cookies()) > 0 {
			t.Errorf("%s: %s, cookies %v", method, got.Status, got.Cookies())
		}
	}
	for _, headers := range [][]string{
		{"Sec-Purpose", "prefetch"},
		{"Sec-Fetch-Dest", "iframe"},
		{"Sec-Fetch-Mode", "cors", "Sec-Fetch-Dest", "empty"},
		{"Sec-Fetch-Mode", "no-cors", "Sec-Fetch-Dest", "image"},
	} {
		got := b.step(b.request("GET", good.String(), headers...))
		if got.StatusCode != 401 || len(got.Cookies()) > 0 {
			t.Errorf("%v: %s, cookies %v", headers, got.Status, got.Cookies())
		}
	}
	b.open(good.String()).want(t, 200, "user") // none of them used it up
}

func TestLoginCSRF(t *testing.T) {
	a := newApp(t)
	attacker := a.browser()
	planted := attacker.callback("/dashboard/", idxtest.Grace)

	victim := a.browser()
	got := victim.open(planted.String())
	if strings.Contains(got.body, "user "+idxtest.Grace.Email) {
		t.Fatal("the victim is signed in as the attacker")
	}
	if !strings.HasPrefix(got.at(), a.hub.URL) {
		t.Errorf("victim is at %s, want the hosted page", got.at())
	}
	// So does one who is signed in: he stays himself.
	victim.finish(got, idxtest.Ada).want(t, 200, "user "+idxtest.Ada.Email)
	again := attacker.callback("/dashboard/", idxtest.Grace)
	victim.open(again.String())
	victim.open("/dashboard/").want(t, 200, "user "+idxtest.Ada.Email)
}

func TestStolenTokenInAnotherBrowser(t *testing.T) {
	a := newApp(t)
	victim := a.browser()
	callback := victim.callback("/dashboard/", idxtest.Ada)
	stolen := callback.Query().Get("token")
	victim.open(callback.String()).want(t, 200, "user "+idxtest.Ada.Email)

	thief := a.browser()
	own := thief.callback("/dashboard/", idxtest.Grace)
	got := thief.open(with("token", stolen)(a, *own))
	if _, ok := thief.cookies()["session"]; ok || strings.Contains(got.body, "user "+idxtest.Ada.Email) {
		t.Fatalf("the thief is at %s: %s", got.at(), got.body)
	}
	if !strings.Contains(a.log.String(), "token_replayed") {
		t.Error("the log does not name the event")
	}
	victim.open("/dashboard/").want(t, 200, "user "+idxtest.Ada.Email)
}

// A browser whose cookies for this site were deleted, while the hosted page still
// knows it, brings a token that is known from its former self.
func TestLostCookies(t *testing.T) {
	a := newApp(t)
	b := a.browser()
	b.signIn("/dashboard/", idxtest.Ada)
	hub, _ := url.Parse(a.hub.URL)
	fresh := a.browser()
	fresh.client.Jar.SetCookies(hub, b.client.Jar.Cookies(hub))
	at := fresh.open("/dashboard/deep")
	home := fresh.finish(at, idxtest.Ada)
	home.want(t, 200, "user "+idxtest.Ada.Email)
	if home.Request.URL.Path != "/dashboard/deep" {
		t.Errorf("came to %s", home.at())
	}
}

func TestCallbackReplay(t *testing.T) {
	a := newApp(t)
	b := a.browser()
	callback := b.callback("/dashboard/deep", idxtest.Ada)
	b.open(callback.String()).want(t, 200, "user "+idxtest.Ada.Email)
	token := b.cookies()["session"]

	again := b.step(b.request("GET", callback.String()))
	if again.Header.Get("Location") != a.origin+"/dashboard/deep" || b.cookies()["session"] != token {
		t.Errorf("Back button: %s to %q", again.Status, again.Header.Get("Location"))
	}
	// Without the session the state is used up.
	b.app.mustLogout(b)
	after := b.step(b.request("GET", callback.String()))
	if _, ok := b.cookies()["session"]; ok {
		t.Fatal("the callback was good for a second session")
	}
	if !strings.HasPrefix(after.Header.Get("Location"), a.hub.URL) {
		t.Errorf("replay leads to %q", after.Header.Get("Location"))
	}
}

func TestParallelCallbacksMakeOneSession(t *testing.T) {
	a := newApp(t)
	b := a.browser()
	callback := b.callback("/dashboard/", idxtest.Ada)
	binding := b.cookies()["login"]
	var mu sync.Mutex
	sessions := 0
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			one := a.browser()
			req := one.request("GET", callback.String(), "Cookie", cookieHeader(b, "login", binding))
			got := one.step(req)
			mu.Lock()
			defer mu.Unlock()
			for _, c := range got.Cookies() {
				if strings.HasSuffix(c.Name, "-session") && c.Value != "" {
					sessions++
				}
			}
		})
	}
	wg.Wait()
	if sessions != 1 {
		t.Errorf("20 callbacks at once made %d sessions", sessions)
	}
}

func cookieHeader(b *browser, purpose, value string) string {
	u, _ := url.Parse(b.app.origin)
	for _, c := range b.client.Jar.Cookies(u) {
		if strings.HasSuffix(c.Name, "-"+purpose) {
			return c.Name + "=" + value
		}
	}
	b.app.t.Fatalf("no %s cookie", purpose)
	return ""
}

// Tokens that are made up cost the API a few calls for each login that was started, and
// no more, one after the other or all at once.
func TestMadeUpTokensCostFewCalls(t *testing.T) {
	for name, parallel := range map[string]int{"one after the other": 1, "at once": 20} {
		t.Run(name, func(t *testing.T) {
			a := newApp(t)
			b := a.browser()
			callback := b.callback("/dashboard/deep", idxtest.Ada)
			binding := cookieHeader(b, "login", b.cookies()["login"])
			before := len(a.hub.Requests())
			var wg sync.WaitGroup
			for worker := range parallel {
				wg.Go(func() {
					one := a.browser()
					for i := range 40 / parallel {
						token := fmt.Sprintf("00000000-0000-4000-8000-%06d%06d", worker, i)
						one.step(one.request("GET", with("token", token)(a, *callback), "Cookie", binding)).want(t, 302, "")
					}
				})
			}
			wg.Wait()
			if n := len(a.hub.Requests()) - before; n != 5 {
				t.Errorf("40 tokens with one state made %d calls, want 5", n)
			}
			// The visitor whose state it is starts over, in silence.
			home := b.open(callback.String())
			home.want(t, 200, "user "+idxtest.Ada.Email)
			if home.Request.URL.Path != "/dashboard/deep" {
				t.Errorf("came to %s", home.at())
			}
		})
	}
}

// A browser that never sends our cookies back.
func TestCookiesBlocked(t *testing.T) {
	for _, tt := range []struct {
		name string
		cut  func(*url.URL) // what is lost on the way back
	}{
		{"cookies", func(*url.URL) {}},
		{"cookies and state", func(u *url.URL) { q := u.Query(); q.Del("state"); u.RawQuery = q.Encode() }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := newApp(t)
			hubOnly := a.browser() // keeps the hosted page's cookies
			hubOnly.signIn("/dashboard/", idxtest.Ada)
			at := a.browser().step(hubOnly.request("GET", "/dashboard/deep"))
			for round := 1; ; round++ {
				if round > 10 {
					t.Fatal("it goes round for ever")
				}
				if at.StatusCode != http.StatusFound {
					break
				}
				back := hubOnly.step(hubOnly.request("GET", at.Header.Get("Location")))
				callback, err := back.Location()
				if err != nil {
					t.Fatalf("round %d: the hosted page stopped: %s", round, back.Status)
				}
				tt.cut(callback)
				at = a.browser().step(hubOnly.request("GET", callback.String(), "Cookie", "unrelated=1"))
			}
			at.want(t, 400, "too_many_attempts")
			at.want(t, 400, "tried several times")
		})
	}
}

// A browser that shows the binding but never the session: its logins succeed and
// come to nothing.
func TestSessionCookieNeverComesBack(t *testing.T) {
	a := newApp(t)
	b := a.browser()
	at := b.signIn("/dashboard/", idxtest.Ada)
	for round := 1; at.StatusCode == 200; round++ {
		if round > 10 {
			t.Fatal("it goes round for ever")
		}
		b.dropCookie("session")
		at = b.open("/dashboard/")
	}
	at.want(t, 400, "too_many_attempts")
}

// One that loses its session now and then, each time within a minute of the last, is
// no loop.
func TestSessionsLostNowAndThenAreNoLoop(t *testing.T) {
	timed(t, func(t *testing.T, a *app) {
		b := a.browser()
		b.signIn("/dashboard/", idxtest.Ada)
		for range 10 {
			later(50 * time.Second)
			b.dropCookie("session")
			b.open("/dashboard/").want(t, 200, "user")
		}
	})
}

// The alarm ends a minute after the first lost session, and counts anew.
func TestAlarmOfALoopEnds(t *testing.T) {
	timed(t, func(t *testing.T, a *app) {
		b := a.browser()
		b.signIn("/dashboard/", idxtest.Ada)
		for range 2 {
			for range 2 {
				later(10 * time.Second)
				b.dropCookie("session")
				b.open("/dashboard/").want(t, 200, "user")
			}
			b.dropCookie("session")
			b.open("/dashboard/").want(t, 400, "too_many_attempts")
			later(41 * time.Second)
			b.open("/dashboard/").want(t, 200, "user")
		}
	})
}

func TestAccountsThatMayNotEnter(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*idxtest.User)
	}{
		{"blocked", func(u *idxtest.User) { u.Blocked = true }},
		{"deleted", func(u *idxtest.User) { u.Deleted = true }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := newApp(t)
			b := a.browser()
			callback := b.callback("/dashboard/", idxtest.Ada)
			a.hub.UpdateUser(idxtest.Ada.Email, tt.change)
			got := b.open(callback.String())
			if _, ok := b.cookies()["session"]; ok {
				t.Fatal("the account is signed in")
			}
			if tt.name == "blocked" {
				got.want(t, 403, "account_denied")
			}
		})
	}
}

// The API in trouble is neither "not signed in" nor a loop.
func TestAPITroubleAtTheCallback(t *testing.T) {
	for _, tt := range []struct {
		fault  idxtest.Fault
		status int
		code   string
	}{
		{idxtest.Fault{Kind: idxtest.ServerError}, 503, "provider_unavailable"},
		{idxtest.Fault{Kind: idxtest.BadGateway}, 503, "provider_unavailable"},
		{idxtest.Fault{Kind: idxtest.RateLimitText}, 503, "provider_unavailable"},
		{idxtest.Fault{Kind: idxtest.RateLimitJSON}, 503, "provider_unavailable"},
		{idxtest.Fault{Kind: idxtest.Truncated}, 503, "provider_unavailable"},
		{idxtest.Fault{Kind: idxtest.Oversized}, 503, "provider_unavailable"},
		{idxtest.Fault{Kind: idxtest.Reset}, 503, "provider_unavailable"},
	} {
		t.Run(fmt.Sprint(tt.fault.Kind), func(t *testing.T) {
			a := newApp(t)
			b := a.browser()
			callback := b.callback("/dashboard/", idxtest.Ada)
			a.hub.SetFault(tt.fault)
			got := b.open(callback.String())
			got.want(t, tt.status, tt.code)
			if got.Header.Get("Retry-After") == "" {
				t.Error("no Retry-After")
			}
			if strings.Contains(got.body, callback.Query().Get("token")) {
				t.Error("the page shows the token")
			}
			a.hub.ClearFault()
			b.open(callback.String()).want(t, 200, "user "+idxtest.Ada.Email) // reload
		})
	}
}

func TestWrongAPIKey(t *testing.T) {
	a := newApp(t, func(c *middleware.Config) { c.IDX.APIKey = "11111111-2222-3333-4444-555555555555" })
	b := a.browser()
	callback := b.callback("/dashboard/", idxtest.Ada)
	b.open(callback.String()).want(t, 500, "provider_misconfigured")
}
