package middleware_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/idxauth/idxauth/idx"
	"github.com/idxauth/idxauth/idx/idxtest"
	"github.com/idxauth/idxauth/middleware"
	"github.com/idxauth/idxauth/session"
)

// timed runs test in a bubble of controlled time.
func timed(t *testing.T, test func(t *testing.T, a *app), change ...func(*middleware.Config)) {
	t.Helper()
	hub := idxtest.NewServer(t)
	synctest.Test(t, func(t *testing.T) {
		a := newTimedApp(t, hub, change...)
		test(t, a)
		a.auth.Close()
	})
}

func withoutSecret(c *middleware.Config) { c.IDX.APISecret = "" }

// later lets time pass and the work in the background end.
func later(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func TestBlockedUserIsOutWithinRevalidate(t *testing.T) {
	for name, change := range map[string]func(*middleware.Config){
		"with API secret":    func(*middleware.Config) {},
		"without API secret": withoutSecret,
	} {
		t.Run(name, func(t *testing.T) {
			timed(t, func(t *testing.T, a *app) {
				b := a.browser()
				b.signIn("/dashboard/", idxtest.Ada)
				a.hub.UpdateUser(idxtest.Ada.Email, func(u *idxtest.User) { u.Blocked = true })
				later(4 * time.Minute)
				b.open("/dashboard/").want(t, 200, "user")
				later(2 * time.Minute)
				b.open("/dashboard/").want(t, 200, "user") // this one causes the re-read
				later(0)
				if got := b.step(b.request("GET", "/dashboard/")); got.StatusCode != http.StatusFound {
					t.Errorf("blocked user still gets %s", got.Status)
				}
				if !strings.Contains(a.log.String(), "session ended by LoginRadius") {
					t.Error("the log does not say so")
				}
			}, change)
		})
	}
}

// A reading of a neighbour's that is nearly as old as Revalidate allows prolongs nothing.
func TestBlockedUserIsOutInTimeBesideANeighbour(t *testing.T) {
	timedPair(t, 1, func(t *testing.T, p *pair) {
		later(4 * time.Minute)
		late := p.browser()
		late.signIn("/dashboard/", idxtest.Grace) // due at 9:00
		later(time.Minute + time.Second)
		p.onBoth(0, p.browsers[0], "/dashboard/").want(t, 200, "user") // reads the account at 5:01
		later(time.Second)
		p.hub.UpdateUser(idxtest.Grace.Email, func(u *idxtest.User) { u.Blocked = true })
		blocked := time.Now()
		later(4*time.Minute + 57*time.Second)
		for range 60 {
			if late.comeBack("/dashboard/").StatusCode != http.StatusOK {
				break
			}
			later(time.Second)
		}
		if took := time.Since(blocked); took > 5*time.Minute+2*time.Second {
			t.Errorf("a blocked user was out after %v", took)
		}
	})
}

// Through the management API with a secret, by the profile of the token without.
func TestRolesAreRenewed(t *testing.T) {
	for name, change := range map[string]func(*middleware.Config){
		"with a secret":    func(*middleware.Config) {},
		"without a secret": withoutSecret,
	} {
		t.Run(name, func(t *testing.T) {
			timed(t, func(t *testing.T, a *app) {
				b := a.browser()
				b.signIn("/dashboard/", idxtest.Grace)
				b.open("/admin").want(t, 403, "role_missing")
				a.hub.UpdateUser(idxtest.Grace.Email, func(u *idxtest.User) { u.Roles = append(u.Roles, "admin") })
				later(6 * time.Minute)
				b.open("/admin")
				later(0)
				b.open("/admin").want(t, 200, "user")
			}, change)
		})
	}
}

func TestRefresh(t *testing.T) {
	timed(t, func(t *testing.T, a *app) {
		a.mux.Handle("/refresh", a.auth.RequireLogin(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			user, err := a.auth.Refresh(r.Context())
			if err != nil {
				t.Error(err)
				return
			}
			if user != middleware.User(r.Context()) {
				t.Error("User does not return the new copy")
			}
			if !user.HasRole("admin") {
				t.Error("the new role is not there")
			}
		})))
		b := a.browser()
		b.signIn("/dashboard/", idxtest.Grace)
		a.hub.UpdateUser(idxtest.Grace.Email, func(u *idxtest.User) { u.Roles = []string{"admin"} })
		b.open("/refresh").want(t, 200, "")
		b.open("/admin").want(t, 200, "user")
	})
}

