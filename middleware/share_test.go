package middleware_test

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/idxauth/idxauth/idx"
	"github.com/idxauth/idxauth/idx/idxtest"
	"github.com/idxauth/idxauth/middleware"
	"github.com/idxauth/idxauth/session"
)

// pair is two instances of one application, on one store, and the browsers of one user.
type pair struct {
	*app
	other    *app
	browsers []*browser
	asked    atomic.Int64 // calls of the API by both
}

// timedPair signs Grace in so often, and lets time pass as the test likes.
func timedPair(t *testing.T, sessions int, test func(t *testing.T, p *pair), change ...func(*middleware.Config)) {
	t.Helper()
	p := new(pair)
	store := newStore()
	change = append([]func(*middleware.Config){func(c *middleware.Config) {
		c.Store = store
		c.APIRate = -1
		api := c.IDX.HTTPClient.Transport
		c.IDX.HTTPClient = &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			p.asked.Add(1)
			return api.RoundTrip(r)
		})}
	}}, change...)
	timed(t, func(t *testing.T, a *app) {
		p.app, p.other = a, newTimedApp(t, a.hub, change...)
		defer p.other.auth.Close()
		for range sessions {
			b := a.browser()
			b.signIn("/dashboard/", idxtest.Grace)
			p.browsers = append(p.browsers, b)
		}
		test(t, p)
	}, change...)
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// onBoth asks for a page as a browser, on one of the two instances.
func (p *pair) onBoth(i int, b *browser, path string) *answer {
	app := []*app{p.app, p.other}[i%2]
	tab := &browser{app: app, client: &http.Client{Transport: app.transport, Jar: b.client.Jar, CheckRedirect: stay}}
	return tab.do(tab.request("GET", path))
}

