package middleware_test

import (
	"context"
	"net/http"
	"net/url"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/idxauth/idxauth/idx"
	"github.com/idxauth/idxauth/idx/idxtest"
	"github.com/idxauth/idxauth/middleware"
)

// The hosted page knows the visitor from another application's login, by a token that
// was never seen here. Asking for a fresh login by the address bar, without signing out
// there first, is no step-up.
func TestFreshLoginByAddressBarIsNone(t *testing.T) {
	timed(t, func(t *testing.T, a *app) {
		a.mux.Handle("/step-up", a.auth.Require(middleware.RecentLogin(5*time.Minute))(http.HandlerFunc(a.page)))
		b := a.browser()
		a.plantHubSession(b, idxtest.Ada)
		later(10 * time.Minute)
		got := b.open("/auth/login?fresh=2&return_to=/step-up")
		if strings.Contains(got.body, "user ") {
			t.Fatalf("nobody typed a password, and the page is open: %s", got.body)
		}
		got.want(t, 401, "login_too_old")
		// An ordinary login is fine, and old.
		b.open("/dashboard/").want(t, 200, "user "+idxtest.Ada.Email)
		if at := b.open("/step-up"); !strings.HasPrefix(at.at(), a.hub.URL) {
			t.Fatalf("an old login led to %s", at.at())
		} else {
			b.finish(at, idxtest.Ada).want(t, 200, "user "+idxtest.Ada.Email)
		}
	})
}

// plantHubSession makes the hosted page know the visitor, as after another
// application's login.
func (a *app) plantHubSession(b *browser, user idxtest.User) {
	a.t.Helper()
	token := string(a.hub.IssueToken(user.Email))
	b.do(b.request("GET", a.hub.URL+"/ssologin/setToken?token="+url.QueryEscape(token)+"&apikey="+a.hub.Config().APIKey))
}

// Where tokens slide, the hosted page's is alive when the expiry that the session
// remembers has passed.
func TestRequireLiveTokenDoesNotLoop(t *testing.T) {
	timed(t, func(t *testing.T, a *app) {
		a.hub.Set(func(s *idxtest.Settings) { s.Sliding = true })
		b := a.browser()
		b.signIn("/dashboard/", idxtest.Ada)
		later(14 * time.Minute)
		b.open("/dashboard/")  // reads the account: the token slides
		later(6 * time.Minute) // the copy is due, and the expiry that was noted has passed
		b.open("/dashboard/").want(t, 200, "user "+idxtest.Ada.Email)
	}, withoutSecret, func(c *middleware.Config) { c.RequireLiveToken = true })
}

// A token is refused in a second browser for as long as it can live.
func TestStolenTokenAfterAWeek(t *testing.T) {
	timed(t, func(t *testing.T, a *app) {
		a.hub.Set(func(s *idxtest.Settings) { s.TokenLifetime = 30 * 24 * time.Hour })
		victim := a.browser()
		callback := victim.callback("/dashboard/", idxtest.Ada)
		stolen := callback.Query().Get("token")
		victim.open(callback.String()).want(t, 200, "user")
		later(8 * 24 * time.Hour)
		thief := a.browser()
		got := thief.open(with("token", stolen)(a, *thief.callback("/dashboard/", idxtest.Grace)))
		if strings.Contains(got.body, "user "+idxtest.Ada.Email) {
			t.Fatal("the thief is signed in")
		}
	})
}

func TestLoadUserOfAnotherApplication(t *testing.T) {
	a := newApp(t)
	other, err := middleware.New(middleware.Config{IDX: a.hub.Config(), BaseURL: "http://localhost:1", Store: newStore()})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	a.mux.Handle("/inner", a.auth.RequireLogin(other.LoadUser(http.HandlerFunc(a.page))))
	b := a.browser()
	b.signIn("/dashboard/", idxtest.Ada)
	b.open("/inner").want(t, 200, "stranger")
}

func TestErrorPageThatWritesNothing(t *testing.T) {
	for name, page := range map[string]func(http.ResponseWriter){
		"nothing": func(http.ResponseWriter) {},
		"headers": func(w http.ResponseWriter) { w.Header().Set("X-Page", "1") },
		"hints":   func(w http.ResponseWriter) { w.WriteHeader(http.StatusEarlyHints) },
	} {
		a := newApp(t, func(c *middleware.Config) {
			c.ErrorPage = func(w http.ResponseWriter, _ *http.Request, _ middleware.Problem) { page(w) }
		})
		b := a.browser()
		b.signIn("/dashboard/", idxtest.Grace)
		if got := b.open("/admin"); got.StatusCode != http.StatusForbidden {
			t.Errorf("%s: %s, want 403", name, got.Status)
		}
	}
}

// The next person at a computer finds the last one's callback in the history.
func TestOldTokenAfterLogout(t *testing.T) {
	a := newApp(t)
	b := a.browser()
	callback := b.callback("/dashboard/", idxtest.Ada)
	old := callback.Query().Get("token")
	b.open(callback.String())
	a.hub.SetFault(idxtest.Fault{Kind: idxtest.ServerError, Path: "invalidate"}) // the token stays alive
	a.mustLogout(b)
	next := b.callback("/dashboard/", idxtest.Grace)
	if got := b.open(with("token", old)(a, *next)); strings.Contains(got.body, "user "+idxtest.Ada.Email) {
		t.Fatal("signed in with the last user's token")
	}
}