// What several requests wait for is asked once, and is not the first one's to cancel.
func TestWaitingRequestsShareOneReading(t *testing.T) {
	timed(t, func(t *testing.T, a *app) {
		b := a.browser()
		b.signIn("/dashboard/", idxtest.Grace)
		later(3 * time.Hour)
		a.hub.UpdateUser(idxtest.Grace.Email, func(u *idxtest.User) { u.Roles = []string{"admin"} })
		a.hub.SetFault(idxtest.Fault{Kind: idxtest.SlowHeaders, Delay: time.Second})
		before := len(a.hub.Requests())
		ctx, leave := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			tab := &browser{app: a, client: &http.Client{Transport: a.transport, Jar: b.client.Jar}}
			tab.do(tab.request("GET", "/admin").WithContext(ctx))
		})
		synctest.Wait() // the first one asks
		for range 50 {
			wg.Go(func() {
				tab := &browser{app: a, client: &http.Client{Transport: a.transport, Jar: b.client.Jar}}
				tab.do(tab.request("GET", "/admin")).want(t, 200, "user "+idxtest.Grace.Email)
			})
		}
		synctest.Wait() // the others wait with it
		leave()
		wg.Wait()
		if n := len(a.hub.Requests()) - before; n != 1 {
			t.Errorf("51 requests made %d calls, want 1", n)
		}
	})
}

// Each of two requests that refresh at the same time sees the new copy.
func TestParallelRefresh(t *testing.T) {
	timed(t, func(t *testing.T, a *app) {
		a.mux.Handle("/refresh", a.auth.RequireLogin(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if _, err := a.auth.Refresh(r.Context()); err != nil {
				t.Error(err)
			}
			if !middleware.User(r.Context()).HasRole("admin") {
				t.Error("User returns the old copy")
			}
		})))
		b := a.browser()
		b.signIn("/dashboard/", idxtest.Grace)
		a.hub.UpdateUser(idxtest.Grace.Email, func(u *idxtest.User) { u.Roles = []string{"admin"} })
		a.hub.SetFault(idxtest.Fault{Kind: idxtest.SlowHeaders, Delay: time.Second}) // so that they meet
		var wg sync.WaitGroup
		for range 5 {
			wg.Go(func() {
				tab := &browser{app: a, client: &http.Client{Transport: a.transport, Jar: b.client.Jar}}
				tab.do(tab.request("GET", "/refresh"))
			})
		}
		wg.Wait()
	})
}

func TestOneReadingPerInterval(t *testing.T) {
	timed(t, func(t *testing.T, a *app) {
		b := a.browser()
		b.signIn("/dashboard/", idxtest.Ada)
		later(6 * time.Minute)
		before := len(a.hub.Requests())
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() { a.servePageAs(b) })
		}
		wg.Wait()
		later(0)
		if n := len(a.hub.Requests()) - before; n != 1 {
			t.Errorf("100 requests made %d calls", n)
		}
	})
}

// servePageAs asks for the page with b's cookies, by a client of its own.
func (a *app) servePageAs(b *browser) *answer {
	tab := &browser{app: a, client: &http.Client{Transport: a.transport, Jar: b.client.Jar}}
	return tab.do(tab.request("GET", "/dashboard/"))
}