func stay(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// calls counts the calls of the API that do makes.
func (p *pair) calls(do func()) int {
	before := p.asked.Load()
	do()
	later(time.Second / 4) // who waits for a neighbour's reading looks again by then
	return int(p.asked.Load() - before)
}

// view opens a page in all browsers. Work in the background has its limits, so it is
// given time.
func (p *pair) view(path string) {
	for i, b := range p.browsers {
		p.onBoth(i, b, path)
		if i%50 == 0 {
			later(0)
		}
	}
	later(0)
}

func TestThousandSessionsOfOneUserAreOneCall(t *testing.T) {
	const sessions = 1000
	timedPair(t, sessions, func(t *testing.T, p *pair) {
		later(6 * time.Minute)
		p.hub.UpdateUser(idxtest.Grace.Email, func(u *idxtest.User) { u.Roles = []string{"admin"} })
		n := p.calls(func() {
			var wg sync.WaitGroup
			for i, b := range p.browsers {
				wg.Go(func() { p.onBoth(i, b, "/dashboard/").want(t, 200, "user") })
			}
			wg.Wait()
		})
		if n != 1 {
			t.Errorf("%d requests at once made %d calls, want 1", sessions, n)
		}
		n = p.calls(func() { // those that found no place in the background
			p.view("/dashboard/")
			for i, b := range p.browsers {
				p.onBoth(i, b, "/admin").want(t, 200, "user")
			}
		})
		if n != 0 {
			t.Errorf("to tell the rest of the sessions took %d calls more", n)
		}

		later(6 * time.Minute) // all go by the same reading by now, and are due together
		n = p.calls(func() {
			for i, b := range p.browsers {
				p.onBoth(i, b, "/dashboard/").want(t, 200, "user")
				later(250 * time.Millisecond)
			}
		})
		if n != 1 {
			t.Errorf("%d requests one after the other made %d calls, want 1", sessions, n)
		}

		p.hub.UpdateUser(idxtest.Grace.Email, func(u *idxtest.User) { u.Blocked = true })
		later(6 * time.Minute)
		n = p.calls(func() { p.view("/dashboard/") })
		for i, b := range p.browsers {
			p.onBoth(i, b, "/dashboard/").want(t, http.StatusFound, "")
		}
		if n != 1 {
			t.Errorf("to end the %d sessions of a blocked user took %d calls, want 1", sessions, n)
		}
	})
}

func TestThousandRequestsOfOneSessionAreOneCall(t *testing.T) {
	for _, tt := range []struct {
		name    string
		change  func(*middleware.Config)
		absence time.Duration
	}{
		{"with API secret, in the background", func(*middleware.Config) {}, 6 * time.Minute},
		{"with API secret, waited for", func(*middleware.Config) {}, 3 * time.Hour},
		{"without API secret, in the background", withoutSecret, 6 * time.Minute},
		{"without API secret, waited for", func(c *middleware.Config) {
			withoutSecret(c)
			c.StaleFor = time.Second
		}, 6 * time.Minute},
	} {
		t.Run(tt.name, func(t *testing.T) {
			timedPair(t, 1, func(t *testing.T, p *pair) {
				later(tt.absence)
				p.hub.SetFault(idxtest.Fault{Kind: idxtest.SlowHeaders, Delay: time.Second})
				n := p.calls(func() {
					var wg sync.WaitGroup
					for i := range 1000 {
						wg.Go(func() { p.onBoth(i, p.browsers[0], "/dashboard/").want(t, 200, "user") })
					}
					wg.Wait()
					later(2 * time.Second)
				})
				if n != 1 {
					t.Errorf("1,000 requests made %d calls, want 1", n)
				}
			}, tt.change)
		})
	}
}

func TestFailureIsSharedForAMoment(t *testing.T) {
	timedPair(t, 6, func(t *testing.T, p *pair) {
		later(6 * time.Minute)
		p.hub.SetFault(idxtest.Fault{Kind: idxtest.ServerError})
		for range 3 {
			if n := p.calls(func() { p.view("/dashboard/") }); n != 1 {
				t.Errorf("six sessions made %d calls of an API that fails, want 1", n)
			}
			later(time.Minute)
		}
	})
}

// An instance without calls to spare says nothing about the API.
func TestBusyInstanceLeavesTheReadingToOthers(t *testing.T) {
	rates := []float64{0.001, -1} // the first has two calls, for the logins
	timedPair(t, 2, func(t *testing.T, p *pair) {
		later(6 * time.Minute)
		p.hub.UpdateUser(idxtest.Grace.Email, func(u *idxtest.User) { u.Roles = []string{"admin"} })
		n := p.calls(func() {
			p.onBoth(0, p.browsers[0], "/dashboard/").want(t, 200, "user")
			later(0)
		})
		if n != 0 {
			t.Errorf("a busy instance made %d calls", n)
		}
		n = p.calls(func() { p.onBoth(1, p.browsers[1], "/dashboard/").want(t, 200, "user") })
		p.onBoth(1, p.browsers[1], "/admin").want(t, 200, "user")
		if n != 1 {
			t.Errorf("the other instance made %d calls, want 1", n)
		}
	}, func(c *middleware.Config) { c.APIRate, rates = rates[0], rates[1:] })
}

// A reading that was under way when an account changed must not be what its sessions
// hear of the change.
func TestMarkedSessionsWantANewerReading(t *testing.T) {
	const sessions = 50
	timedPair(t, sessions, func(t *testing.T, p *pair) {
		later(6 * time.Minute)
		p.onBoth(0, p.browsers[0], "/dashboard/") // its reading is there for the others
		later(0)
		p.hub.UpdateUser(idxtest.Grace.Email, func(u *idxtest.User) { u.Roles = []string{"admin"} })
		if _, err := p.auth.Sessions().MarkUser(t.Context(), p.hub.User(idxtest.Grace.Email).UID); err != nil {
			t.Fatal(err)
		}
		n := p.calls(func() {
			for i, b := range p.browsers {
				p.onBoth(i, b, "/admin").want(t, 200, "user")
			}
		})
		if n != 1 {
			t.Errorf("%d marked sessions made %d calls, want 1", sessions, n)
		}
	})
}

func TestReadingThatAMarkHasOvertaken(t *testing.T) {
	timedPair(t, 3, func(t *testing.T, p *pair) {
		later(6 * time.Minute)
		// The first answer is on its way, and says what was true before.
		p.hub.SetFault(idxtest.Fault{Kind: idxtest.SlowBody, Delay: 2 * time.Second, Times: 1})
		p.onBoth(0, p.browsers[0], "/dashboard/")
		later(time.Second)
		p.hub.UpdateUser(idxtest.Grace.Email, func(u *idxtest.User) { u.Roles = []string{"admin"} })
		if _, err := p.auth.Sessions().MarkUser(t.Context(), p.hub.User(idxtest.Grace.Email).UID); err != nil {
			t.Fatal(err)
		}
		for i, b := range p.browsers { // on both instances, one of which waits for the old answer
			p.onBoth(i, b, "/admin").want(t, 200, "user")
			p.onBoth(i+1, b, "/admin").want(t, 200, "user")
		}
		later(3 * time.Second)
		for i, b := range p.browsers {
			p.onBoth(i, b, "/admin").want(t, 200, "user")
		}
	})
}

// slowClaims is a store whose answers to claims are long under way, if it is told so.
type slowClaims struct {
	session.Store
	delay atomic.Int64
}

func (s *slowClaims) Claim(ctx context.Context, space, name string, value []byte, ttl time.Duration) ([]byte, error) {
	held, err := s.Store.Claim(ctx, space, name, value, ttl)
	time.Sleep(time.Duration(s.delay.Swap(0)))
	return held, err
}

// What the store has said before a mark is no answer for a session that is marked.
func TestMarkOvertakesTheStoresAnswer(t *testing.T) {
	store := &slowClaims{Store: newStore()}
	timedPair(t, 3, func(t *testing.T, p *pair) {
		later(6 * time.Minute)
		p.onBoth(0, p.browsers[0], "/dashboard/") // leaves a reading
		later(0)
		store.delay.Store(int64(time.Second))
		p.onBoth(0, p.browsers[1], "/dashboard/") // asks for it
		later(time.Second / 2)
		p.hub.UpdateUser(idxtest.Grace.Email, func(u *idxtest.User) { u.Roles = []string{"admin"} })
		if _, err := p.auth.Sessions().MarkUser(t.Context(), p.hub.User(idxtest.Grace.Email).UID); err != nil {
			t.Fatal(err)
		}
		p.onBoth(0, p.browsers[2], "/admin").want(t, 200, "user")
	}, func(c *middleware.Config) { c.Store = store })
}

// Two changes, one soon after the other: who comes after the second hears of it.
func TestSecondMarkWhileTheAccountIsRead(t *testing.T) {
	timedPair(t, 1, func(t *testing.T, p *pair) {
		mark := func() {
			if _, err := p.auth.Sessions().MarkUser(t.Context(), p.hub.User(idxtest.Grace.Email).UID); err != nil {
				t.Fatal(err)
			}
		}
		mark()
		p.hub.SetFault(idxtest.Fault{Kind: idxtest.SlowBody, Delay: 2 * time.Second, Times: 1})
		go p.onBoth(0, p.browsers[0], "/dashboard/")
		later(time.Second)
		p.hub.UpdateUser(idxtest.Grace.Email, func(u *idxtest.User) { u.Roles = []string{"admin"} })
		mark()
		p.onBoth(0, p.browsers[0], "/admin").want(t, 200, "user")
	})
}

// merged is a provider without a secret, whose accounts can become others.
type merged struct {
	middleware.Provider
	into *atomic.Pointer[idx.Profile]
}

func (m merged) Profile(ctx context.Context, token idx.Token) (*idx.Profile, error) {
	p, err := m.Provider.Profile(ctx, token)
	if into := m.into.Load(); into != nil && err == nil {
		p.UID, p.Email = into.UID, into.Email
	}
	return p, err
}

// One browser, one token, two sessions, and between them the account has become another.
func TestReadingsOfTwoUsersWithOneToken(t *testing.T) {
	into := new(atomic.Pointer[idx.Profile])
	timedPair(t, 1, func(t *testing.T, p *pair) {
		origin, err := url.Parse(p.origin)
		if err != nil {
			t.Fatal(err)
		}
		b, first := p.browsers[0], p.browser()
		first.client.Jar.SetCookies(origin, b.client.Jar.Cookies(origin))
		b.dropCookie("session")
		into.Store(&idx.Profile{UID: "other", Email: "other@example.com"})
		if got := b.comeBack(b.callback("/dashboard/", idxtest.Grace).String()); got.StatusCode != http.StatusSeeOther {
			t.Fatalf("callback: %s", got.Status)
		}
		later(6 * time.Minute)
		b.comeBack("/dashboard/").want(t, 200, "user other@example.com") // leaves a reading
		later(0)
		first.comeBack("/dashboard/").want(t, 200, "user "+idxtest.Grace.Email)
		later(0)
		if got := first.comeBack("/dashboard/"); got.StatusCode != http.StatusFound {
			t.Errorf("the session of an account that has become another: %s with %q", got.Status, got.body)
		}
	}, withoutSecret, func(c *middleware.Config) {
		client, err := idx.New(c.IDX)
		if err != nil {
			panic(err)
		}
		c.Provider = merged{client, into}
	})
}

// An instance that was killed while it read an account holds up nobody for long.
func TestLeaseOfAKilledInstance(t *testing.T) {
	timedPair(t, 1, func(t *testing.T, p *pair) {
		later(3 * time.Hour)
		uid := p.hub.User(idxtest.Grace.Email).UID
		lease := append([]byte{1}, "of somebody else"...)
		if _, err := p.auth.Sessions().Claim(t.Context(), p.auth.Sessions().UserClaim(uid), lease, 12*time.Second); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		p.onBoth(0, p.browsers[0], "/dashboard/").want(t, 200, "user")
		if took := time.Since(start); took > 7*time.Second {
			t.Errorf("the page took %v", took)
		}
	})
}

// Those who wait for an instance that was killed do not push each other aside.
func TestLeaseOfAKilledInstanceIsTakenOnce(t *testing.T) {
	timedPair(t, 2, func(t *testing.T, p *pair) {
		later(3 * time.Hour)
		uid := p.hub.User(idxtest.Grace.Email).UID
		lease := append([]byte{1}, "of somebody else"...)
		if _, err := p.auth.Sessions().Claim(t.Context(), p.auth.Sessions().UserClaim(uid), lease, 12*time.Second); err != nil {
			t.Fatal(err)
		}
		p.hub.SetFault(idxtest.Fault{Kind: idxtest.SlowHeaders, Delay: time.Second})
		n := p.calls(func() {
			var wg sync.WaitGroup
			for i, b := range p.browsers {
				wg.Go(func() { p.onBoth(i, b, "/dashboard/").want(t, 200, "user") })
			}
			wg.Wait()
		})
		if n != 1 {
			t.Errorf("two instances made %d calls, want 1", n)
		}
	})
}

// What the store has under an account's name is believed only if an instance with the
// API secret has sealed it for this account.
func TestSharedReadingsCannotBeForged(t *testing.T) {
	timedPair(t, 1, func(t *testing.T, p *pair) {
		sessions := p.auth.Sessions()
		ada := p.browser()
		ada.signIn("/admin", idxtest.Ada)
		name := func(user idxtest.User) string { return sessions.UserClaim(p.hub.User(user.Email).UID) }
		later(6 * time.Minute)
		ada.open("/admin")
		later(0)
		adas, err := sessions.Claim(t.Context(), name(idxtest.Ada), []byte("x"), time.Minute)
		if err != nil || len(adas) < 50 || strings.Contains(string(adas), idxtest.Ada.Email) || strings.Contains(string(adas), idxtest.Ada.LastName) {
			t.Fatalf("there is %q, %v, want a sealed reading", adas, err)
		}
		for _, tt := range []struct {
			what  string
			value []byte
		}{
			{"reading of somebody else", adas}, // first, while it is newer than the copy
			{"garbage", append([]byte{2}, strings.Repeat("x", 100)...)},
			{"short", []byte{2}},
			{"empty", []byte{}},
			{"of another kind", []byte{99, 1}},
		} {
			if _, err := sessions.Swap(t.Context(), name(idxtest.Grace), nil, tt.value, time.Hour); err != nil {
				t.Fatal(err)
			}
			n := p.calls(func() { p.onBoth(0, p.browsers[0], "/dashboard/").want(t, 200, "user "+idxtest.Grace.Email) })
			if n != 1 {
				t.Errorf("%s: %d calls, want 1", tt.what, n)
			}
			p.onBoth(1, p.browsers[0], "/admin").want(t, 403, "role_missing")
			later(6 * time.Minute)
		}
	})
}

// A reading that began before a change does not hide that reading the change has failed.
func TestOldReadingAfterTheFailureOfANewOne(t *testing.T) {
	timedPair(t, 1, func(t *testing.T, p *pair) {
		b := p.browsers[0]
		later(6 * time.Minute)
		p.hub.SetFault(idxtest.Fault{Kind: idxtest.SlowBody, Delay: 4 * time.Second, Times: 1})
		p.onBoth(1, b, "/dashboard/") // in the background: what was true before
		later(time.Second)
		p.hub.UpdateUser(idxtest.Grace.Email, func(u *idxtest.User) { u.Roles = []string{"admin"} })
		if _, err := p.auth.Sessions().MarkUser(t.Context(), p.hub.User(idxtest.Grace.Email).UID); err != nil {
			t.Fatal(err)
		}
		p.hub.SetFault(idxtest.Fault{Kind: idxtest.ServerError, Times: 1})
		p.onBoth(0, b, "/dashboard/").want(t, 200, "user")
		later(4 * time.Second) // the old answer arrives
		p.onBoth(0, b, "/admin")
		later(40 * time.Second)
		p.onBoth(0, b, "/admin").want(t, 200, "")
	})
}
