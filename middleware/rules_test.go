package middleware_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/idxauth/idxauth/idx"
	"github.com/idxauth/idxauth/idx/idxtest"
	"github.com/idxauth/idxauth/middleware"
	"github.com/idxauth/idxauth/session"
)

func TestRules(t *testing.T) {
	a := newApp(t)
	broken := middleware.Check("never_asked", func(*http.Request, *middleware.Identity) (bool, error) {
		return true, errors.New("database is down")
	})
	a.mux.Handle("/broken", a.auth.Require(broken)(http.HandlerFunc(a.page)))
	a.mux.Handle("/owner", a.auth.Protect(func(w http.ResponseWriter, r *http.Request, user *middleware.Identity) {
		io.WriteString(w, "owner "+user.Email)
	}, middleware.Check("not_the_owner", func(r *http.Request, user *middleware.Identity) (bool, error) {
		return r.URL.Query().Get("owner") == user.Email, nil
	})))
	for _, tt := range []struct {
		name   string
		user   idxtest.User
		path   string
		status int
		body   string
	}{
		{"role", idxtest.Ada, "/admin", 200, "user"},
		{"no role", idxtest.Grace, "/admin", 403, "role_missing"},
		{"verified", idxtest.Ada, "/verified", 200, "user"},
		{"not verified", idxtest.Alan, "/verified", 403, "email_unverified"},
		{"own rule", idxtest.Ada, "/owner?owner=" + idxtest.Ada.Email, 200, "owner " + idxtest.Ada.Email},
		{"own rule refuses", idxtest.Ada, "/owner?owner=x", 403, "not_the_owner"},
		{"own rule cannot say", idxtest.Ada, "/broken", 500, "hook_failed"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := a.browser()
			b.signIn("/dashboard/", tt.user)
			b.step(b.request("GET", tt.path)).want(t, tt.status, tt.body)
			if tt.status != 200 {
				got := b.step(b.request("GET", tt.path, "Sec-Fetch-Mode", "cors", "Accept", "*/*"))
				got.want(t, tt.status, `"code":"`+tt.body+`"`)
			}
		})
	}
	// A stranger is asked to sign in before any rule is asked.
	b := a.browser()
	b.step(b.request("GET", "/admin")).want(t, 302, "")
}

// Whoever comes from the link in the mail is let in at once.
func TestEmailVerifiedAsksOnceMore(t *testing.T) {
	timed(t, func(t *testing.T, a *app) {
		calls := func() int { return len(a.hub.Requests()) }
		b := a.browser()
		b.signIn("/dashboard/", idxtest.Alan)
		n := calls()
		for range 10 {
			b.open("/verified").want(t, 403, "email_unverified")
		}
		if got := calls() - n; got != 1 {
			t.Errorf("ten refusals made %d calls, want 1", got)
		}
		later(10 * time.Second)
		a.hub.UpdateUser(idxtest.Alan.Email, func(u *idxtest.User) { u.EmailVerified = true })
		b.open("/verified").want(t, 200, "user "+idxtest.Alan.Email)
		n = calls()
		b.open("/verified").want(t, 200, "user "+idxtest.Alan.Email)
		if got := calls() - n; got != 0 {
			t.Errorf("a confirmed user's page view made %d calls", got)
		}
	})
}

// The copy counts while the API is down; an account that is blocked by now is out.
func TestEmailVerifiedWhenTheAPIHasNoGoodNews(t *testing.T) {
	timed(t, func(t *testing.T, a *app) {
		b := a.browser()
		b.signIn("/dashboard/", idxtest.Alan)
		a.hub.SetFault(idxtest.Fault{Kind: idxtest.ServerError})
		b.open("/verified").want(t, 403, "email_unverified")
		a.hub.ClearFault()
		later(10 * time.Second)
		a.hub.UpdateUser(idxtest.Alan.Email, func(u *idxtest.User) { u.Blocked = true })
		b.step(b.request("GET", "/verified")).want(t, 302, "")
	})
}

// The rules after one that has read the account again see what it has read.
func TestRulesSeeTheNewCopy(t *testing.T) {
	a := newApp(t)
	a.mux.Handle("/both", a.auth.Require(middleware.EmailVerified(), middleware.HasRole("admin"))(http.HandlerFunc(a.page)))
	b := a.browser()
	b.signIn("/dashboard/", idxtest.Alan)
	a.hub.UpdateUser(idxtest.Alan.Email, func(u *idxtest.User) { u.EmailVerified, u.Roles = true, []string{"admin"} })
	b.open("/both").want(t, 200, "user")
}