func TestAPIOutageKeepsEverybodyInForStaleFor(t *testing.T) {
	for _, kind := range []idxtest.Fault{{Kind: idxtest.ServerError}, {Kind: idxtest.RateLimitText}} {
		timed(t, func(t *testing.T, a *app) {
			b := a.browser()
			b.signIn("/dashboard/", idxtest.Ada)
			a.hub.SetFault(kind)
			before := len(a.hub.Requests())
			for range 34 {
				later(time.Minute)
				b.open("/dashboard/").want(t, 200, "user")
			}
			if n := len(a.hub.Requests()) - before; n > 3*30 {
				t.Errorf("an outage of half an hour made %d calls", n)
			}
			later(2 * time.Minute)
			got := b.step(b.request("GET", "/dashboard/"))
			got.want(t, 503, "provider_unavailable")
			if got.Header.Get("Retry-After") == "" || len(got.Cookies()) != 0 {
				t.Errorf("Retry-After %q, cookies %v", got.Header.Get("Retry-After"), got.Cookies())
			}
			before = len(a.hub.Requests())
			for range 50 {
				b.step(b.request("GET", "/dashboard/")).want(t, 503, "provider_unavailable")
			}
			if n := len(a.hub.Requests()) - before; n != 0 {
				t.Errorf("50 page views made %d calls to an API that had just failed", n)
			}
			a.hub.ClearFault()
			later(5 * time.Second)
			b.open("/dashboard/").want(t, 200, "user")
		})
	}
}

// To have been away is not to be stale: the outage counts from the first failure that
// the session met, in all processes together.
func TestOutageMetAfterAnAbsence(t *testing.T) {
	store := newStore()
	withStore := func(c *middleware.Config) { c.Store = store }
	timed(t, func(t *testing.T, a *app) {
		other := newTimedApp(t, a.hub, withStore)
		defer other.auth.Close()
		b := a.browser()
		b.signIn("/dashboard/", idxtest.Ada)
		later(3 * time.Hour)
		a.hub.SetFault(idxtest.Fault{Kind: idxtest.ServerError})
		for minute := range 30 {
			app := []*app{a, other}[minute%2]
			app.servePageAs(b).want(t, 200, "user")
			later(time.Minute)
		}
		for _, app := range []*app{a, other} {
			app.servePageAs(b).want(t, 503, "provider_unavailable")
		}
		// A process that has just been started knows it too.
		third := newTimedApp(t, a.hub, withStore)
		defer third.auth.Close()
		third.servePageAs(b).want(t, 503, "provider_unavailable")

		a.hub.ClearFault()
		later(5 * time.Second)
		a.servePageAs(b).want(t, 200, "user")
		later(3 * time.Hour) // the next outage is another one
		a.hub.SetFault(idxtest.Fault{Kind: idxtest.ServerError})
		for range 29 {
			a.servePageAs(b).want(t, 200, "user")
			later(time.Minute)
		}
	}, withStore)
}

// The first request of an outage waits for the API, those after it do not.
func TestOneRequestWaitsForTheAPIAfterAnAbsence(t *testing.T) {
	timed(t, func(t *testing.T, a *app) {
		b := a.browser()
		b.signIn("/dashboard/", idxtest.Ada)
		later(3 * time.Hour)
		a.hub.SetFault(idxtest.Fault{Kind: idxtest.SlowHeaders, Delay: time.Hour})
		for i := range 10 {
			start := time.Now()
			b.open("/dashboard/").want(t, 200, "user")
			if took := time.Since(start); i == 0 && took > 10*time.Second || i > 0 && took > 0 {
				t.Errorf("request %d took %v", i, took)
			}
			later(time.Minute)
		}
	})
}

// A public page waits for no API, and shows nobody on a copy that is too old.
func TestPublicPagesNeverWait(t *testing.T) {
	timed(t, func(t *testing.T, a *app) {
		b := a.browser()
		b.signIn("/dashboard/", idxtest.Ada)
		later(3 * time.Hour)
		a.hub.SetFault(idxtest.Fault{Kind: idxtest.SlowHeaders, Delay: 2 * time.Second})
		before := len(a.hub.Requests())
		start := time.Now()
		for range 5 {
			b.open("/").want(t, 200, "stranger")
		}
		if took := time.Since(start); took > 0 {
			t.Errorf("5 public pages took %v", took)
		}
		later(3 * time.Second)
		b.open("/").want(t, 200, "user "+idxtest.Ada.Email)
		if n := len(a.hub.Requests()) - before; n != 1 {
			t.Errorf("6 public pages made %d calls", n)
		}

		later(3 * time.Hour)
		a.hub.UpdateUser(idxtest.Ada.Email, func(u *idxtest.User) { u.Blocked = true })
		b.open("/").want(t, 200, "stranger")
		later(3 * time.Second)
		b.open("/").want(t, 200, "stranger")
		b.step(b.request("GET", "/dashboard/")).want(t, 302, "")
	})
}

