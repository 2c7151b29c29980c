package middleware_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/idxauth/idxauth/idx"
	"github.com/idxauth/idxauth/idx/idxtest"
	"github.com/idxauth/idxauth/middleware"
)

// comeBack opens an address and follows nothing, in a tab of its own.
func (b *browser) comeBack(address string) *answer {
	tab := &browser{app: b.app, client: &http.Client{Transport: b.client.Transport, Jar: b.client.Jar, CheckRedirect: stay}}
	return tab.do(tab.request("GET", address))
}

// A link that was clicked twice, tabs that were restored: one token, one call.
func TestCallbacksOfOneTokenAtOnceAreOneCall(t *testing.T) {
	timed(t, func(t *testing.T, a *app) {
		b := a.browser()
		first := b.callback("/dashboard/", idxtest.Ada).String()
		second := b.callback("/dashboard/?tab=2", idxtest.Ada).String() // the hosted page gives the same token again
		a.hub.SetFault(idxtest.Fault{Kind: idxtest.SlowHeaders, Delay: time.Second})
		before := len(a.hub.Requests())
		var wg sync.WaitGroup
		for range 10 {
			for _, address := range []string{first, second} {
				wg.Go(func() {
					b.comeBack(address) // the second with its state has to go round once more
				})
			}
		}
		wg.Wait()
		if n := len(a.hub.Requests()) - before; n != 1 {
			t.Errorf("20 callbacks made %d calls, want 1", n)
		}
		b.open("/dashboard/").want(t, 200, "user")
	})
}

// stuckProvider answers about tokens when it is told to.
type stuckProvider struct {
	middleware.Provider
	release chan struct{}
	asked   atomic.Int64
}