// A visitor who leaves while the API thinks is no fault, and nobody is called.
func TestVisitorWhoLeavesIsNoAlarm(t *testing.T) {
	var alarms atomic.Int64
	a := newApp(t, func(c *middleware.Config) {
		c.Hooks.OnError = func(context.Context, middleware.Problem) { alarms.Add(1) }
	})
	b := a.browser()
	callback := b.callback("/dashboard/", idxtest.Ada)
	a.hub.SetFault(idxtest.Fault{Kind: idxtest.SlowHeaders, Delay: time.Minute})
	ctx, leave := context.WithCancel(t.Context())
	go func() {
		for a.hub.Count("GET /identity/v2/auth/account") == 0 {
			runtime.Gosched()
		}
		leave()
	}()
	if _, err := b.client.Do(b.request("GET", callback.String()).WithContext(ctx)); err == nil {
		t.Fatal("the visitor got an answer")
	}
	eventually(t, "the callback has ended", func() bool { return strings.Contains(a.log.String(), "visitor left") })
	if alarms.Load() != 0 || strings.Contains(a.log.String(), "level=ERROR") {
		t.Errorf("%d alarms; log:\n%s", alarms.Load(), a.log)
	}
}

// switching is a hosted login whose API answers with somebody else's profile.
type switching struct {
	*idx.Client
	other atomic.Bool
}

func (p *switching) Profile(ctx context.Context, token idx.Token) (*idx.Profile, error) {
	profile, err := p.Client.Profile(ctx, token)
	if err == nil && p.other.Load() {
		profile.UID, profile.Email = "somebody-else", "else@example.test"
	}
	return profile, err
}

// The user of a session never changes.
func TestAnotherUserAtARereadEndsTheSession(t *testing.T) {
	p := new(switching)
	timed(t, func(t *testing.T, a *app) {
		b := a.browser()
		b.signIn("/dashboard/", idxtest.Ada)
		p.other.Store(true)
		later(6 * time.Minute)
		b.open("/dashboard/").want(t, 200, "user "+idxtest.Ada.Email)
		later(0)
		b.step(b.request("GET", "/dashboard/")).want(t, 302, "")
	}, withoutSecret, func(c *middleware.Config) {
		client, err := idx.New(c.IDX)
		if err != nil {
			t.Fatal(err)
		}
		p.Client = client
		c.Provider = p
	})
}

// Of two binding cookies one was planted: neither counts.
func TestTwoBindingCookiesAreNone(t *testing.T) {
	a := newApp(t)
	b := a.browser()
	callback := b.callback("/dashboard/", idxtest.Ada)
	own := cookieHeader(b, "login", b.cookies()["login"])
	stranger := a.browser()
	stranger.callback("/dashboard/", idxtest.Grace)
	planted := cookieHeader(stranger, "login", stranger.cookies()["login"])
	for _, both := range []string{own + "; " + planted, planted + "; " + own} {
		got := a.browser().step(b.request("GET", callback.String(), "Cookie", both))
		for _, c := range got.Cookies() {
			if strings.HasSuffix(c.Name, "-session") {
				t.Errorf("signed in with two binding cookies")
			}
		}
	}
}

// The secret that signs states is another one after each login.
func TestBindingIsRenewedAtLogin(t *testing.T) {
	a := newApp(t)
	b := a.browser()
	callback := b.callback("/dashboard/", idxtest.Ada)
	before := b.cookies()["login"]
	b.open(callback.String())
	// The browser's name comes first, 16 bytes; the secret follows.
	if after := b.cookies()["login"]; after[22:64] == before[22:64] {
		t.Error("the secret is the same after the login")
	}
}

// A state that this browser did not sign is somebody else's word: its path is judged
// again before anybody is led there.
func TestUnsignedStatesPathIsJudged(t *testing.T) {
	a := newApp(t)
	// An application that differs in nothing but its mount point seals with our key, and
	// has no objection to our routes.
	other, err := middleware.New(middleware.Config{IDX: a.hub.Config(), BaseURL: a.origin, Path: "/sso", Store: newStore()})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	stateFor := func(returnTo string) string {
		w := serve(other.Handler(), "GET", "/sso/login?return_to="+url.QueryEscape(returnTo))
		hosted, err := w.Result().Location()
		if err != nil {
			t.Fatal(err)
		}
		back, err := url.Parse(hosted.Query().Get("return_url"))
		if err != nil {
			t.Fatal(err)
		}
		return back.Query().Get("state")
	}
	for returnTo, want := range map[string]string{"/dashboard/": "/dashboard/", "/auth/logout": "/"} {
		got := a.browser().open("/auth/callback?action_completed=register&state=" + stateFor(returnTo))
		got.want(t, 200, `href="/auth/login?return_to=`+url.QueryEscape(want)+`"`)
	}
}