// While the API answers, nobody is let in on the copy of before, outage or not.
func TestBlockedDuringAnOutage(t *testing.T) {
	timed(t, func(t *testing.T, a *app) {
		b := a.browser()
		b.signIn("/dashboard/", idxtest.Ada)
		later(3 * time.Hour)
		a.hub.SetFault(idxtest.Fault{Kind: idxtest.ServerError})
		b.open("/dashboard/").want(t, 200, "user")
		a.hub.UpdateUser(idxtest.Ada.Email, func(u *idxtest.User) { u.Blocked = true })
		a.hub.ClearFault()
		later(time.Minute)
		b.step(b.request("GET", "/dashboard/")) // causes the re-read
		later(0)
		b.step(b.request("GET", "/dashboard/")).want(t, 302, "")
	})
}

func TestNoStaleness(t *testing.T) {
	timed(t, func(t *testing.T, a *app) {
		b := a.browser()
		b.signIn("/dashboard/", idxtest.Ada)
		later(6 * time.Minute)
		a.hub.SetFault(idxtest.Fault{Kind: idxtest.ServerError})
		b.step(b.request("GET", "/dashboard/")).want(t, 503, "provider_unavailable")
		a.hub.ClearFault()
		later(5 * time.Second)
		b.open("/dashboard/").want(t, 200, "user")
	}, func(c *middleware.Config) { c.StaleFor = -1 })
}

// Somebody who comes back after hours is let in on a fresh copy only.
func TestOldCopyIsNotUsed(t *testing.T) {
	timed(t, func(t *testing.T, a *app) {
		b := a.browser()
		b.signIn("/dashboard/", idxtest.Ada)
		a.hub.UpdateUser(idxtest.Ada.Email, func(u *idxtest.User) { u.Deleted = true })
		later(2 * time.Hour)
		if got := b.step(b.request("GET", "/dashboard/")); got.StatusCode != http.StatusFound {
			t.Errorf("deleted user gets %s", got.Status)
		}
	})
}

// A re-read belongs to Auth, not to the requests that wait for it: Close ends it, and
// does not return before.
func TestCloseEndsRereads(t *testing.T) {
	p := new(held)
	timed(t, func(t *testing.T, a *app) {
		b := a.browser()
		b.signIn("/dashboard/", idxtest.Ada)
		p.hold.Store(true)
		later(2 * time.Hour)
		ctx, leave := context.WithCancel(t.Context())
		go b.client.Do(b.request("GET", "/dashboard/").WithContext(ctx))
		synctest.Wait()
		leave() // the only one who waits
		synctest.Wait()
		if n := p.inside.Load(); n != 1 {
			t.Fatalf("%d calls under way, want 1", n)
		}
		start := time.Now()
		a.auth.Close()
		if n := p.inside.Load(); n != 0 {
			t.Errorf("%d calls under way after Close", n)
		}
		if took := time.Since(start); took > time.Second {
			t.Errorf("Close took %v", took)
		}
	}, func(c *middleware.Config) {
		client, err := idx.New(c.IDX)
		if err != nil {
			t.Fatal(err)
		}
		p.Client = client
		c.Provider = p
	})
}

// held is a hosted login whose API does not answer while hold is set, and takes a
// little to give a call up.
type held struct {
	*idx.Client
	hold   atomic.Bool
	inside atomic.Int64
}

func (p *held) Account(ctx context.Context, uid string) (*idx.Profile, error) {
	if p.hold.Load() {
		p.inside.Add(1)
		defer p.inside.Add(-1)
		<-ctx.Done()
		time.Sleep(time.Millisecond)
		return nil, ctx.Err()
	}
	return p.Client.Account(ctx, uid)
}