func (p *stuckProvider) Profile(ctx context.Context, token idx.Token) (*idx.Profile, error) {
	p.asked.Add(1)
	select {
	case <-p.release:
		return p.Provider.Profile(ctx, token)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Logins do not need the management API, nor re-reads what logins ask.
func TestOneAPIDownAlone(t *testing.T) {
	timed(t, func(t *testing.T, a *app) {
		b := a.browser()
		b.signIn("/dashboard/", idxtest.Grace)
		later(6 * time.Minute)
		a.hub.SetFault(idxtest.Fault{Kind: idxtest.Unavailable, Path: "/manage/", RetryAfter: 30 * time.Second})
		b.open("/dashboard/").want(t, 200, "user")
		later(time.Second) // the account could not be read
		other := a.browser()
		other.comeBack(other.callback("/dashboard/", idxtest.Ada).String()).want(t, 303, "")
		a.hub.ClearFault()

		later(6 * time.Minute)
		a.hub.SetFault(idxtest.Fault{Kind: idxtest.Unavailable, Path: "/auth/account", RetryAfter: 30 * time.Second})
		visitor := a.browser()
		visitor.comeBack(visitor.callback("/dashboard/", idxtest.Ada).String()).want(t, 503, "provider_unavailable")
		a.hub.UpdateUser(idxtest.Grace.Email, func(u *idxtest.User) { u.Roles = []string{"admin"} })
		b.open("/dashboard/").want(t, 200, "user")
		later(time.Second)
		b.open("/admin").want(t, 200, "user")
	})
}

// When the API is back, one call finds out for all. Those of the others were not made, and
// must not count as tries.
func TestEverybodyIsReadAgainAfterAnOutage(t *testing.T) {
	const users = 20
	timed(t, func(t *testing.T, a *app) {
		var browsers []*browser
		for i := range users {
			u := a.hub.AddUser(idxtest.User{Email: "user" + strconv.Itoa(i) + "@example.com", Password: idxtest.Password, EmailVerified: true})
			b := a.browser()
			b.signIn("/dashboard/", u)
			browsers = append(browsers, b)
		}
		later(6 * time.Minute)
		a.hub.SetFault(idxtest.Fault{Kind: idxtest.ServerError})
		seconds := func(n int) (current int) {
			for range n {
				for _, b := range browsers {
					b.open("/dashboard/").want(t, 200, "user")
				}
				later(time.Second)
			}
			for _, b := range browsers {
				if b.open("/admin").StatusCode == http.StatusOK {
					current++
				}
			}
			return current
		}
		for i := range users {
			a.hub.UpdateUser("user"+strconv.Itoa(i)+"@example.com", func(u *idxtest.User) { u.Roles = []string{"admin"} })
		}
		before := len(a.hub.Requests())
		if n := seconds(3); n != 0 {
			t.Fatalf("%d accounts were read of an API that is down", n)
		}
		tried := make(map[string]bool) // accounts, whose sessions pause
		for _, r := range a.hub.Requests()[before:] {
			tried[r.Path] = true
		}
		if len(tried) > users/2 {
			t.Fatalf("%d of %d accounts were asked for although the API fails", len(tried), users)
		}
		a.hub.SetFault(idxtest.Fault{Kind: idxtest.SlowHeaders, Delay: 100 * time.Millisecond}) // long enough to meet others
		if n := seconds(5); n < users-len(tried) {
			t.Errorf("5 s after the outage %d of %d accounts were read again, all but %d want to be", n, users, len(tried))
		}
		if n := seconds(30); n != users {
			t.Errorf("35 s after the outage %d of %d accounts were read again", n, users)
		}
	}, func(c *middleware.Config) { c.APIRate = -1 })
}

func TestCallbacksAreCapped(t *testing.T) {
	stuck := new(stuckProvider)
	timed(t, func(t *testing.T, a *app) {
		honest := a.browser()
		address := honest.callback("/dashboard/", idxtest.Ada).String()
		crowd := make([]string, 1100)
		b := a.browser()
		for i := range crowd { // each with a token of its own
			u := b.callback("/dashboard/", idxtest.Grace)
			q := u.Query()
			q.Set("token", string(a.hub.IssueToken(idxtest.Grace.Email)))
			u.RawQuery = q.Encode()
			crowd[i] = u.String()
		}
		var answers sync.Map
		var wg sync.WaitGroup
		for i, address := range crowd {
			wg.Go(func() { answers.Store(i, b.comeBack(address)) })
		}
		synctest.Wait()
		if n := stuck.asked.Load(); n != 64 {
			t.Errorf("%d callbacks ask the API at once, want 64", n)
		}
		refused := 0
		answers.Range(func(_, v any) bool { refused++; return true })
		if refused != 1100-1024 {
			t.Errorf("%d callbacks were turned away at once, want %d", refused, 1100-1024)
		}

		start := time.Now()
		for range 6 {
			got := honest.comeBack(address)
			got.want(t, 503, "too_busy")
			wantRetryAfter(t, got)
		}
		if time.Since(start) != 0 {
			t.Errorf("one more waited for %v", time.Since(start))
		}

		time.Sleep(3*time.Second + 1)
		synctest.Wait() // those who waited for a place have given up
		close(stuck.release)
		wg.Wait()
		let := 0
		answers.Range(func(_, v any) bool {
			got := v.(*answer)
			switch got.StatusCode {
			case http.StatusSeeOther, http.StatusFound: // signed in, or the state of somebody who already was
				let++
			case http.StatusServiceUnavailable:
				got.want(t, 503, "too_busy")
				wantRetryAfter(t, got)
			default:
				t.Errorf("callback: %s", got.Status)
			}
			return true
		})
		if let != 64 {
			t.Errorf("%d callbacks got through, want 64", let)
		}
		if got := honest.comeBack(address); got.StatusCode != http.StatusSeeOther { // nothing was used up
			t.Errorf("the callback, tried again: %s", got.Status)
		}
		honest.open("/dashboard/").want(t, 200, "user "+idxtest.Ada.Email)
	}, func(c *middleware.Config) {
		c.APIRate = -1
		client, err := idx.New(c.IDX)
		if err != nil {
			panic(err)
		}
		stuck.Provider = client
		c.Provider = stuck
		stuck.release = make(chan struct{})
	})
}

// Whoever leaves makes no place for another: the call that he caused goes on.
func TestVisitorsWhoLeaveAreCappedToo(t *testing.T) {
	stuck := new(stuckProvider)
	timed(t, func(t *testing.T, a *app) {
		b := a.browser()
		var wg sync.WaitGroup
		for range 4 {
			ctx, leave := context.WithCancel(t.Context())
			for range 50 {
				u := b.callback("/dashboard/", idxtest.Grace)
				q := u.Query()
				q.Set("token", string(a.hub.IssueToken(idxtest.Grace.Email)))
				u.RawQuery = q.Encode()
				req := b.request("GET", u.String()).WithContext(ctx)
				wg.Go(func() {
					tab := &browser{app: a, client: &http.Client{Transport: b.client.Transport, Jar: b.client.Jar, CheckRedirect: stay}}
					tab.do(req)
				})
			}
			synctest.Wait()
			leave()
			wg.Wait()
		}
		if n := stuck.asked.Load(); n > 64 {
			t.Errorf("%d callbacks ask the API at once, want at most 64", n)
		}
		close(stuck.release)
		later(0)
		if got := b.comeBack(b.callback("/dashboard/", idxtest.Grace).String()); got.StatusCode != http.StatusSeeOther {
			t.Errorf("a callback after that: %s", got.Status)
		}
	}, func(c *middleware.Config) {
		c.APIRate = -1
		client, err := idx.New(c.IDX)
		if err != nil {
			panic(err)
		}
		stuck.Provider = client
		c.Provider = stuck
		stuck.release = make(chan struct{})
	})
}

func wantRetryAfter(t *testing.T, got *answer) {
	t.Helper()
	if n, err := strconv.Atoi(got.Header.Get("Retry-After")); err != nil || n < 1 || n > 10 {
		t.Errorf("Retry-After %q, want some seconds", got.Header.Get("Retry-After"))
	}
}

// A crowd that comes back when it is told to is in as soon as the rate lets it, and does not
// knock more often than it has to.
func TestCrowdIsToldWhenToComeBack(t *testing.T) {
	const visitors, rate = 300, 10.0
	timed(t, func(t *testing.T, a *app) {
		var knocks, longest atomic.Int64
		var wg sync.WaitGroup
		start := time.Now()
		for range visitors {
			b := a.browser()
			address := b.callback("/dashboard/", idxtest.Grace).String()
			wg.Go(func() {
				for {
					knocks.Add(1)
					got := b.comeBack(address)
					if got.StatusCode == http.StatusSeeOther {
						return
					}
					got.want(t, 503, "too_busy")
					seconds, err := strconv.Atoi(got.Header.Get("Retry-After"))
					if err != nil || seconds < 2 || seconds > 65 {
						t.Errorf("Retry-After %q", got.Header.Get("Retry-After"))
						return
					}
					longest.Store(max(longest.Load(), int64(seconds)))
					time.Sleep(time.Duration(seconds) * time.Second)
				}
			})
		}
		wg.Wait()
		if took, least := time.Since(start), seconds(visitors/(0.75*rate)); took > least+15*time.Second {
			t.Errorf("%d logins took %v, want little more than %v", visitors, took, least)
		}
		if n := knocks.Load(); n > 3*visitors || longest.Load() < 20 {
			t.Errorf("%d visitors knocked %d times; the longest wait was %d s", visitors, n, longest.Load())
		}
	}, func(c *middleware.Config) { c.APIRate = rate })
}

func seconds(n float64) time.Duration { return time.Duration(n * float64(time.Second)) }

// A flood of invented tokens uses up the rate of logins, and no more than that: those
// who are signed in are read again as ever.
func TestFloodOfTokensLeavesRereadsAlone(t *testing.T) {
	const rate = 10.0
	for name, change := range map[string]func(*middleware.Config){
		"with API secret":    func(*middleware.Config) {},
		"without API secret": withoutSecret,
	} {
		t.Run(name, func(t *testing.T) {
			timed(t, func(t *testing.T, a *app) {
				b := a.browser()
				b.signIn("/dashboard/", idxtest.Ada)
				a.hub.UpdateUser(idxtest.Ada.Email, func(u *idxtest.User) { u.Blocked = true })
				later(6 * time.Minute)

				attacker := a.browser()
				before := len(a.hub.Requests())
				start := time.Now()
				var calls, turnedAway atomic.Int64
				flood, stop := context.WithCancel(t.Context())
				var wg sync.WaitGroup
				for range 40 {
					wg.Go(func() {
						for flood.Err() == nil {
							at := attacker.comeBack("/dashboard/").Header.Get("Location")
							got := attacker.comeBack(returnURL(t, at) + "&token=" + rand.Text())
							calls.Add(1)
							if got.StatusCode == http.StatusServiceUnavailable {
								turnedAway.Add(1)
							}
							time.Sleep(100 * time.Millisecond)
						}
					})
				}
				later(20 * time.Second)
				b.comeBack("/dashboard/").want(t, 200, "user")
				later(2 * time.Second)
				b.comeBack("/dashboard/").want(t, http.StatusFound, "") // read again, and out
				stop()
				wg.Wait()

				limit := 0.75*rate*time.Since(start).Seconds() + 2*rate + 1
				if n := len(a.hub.Requests()) - before; float64(n) > limit {
					t.Errorf("%d attempts made %d calls in %v, want at most %.0f", calls.Load(), n, time.Since(start), limit)
				}
				if turnedAway.Load() == 0 {
					t.Error("nobody was turned away")
				}
			}, change, func(c *middleware.Config) { c.APIRate = rate })
		})
	}
}

// Logins and re-reads together keep to the rate.
func TestLoginsCountForRereads(t *testing.T) {
	timed(t, func(t *testing.T, a *app) {
		var away []*browser
		for i := range 10 {
			u := a.hub.AddUser(idxtest.User{Email: "user" + strconv.Itoa(i) + "@example.com", Password: idxtest.Password, EmailVerified: true})
			b := a.browser()
			b.signIn("/dashboard/", u)
			away = append(away, b)
		}
		later(3 * time.Hour)
		for range 15 { // at once, of the 20 calls that are allowed so
			a.browser().signIn("/dashboard/", idxtest.Ada)
		}
		start := time.Now()
		for _, b := range away {
			b.comeBack("/dashboard/").want(t, 200, "user")
		}
		if took := time.Since(start); took < 400*time.Millisecond || took > time.Second {
			t.Errorf("ten re-reads, of which five are allowed at once, took %v", took)
		}
	}, func(c *middleware.Config) { c.APIRate = 10 })
}

// Pages never wait for an API that fails, in whichever way, and the API is left alone.
func TestPageViewsNeverQueueBehindTheAPI(t *testing.T) {
	for _, fault := range []idxtest.Fault{
		{Kind: idxtest.SlowHeaders, Delay: time.Hour},
		{Kind: idxtest.SlowBody, Delay: time.Hour},
		{Kind: idxtest.ServerError},
		{Kind: idxtest.Reset},
		{Kind: idxtest.RateLimitJSON, RetryAfter: 3 * time.Second},
	} {
		for _, rate := range []float64{-1, 5} { // any, and that of a tenant in development
			testPageViewsInAnOutage(t, fault, rate)
		}
	}
}

func testPageViewsInAnOutage(t *testing.T, fault idxtest.Fault, rate float64) {
	t.Run(fmt.Sprint(fault.Kind, " at rate ", rate), func(t *testing.T) {
		timedPair(t, 1, func(t *testing.T, p *pair) {
			for i := range 60 { // of as many users
				u := p.hub.AddUser(idxtest.User{Email: "user" + strconv.Itoa(i) + "@example.com", Password: idxtest.Password, EmailVerified: true})
				b := p.browser()
				b.signIn("/dashboard/", u)
				p.browsers = append(p.browsers, b)
			}
			later(6 * time.Minute)
			p.hub.SetFault(fault)
			views := 0
			n := p.calls(func() {
				for range 10 * 60 / 5 { // ten minutes, every five seconds
					for i, b := range p.browsers {
						start := time.Now()
						p.onBoth(i, b, "/dashboard/").want(t, 200, "user")
						if time.Since(start) != 0 {
							t.Errorf("a page took %v", time.Since(start))
						}
						views++
					}
					later(5 * time.Second)
				}
			})
			// One call in five seconds and instance, as people look at pages.
			if limit := 2 * (10*60/5 + 40); n > limit {
				t.Errorf("%d page views made %d calls, want at most %d", views, n, limit)
			}
			// Whoever signs in just now is told at once, but for one who finds out for all.
			b := p.browser()
			address := b.callback("/dashboard/", idxtest.Ada).String()
			for range 20 { // far more than the rate allows
				b.comeBack(b.callback("/dashboard/", idxtest.Grace).String()+rand.Text()).want(t, 503, "provider_unavailable")
			}
			go b.comeBack(b.callback("/dashboard/", idxtest.Grace).String() + "x") // another token
			synctest.Wait()
			start := time.Now()
			got := b.comeBack(address)
			got.want(t, 503, "provider_unavailable")
			wantRetryAfter(t, got)
			got.want(t, 503, `<a class="button" href="">Try again</a>`)
			if took := time.Since(start); took != 0 {
				t.Errorf("a login took %v to fail", took)
			}
			later(6 * time.Second)
			p.hub.ClearFault()
			later(6 * time.Second)
			p.view("/dashboard/")
			if got := b.comeBack(address); got.StatusCode != http.StatusSeeOther {
				t.Errorf("six seconds after the outage a login gets %s", got.Status)
			}
		}, func(c *middleware.Config) { c.APIRate = rate })
	})
}

// returnURL returns where the hosted page would go back to.
func returnURL(t *testing.T, hostedPage string) string {
	u, err := url.Parse(hostedPage)
	if err != nil {
		t.Error(err)
		return ""
	}
	return u.Query().Get("return_url")
}

// A page of an outage is reloaded, as it asks for: that uses nothing up, and ends in no
// advice about cookies.
func TestReloadsInAnOutageUseNothingUp(t *testing.T) {
	timed(t, func(t *testing.T, a *app) {
		b := a.browser()
		address := b.callback("/dashboard/", idxtest.Ada).String()
		a.hub.SetFault(idxtest.Fault{Kind: idxtest.ServerError})
		for range 36 { // three minutes
			got := b.open(address)
			got.want(t, 503, "provider_unavailable")
			address = got.at()
			later(5 * time.Second)
		}
		a.hub.ClearFault()
		b.comeBack(address).want(t, 303, "")
	}, func(c *middleware.Config) { c.APIRate = -1 })
}

// One who was refused while another one tried whether the API is back keeps nobody out once
// it has answered. A verdict is an answer too.
func TestNobodyIsRefusedOnceTheAPIHasAnswered(t *testing.T) {
	for _, tt := range []struct {
		name   string
		token  string // that finds out; "": the visitor's own
		status int
	}{
		{"with a profile", "", 303},
		{"that the token is none", "11111111-1111-4111-8111-111111111111", 302},
	} {
		t.Run(tt.name, func(t *testing.T) {
			timed(t, func(t *testing.T, a *app) {
				var browsers []*browser
				var addresses []string
				for range 8 {
					b := a.browser()
					browsers, addresses = append(browsers, b), append(addresses, b.callback("/dashboard/", idxtest.Ada).String())
				}
				if before, _, ok := strings.Cut(addresses[5], "token="); ok && tt.token != "" {
					addresses[5] = before + "token=" + tt.token
				}
				a.hub.SetFault(idxtest.Fault{Kind: idxtest.ServerError})
				for i := range 5 {
					browsers[i].comeBack(addresses[i]).want(t, 503, "provider_unavailable")
				}
				later(10 * time.Second)
				a.hub.SetFault(idxtest.Fault{Kind: idxtest.SlowHeaders, Delay: 100 * time.Millisecond})
				var first sync.WaitGroup
				first.Go(func() { browsers[5].comeBack(addresses[5]).want(t, tt.status, "") })
				synctest.Wait()
				browsers[6].comeBack(addresses[6]).want(t, 503, "provider_unavailable")
				first.Wait()
				browsers[7].comeBack(addresses[7]).want(t, 303, "")
			}, func(c *middleware.Config) { c.APIRate = -1 })
		})
	}
}

// Pages that look once more before they refuse somebody do not each wait for an API that
// hangs.
func TestUnverifiedUsersWhileTheAPIHangs(t *testing.T) {
	timed(t, func(t *testing.T, a *app) {
		var browsers []*browser
		for i := range 30 {
			u := a.hub.AddUser(idxtest.User{Email: fmt.Sprintf("user%d@example.com", i), Password: idxtest.Password})
			b := a.browser()
			b.signIn("/dashboard/", u)
			browsers = append(browsers, b)
		}
		a.hub.SetFault(idxtest.Fault{Kind: idxtest.SlowHeaders, Delay: time.Hour})
		late := 0
		for range 3 {
			for _, b := range browsers {
				start := time.Now()
				b.comeBack("/verified").want(t, 403, "email_unverified")
				if time.Since(start) > time.Second {
					late++
				}
			}
		}
		if late > 10 {
			t.Errorf("%d of 90 pages waited", late)
		}
	}, func(c *middleware.Config) { c.APIRate = -1 })
}

// Who could not be let in any more waits no longer than for the one call that finds out that
// the API is back.
func TestOverdueSessionsAreBackWithTheAPI(t *testing.T) {
	timed(t, func(t *testing.T, a *app) {
		var browsers []*browser
		for i := range 8 {
			u := a.hub.AddUser(idxtest.User{Email: fmt.Sprintf("user%d@example.com", i), Password: idxtest.Password, EmailVerified: true})
			b := a.browser()
			b.signIn("/dashboard/", u)
			browsers = append(browsers, b)
		}
		view := func() (refused int) {
			for _, b := range browsers {
				if b.comeBack("/dashboard/").StatusCode == http.StatusServiceUnavailable {
					refused++
				}
			}
			return refused
		}
		later(6 * time.Minute)
		a.hub.SetFault(idxtest.Fault{Kind: idxtest.ServerError})
		for range 32 * 6 {
			view()
			later(10 * time.Second)
		}
		if n := view(); n != len(browsers) {
			t.Fatalf("%d of %d are refused after StaleFor", n, len(browsers))
		}
		later(5 * time.Second)
		a.hub.SetFault(idxtest.Fault{Kind: idxtest.SlowHeaders, Delay: 100 * time.Millisecond})
		var all sync.WaitGroup
		for _, b := range browsers { // one finds out, the others are refused meanwhile
			all.Go(func() { b.comeBack("/dashboard/") })
		}
		all.Wait()
		later(trialPause)
		if n := view(); n != 0 {
			t.Errorf("%d of %d are refused although the API has answered", n, len(browsers))
		}
	}, func(c *middleware.Config) { c.APIRate = -1 })
}

// trialPause is when to come back while somebody tries whether the API is back.
const trialPause = 500 * time.Millisecond

// A firewall that does not like tokens: no more than five with one state.
func TestTokensThatAFirewallRefuses(t *testing.T) {
	var calls atomic.Int32
	timed(t, func(t *testing.T, a *app) {
		b := a.browser()
		start := b.step(b.request("GET", "/dashboard/"))
		at, err := start.Location()
		if err != nil {
			t.Fatal(err)
		}
		back := at.Query().Get("return_url")
		for range 50 {
			b.step(b.request("GET", back+"&token=00000000-0000-0000-0000-00000000000"+string("123456789"[calls.Load()%9])))
			later(time.Second)
		}
		if n := calls.Load(); n > 5 {
			t.Errorf("one state, and %d calls of the API", n)
		}
	}, func(c *middleware.Config) {
		c.IDX.HTTPClient = &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			calls.Add(1)
			return &http.Response{StatusCode: 403, Header: http.Header{}, Body: io.NopCloser(strings.NewReader("forbidden")), Request: r}, nil
		})}
	})
}