// A rule can say in a sentence why it refuses. Wrappers compose like rules.
func TestCheckRefuses(t *testing.T) {
	a := newApp(t)
	unpaid := middleware.Check("unpaid", func(*http.Request, *middleware.Identity) (bool, error) {
		return false, middleware.Refuse("card_expired", "Your card has expired.")
	})
	admins := a.auth.Require(middleware.HasRole("admin"))
	a.mux.Handle("/paid", admins(a.auth.Require(unpaid)(http.HandlerFunc(a.page))))
	grace, ada := a.browser(), a.browser()
	grace.signIn("/dashboard/", idxtest.Grace)
	grace.open("/paid").want(t, 403, "role_missing")
	ada.signIn("/dashboard/", idxtest.Ada)
	page := ada.open("/paid")
	page.want(t, 403, "card_expired")
	page.want(t, 403, "Your card has expired.")
	got := ada.step(ada.request("GET", "/paid", "Sec-Fetch-Mode", "cors", "Accept", "*/*"))
	got.want(t, 403, `"detail":"Your card has expired.","code":"card_expired"`)
}

func TestRecentLogin(t *testing.T) {
	a := newApp(t)
	a.mux.Handle("/fresh", a.auth.Require(middleware.RecentLogin(time.Hour))(http.HandlerFunc(a.page)))
	a.mux.Handle("/now", a.auth.Require(middleware.RecentLogin(-time.Second))(http.HandlerFunc(a.page)))
	b := a.browser()
	b.signIn("/fresh", idxtest.Ada).want(t, 200, "user")

	// Never recent enough: the hosted page must ask, even though it knows the visitor.
	at := b.open("/now?x=1")
	if !strings.HasPrefix(at.at(), a.hub.URL) || at.StatusCode != 200 {
		t.Fatalf("an old login led to %s (%s), want the form of the hosted page", at.at(), at.Status)
	}
	// A silent answer, with the token of before, does not count.
	if got := b.step(b.request("GET", "/now", "Sec-Fetch-Mode", "cors", "Accept", "*/*")); got.StatusCode != 401 || !strings.Contains(got.body, "login_too_old") {
		t.Errorf("fetch: %s %s", got.Status, got.body)
	}
}

// What is not led to the hosted page is told a login path, and that one must help:
// the hosted page knows the visitor, and would answer a plain login in silence.
func TestLoginPathOfAnOldLoginHelps(t *testing.T) {
	for name, headers := range map[string][]string{
		"script": {"Sec-Fetch-Mode", "cors", "Sec-Fetch-Dest", "empty", "Accept", "*/*"},
		"form":   nil,
	} {
		t.Run(name, func(t *testing.T) {
			timed(t, func(t *testing.T, a *app) {
				a.mux.Handle("/transfer", a.auth.Require(middleware.RecentLogin(5*time.Minute))(http.HandlerFunc(a.page)))
				b := a.browser()
				b.signIn("/dashboard/", idxtest.Ada)
				later(6 * time.Minute)
				got := b.step(b.request("POST", "/transfer", headers...))
				got.want(t, 401, "login_too_old")
				path := regexp.MustCompile(`/auth/login[^"]*`).FindString(got.body)
				login, err := url.Parse(path)
				if err != nil {
					t.Fatal(err)
				}
				query := login.Query()
				query.Set("return_to", "/dashboard/") // not a page that would ask once more
				login.RawQuery = query.Encode()
				at := b.open(login.String())
				if !strings.HasPrefix(at.at(), a.hub.URL) || at.StatusCode != 200 {
					t.Fatalf("%s led to %s (%s), want the form of the hosted page", login, at.at(), at.Status)
				}
				b.finish(at, idxtest.Ada)
				b.step(b.request("POST", "/transfer", headers...)).want(t, 200, "user "+idxtest.Ada.Email)
			})
		})
	}
}

// A hosted page that answers a fresh login in silence is found out by its token.
func TestFreshLoginWantsANewToken(t *testing.T) {
	a := newApp(t)
	b := a.browser()
	b.signIn("/dashboard/", idxtest.Ada)
	got := b.open("/auth/login?fresh=2&return_to=/dashboard/") // the hosted page was not signed out
	got.want(t, 401, "login_too_old")
	b.open("/dashboard/").want(t, 200, "user "+idxtest.Ada.Email)
}

func TestAuthTimeIsNotMovedBySilentReturns(t *testing.T) {
	var times notes[time.Time]
	a := newApp(t)
	a.mux.Handle("/time", a.auth.Protect(func(_ http.ResponseWriter, _ *http.Request, user *middleware.Identity) {
		times.add(user.AuthTime)
	}))
	b := a.browser()
	b.signIn("/time", idxtest.Ada)
	b.dropCookie("session")
	b.open("/time") // silent
	if got := times.all(); len(got) != 2 || got[1].After(got[0]) {
		t.Errorf("AuthTime: %v", got)
	}
}