func TestSessionOutlivesItsTokenWithoutASecret(t *testing.T) {
	timed(t, func(t *testing.T, a *app) {
		b := a.browser()
		b.signIn("/dashboard/", idxtest.Ada)
		for range 10 {
			later(6 * time.Minute) // tokens live for 15
			b.open("/dashboard/").want(t, 200, "user")
		}
		before := len(a.hub.Requests())
		for range 10 {
			later(6 * time.Minute)
			b.open("/dashboard/").want(t, 200, "user")
		}
		if n := len(a.hub.Requests()) - before; n != 0 {
			t.Errorf("an expired token was used %d times", n)
		}
	}, withoutSecret)
}

func TestRequireLiveToken(t *testing.T) {
	timed(t, func(t *testing.T, a *app) {
		b := a.browser()
		b.signIn("/dashboard/", idxtest.Ada)
		later(16 * time.Minute)
		if got := b.step(b.request("GET", "/dashboard/")); got.StatusCode != http.StatusFound {
			t.Errorf("with an expired token: %s", got.Status)
		}
	}, withoutSecret, func(c *middleware.Config) { c.RequireLiveToken = true })
}

// A token that dies before its time was revoked.
func TestRevokedTokenEndsTheSession(t *testing.T) {
	timed(t, func(t *testing.T, a *app) {
		b := a.browser()
		callback := b.callback("/dashboard/", idxtest.Ada)
		b.open(callback.String()).want(t, 200, "user")
		cfg := a.hub.Config()
		cfg.HTTPClient = &http.Client{Transport: a.transport}
		client, err := idx.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		if err := client.Invalidate(t.Context(), idx.Token(callback.Query().Get("token"))); err != nil {
			t.Fatal(err)
		}
		later(6 * time.Minute)
		b.open("/dashboard/")
		later(0)
		if got := b.step(b.request("GET", "/dashboard/")); got.StatusCode != http.StatusFound {
			t.Errorf("with a revoked token: %s", got.Status)
		}
	}, withoutSecret)
}

func TestLimits(t *testing.T) {
	limits := func(c *middleware.Config) { c.Session = session.Config{Idle: time.Hour, Absolute: 5 * time.Hour} }
	t.Run("idle", func(t *testing.T) {
		timed(t, func(t *testing.T, a *app) {
			b := a.browser()
			b.signIn("/dashboard/", idxtest.Ada)
			for range 4 {
				later(50 * time.Minute)
				b.open("/dashboard/").want(t, 200, "user")
			}
			later(61 * time.Minute)
			got := b.step(b.request("GET", "/dashboard/", "Sec-Fetch-Mode", "cors", "Accept", "*/*"))
			got.want(t, 401, "session_expired")
		}, limits)
	})
	t.Run("absolute", func(t *testing.T) {
		timed(t, func(t *testing.T, a *app) {
			b := a.browser()
			b.signIn("/dashboard/", idxtest.Ada)
			for range 14 {
				later(20 * time.Minute)
				b.open("/dashboard/").want(t, 200, "user")
			}
			later(21 * time.Minute)
			b.step(b.request("GET", "/dashboard/")).want(t, 302, "")
		}, limits)
	})
}

func TestLoginWindow(t *testing.T) {
	timed(t, func(t *testing.T, a *app) {
		b := a.browser()
		callback := b.callback("/dashboard/deep", idxtest.Ada)
		later(15*time.Minute + time.Second)
		got := b.step(b.request("GET", callback.String()))
		got.want(t, 302, "") // starts over
		if _, ok := b.cookies()["session"]; ok {
			t.Fatal("an old state was good")
		}
		home := b.finish(b.open(got.Header.Get("Location")), idxtest.Ada) // the token has expired as well
		if home.Request.URL.Path != "/dashboard/deep" {
			t.Errorf("came to %s", home.at())
		}
	})
}

// States signed before a login or logout count for as long as logins may take.
func TestPreviousSecretCountsForTheLoginWindow(t *testing.T) {
	timed(t, func(t *testing.T, a *app) {
		b := a.browser()
		slow := b.open("/dashboard/slow")
		later(5 * time.Minute)
		b.finish(b.open("/dashboard/fast"), idxtest.Ada)
		a.mustLogout(b)
		later(5 * time.Minute)
		home := b.finish(slow, idxtest.Ada)
		if home.Request.URL.Path != "/dashboard/slow" || home.StatusCode != 200 {
			t.Errorf("came to %s: %s", home.at(), home.Status)
		}
	})
}

// A mark asks for a reading; that our own rate is used up makes no copy of seconds useless.
func TestMarkedSessionWithTheRateUsedUp(t *testing.T) {
	timed(t, func(t *testing.T, a *app) {
		b := a.browser()
		b.signIn("/dashboard/", idxtest.Grace)
		a.browser().signIn("/dashboard/", idxtest.Ada) // the second of two calls
		if _, err := a.auth.Sessions().MarkUser(t.Context(), a.hub.User(idxtest.Grace.Email).UID); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			b.comeBack("/dashboard/").want(t, 200, "user")
			later(time.Second)
		}
	}, func(c *middleware.Config) { c.APIRate = 0.001 })
}

// Where accounts are not read again by and by, there is no copy that is too old for a
// public page.
func TestMarkedOnPublicPagesWithoutRevalidation(t *testing.T) {
	timed(t, func(t *testing.T, a *app) {
		b := a.browser()
		b.signIn("/dashboard/", idxtest.Grace)
		later(time.Hour)
		if _, err := a.auth.Sessions().MarkUser(t.Context(), a.hub.User(idxtest.Grace.Email).UID); err != nil {
			t.Fatal(err)
		}
		b.open("/").want(t, 200, "user "+idxtest.Grace.Email)
	}, func(c *middleware.Config) { c.Revalidate = -1 })
}

// A look out of turn that fails, to which any site can send a visitor, says nothing about a
// copy that is not due.
func TestLookOutOfTurnThatFails(t *testing.T) {
	timed(t, func(t *testing.T, a *app) {
		b := a.browser()
		b.signIn("/dashboard/", idxtest.Grace)
		a.hub.SetFault(idxtest.Fault{Kind: idxtest.ServerError})
		later(time.Second)
		b.comeBack("/auth/profile/back")
		later(0)
		b.comeBack("/dashboard/").want(t, 200, "user")
	}, func(c *middleware.Config) { c.StaleFor = -1 })
}

// A reading that fails late is not noted in a copy that another one has renewed meanwhile.
func TestLateFailureOfARenewedCopy(t *testing.T) {
	renewed := func(b *browser) { // while the first reading hangs
		later(6 * time.Minute)
		b.app.hub.SetFault(idxtest.Fault{Kind: idxtest.SlowHeaders, Delay: time.Hour, Times: 1})
		b.comeBack("/") // in the background
		later(time.Second)
		b.comeBack("/auth/profile/back")
		later(5 * time.Second) // the first one has failed
	}
	t.Run("nothing goes on", func(t *testing.T) {
		timed(t, func(t *testing.T, a *app) {
			b := a.browser()
			b.signIn("/dashboard/", idxtest.Grace)
			renewed(b)
			b.comeBack("/dashboard/").want(t, 200, "user")
		}, func(c *middleware.Config) { c.StaleFor = -1 })
	})
	t.Run("StaleFor begins with the next outage", func(t *testing.T) {
		timed(t, func(t *testing.T, a *app) {
			b := a.browser()
			b.signIn("/dashboard/", idxtest.Grace)
			renewed(b)
			later(3 * time.Hour)
			a.hub.SetFault(idxtest.Fault{Kind: idxtest.ServerError})
			b.comeBack("/dashboard/").want(t, 200, "user")
		})
	})
}

// What a store does that does not answer is not the API's fault, and over when it answers.
func TestStoreThatFailsDuringAReading(t *testing.T) {
	store := &flaky{Store: session.NewMemory()}
	timed(t, func(t *testing.T, a *app) {
		b := a.browser()
		b.signIn("/dashboard/", idxtest.Ada)
		later(3 * time.Hour)
		store.down.Store(true)
		b.comeBack("/dashboard/").want(t, 503, "store_unavailable")
		store.down.Store(false)
		b.comeBack("/dashboard/").want(t, 200, "user")
	}, func(c *middleware.Config) { c.Store = store })
}