func TestOnLogin(t *testing.T) {
	a := newApp(t, func(c *middleware.Config) {
		c.Hooks.OnLogin = func(ctx context.Context, user *middleware.Identity) error {
			switch user.Email {
			case idxtest.Grace.Email:
				return middleware.Refuse("not_invited", "Ask for an invitation.")
			case idxtest.Alan.Email:
				return errors.New("no database")
			}
			return session.Put(ctx, "customer", 4711)
		}
	})
	a.mux.Handle("/customer", a.auth.RequireLogin(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if n, ok, err := session.Get[int](r.Context(), "customer"); n != 4711 || !ok || err != nil {
			t.Errorf("customer = %d, %v, %v", n, ok, err)
		}
	})))
	a.browser().signIn("/customer", idxtest.Ada).want(t, 200, "")

	refused := a.browser()
	got := refused.signIn("/customer", idxtest.Grace)
	got.want(t, 403, "not_invited")
	got.want(t, 403, "Ask for an invitation.")
	failed := a.browser()
	failed.signIn("/customer", idxtest.Alan).want(t, 500, "hook_failed")
	for _, b := range []*browser{refused, failed} {
		if _, ok := b.cookies()["session"]; ok {
			t.Error("somebody is signed in")
		}
	}
}

func TestDeniedAndErrorHooks(t *testing.T) {
	var denied, failed notes[middleware.Reason]
	a := newApp(t, func(c *middleware.Config) {
		c.Hooks.OnDenied = func(_ context.Context, p middleware.Problem) { denied.add(p.Reason) }
		c.Hooks.OnError = func(_ context.Context, p middleware.Problem) { failed.add(p.Reason) }
	})
	b := a.browser()
	callback := b.callback("/dashboard/", idxtest.Grace)
	a.hub.SetFault(idxtest.Fault{Kind: idxtest.ServerError})
	b.open(callback.String())
	a.hub.ClearFault()
	b.open(callback.String())
	b.open("/admin")
	if got := denied.all(); !slices.Equal(got, []middleware.Reason{middleware.RoleMissing}) {
		t.Errorf("denied: %v", got)
	}
	if got := failed.all(); !slices.Equal(got, []middleware.Reason{middleware.ProviderDown}) {
		t.Errorf("failed: %v", got)
	}
}

func TestErrorPage(t *testing.T) {
	a := newApp(t, func(c *middleware.Config) {
		c.ErrorPage = func(w http.ResponseWriter, r *http.Request, p middleware.Problem) {
			io.WriteString(w, "ours: "+string(p.Reason))
		}
	})
	b := a.browser()
	b.signIn("/dashboard/", idxtest.Grace)
	got := b.open("/admin")
	got.want(t, 403, "ours: role_missing")
	if got.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("Cache-Control %q", got.Header.Get("Cache-Control"))
	}
}

func TestWithUser(t *testing.T) {
	a := newApp(t)
	grace := &middleware.Identity{Profile: idx.Profile{UID: "1", Email: "grace@example.test"}}
	h := a.auth.RequireLogin(http.HandlerFunc(a.page))
	if got := serveAs(h, grace, "GET", "/"); got.Body.String() != "user grace@example.test" {
		t.Errorf("page = %q", got.Body)
	}
	admins := a.auth.Require(middleware.HasRole("admin"))(http.HandlerFunc(a.page))
	if got := serveAs(admins, grace, "GET", "/"); got.Code != 403 {
		t.Errorf("admin page: %d", got.Code)
	}
	if u := middleware.User(context.Background()); u != nil {
		t.Errorf("User of an empty context = %v", u)
	}
	// No user at all is a stranger, not a panic.
	if got := serveAs(h, nil, "GET", "/"); got.Code != 401 {
		t.Errorf("nil user: %d", got.Code)
	}
}

func TestTwoApplicationsInOneProcess(t *testing.T) {
	a := newApp(t)
	other, err := middleware.New(middleware.Config{IDX: a.hub.Config(), BaseURL: "http://localhost:1", Store: newStore()})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	a.mux.Handle("/both", a.auth.RequireLogin(other.RequireLogin(http.HandlerFunc(a.page))))
	b := a.browser()
	b.signIn("/dashboard/", idxtest.Ada)
	if got := b.step(b.request("GET", "/both")); got.StatusCode != 302 {
		t.Errorf("a user of one application got %s from the other", got.Status)
	}
}

// What one user put into a session is gone when another signs in with the browser.
func TestValuesNeverChangeHands(t *testing.T) {
	a := newApp(t)
	var found atomic.Bool
	a.mux.Handle("/cart", a.auth.RequireLogin(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, ok, err := session.Get[int](r.Context(), "cart")
		if err != nil {
			t.Error(err)
		}
		found.Store(ok)
		if err := session.Put(r.Context(), "cart", 1); err != nil {
			t.Error(err)
		}
	})))
	b := a.browser()
	b.signIn("/cart", idxtest.Ada)
	first := cookieHeader(b, "session", b.cookies()["session"])
	if b.open("/cart"); !found.Load() {
		t.Fatal("the value is not kept")
	}
	a.hub.ExpireTokens() // the hosted page forgets Ada
	b.finish(b.open("/auth/login?return_to=/cart"), idxtest.Grace)
	if found.Load() {
		t.Error("Grace found Ada's value")
	}
	old := a.browser()
	old.step(old.request("GET", "/dashboard/", "Cookie", first)).want(t, 302, "")
}