// Readings that hang take no place that logouts need to end a token.
func TestLogoutsWhileReadingsHang(t *testing.T) {
	p := new(held)
	timed(t, func(t *testing.T, a *app) {
		var browsers []*browser
		for i := range 70 {
			u := a.hub.AddUser(idxtest.User{Email: fmt.Sprintf("user%d@example.com", i), Password: idxtest.Password})
			b := a.browser()
			b.signIn("/dashboard/", u)
			browsers = append(browsers, b)
		}
		later(6 * time.Minute)
		p.hold.Store(true)
		for _, b := range browsers[:65] {
			b.comeBack("/dashboard/").want(t, 200, "user")
		}
		synctest.Wait()
		const invalidate = "GET /identity/v2/auth/access_token/InValidate"
		before := a.hub.Count(invalidate)
		a.mustLogout(browsers[69])
		later(20 * time.Second)
		if n := a.hub.Count(invalidate) - before; n != 1 {
			t.Errorf("the token of somebody who signed out was ended %d times, want once", n)
		}
		p.hold.Store(false)
	}, func(c *middleware.Config) {
		c.APIRate = -1
		client, err := idx.New(c.IDX)
		if err != nil {
			t.Fatal(err)
		}
		p.Client = client
		c.Provider = p
	})
}

// heldValidate is a hosted login that does not say until when a token lives.
type heldValidate struct {
	*idx.Client
	inside atomic.Int64
}

func (p *heldValidate) Validate(ctx context.Context, _ idx.Token) (time.Time, error) {
	p.inside.Add(1)
	defer p.inside.Add(-1)
	<-ctx.Done()
	time.Sleep(time.Millisecond)
	return time.Time{}, ctx.Err()
}

func TestCloseWaitsForAllThatAsksTheAPI(t *testing.T) {
	p := new(heldValidate)
	timed(t, func(t *testing.T, a *app) {
		b := a.browser()
		address := b.callback("/dashboard/", idxtest.Ada).String()
		var login sync.WaitGroup
		login.Go(func() { b.comeBack(address).want(t, 303, "") })
		synctest.Wait()
		if n := p.inside.Load(); n != 1 {
			t.Fatalf("%d calls under way, want 1", n)
		}
		login.Wait()
		a.auth.Close()
		if n := p.inside.Load(); n != 0 {
			t.Errorf("%d calls under way after Close", n)
		}
	}, withoutSecret, func(c *middleware.Config) {
		client, err := idx.New(c.IDX)
		if err != nil {
			t.Fatal(err)
		}
		p.Client = client
		c.Provider = p
	})
}

// failsToUpdate is a store that takes no changes of sessions.
type failsToUpdate struct {
	session.Store
	down atomic.Bool
}

func (f *failsToUpdate) Update(ctx context.Context, k session.Key, old, data []byte, seen uint8, expires time.Time) error {
	if f.down.Load() {
		return errDown
	}
	return f.Store.Update(ctx, k, old, data, seen, expires)
}

// What the store cannot keep is not read again for each page.
func TestReadingsThatCannotBeKept(t *testing.T) {
	store := &failsToUpdate{Store: session.NewMemory()}
	for name, change := range map[string]func(*middleware.Config){"secret": func(*middleware.Config) {}, "no secret": withoutSecret} {
		t.Run(name, func(t *testing.T) {
			timed(t, func(t *testing.T, a *app) {
				b := a.browser()
				b.signIn("/dashboard/", idxtest.Ada)
				if _, err := a.auth.Sessions().MarkUser(t.Context(), idxtest.Ada.UID); err != nil {
					t.Fatal(err)
				}
				store.down.Store(true)
				calls := len(a.hub.Requests())
				for range 20 {
					b.step(b.request("GET", "/dashboard/"))
					later(100 * time.Millisecond)
				}
				if n := len(a.hub.Requests()) - calls; n > 2 {
					t.Errorf("20 pages in two seconds made %d calls of the API", n)
				}
				store.down.Store(false)
			}, change, func(c *middleware.Config) { c.Store = store })
		})
	}
}
