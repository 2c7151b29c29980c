package idx_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/idxauth/idxauth/idx"
)

// switchable is an API whose behaviour changes as the test goes on.
type switchable struct {
	answer transport
	calls  atomic.Int32
}

func (s *switchable) RoundTrip(r *http.Request) (*http.Response, error) {
	s.calls.Add(1)
	return s.answer(r)
}

func newSwitchable(t *testing.T, answer transport) (*switchable, *idx.Client) {
	api := &switchable{answer: answer}
	return api, mustNew(t, idx.Config{APISecret: "secret", HTTPClient: &http.Client{Transport: api}})
}

// refusedAtOnce fails the test unless a call fails without having been made.
func refusedAtOnce(t *testing.T, api *switchable, client *idx.Client) {
	t.Helper()
	calls, start := api.calls.Load(), time.Now()
	_, err := client.Profile(t.Context(), testToken)
	checkClass(t, err, idx.ErrUnavailable)
	if api.calls.Load() != calls || time.Since(start) != 0 {
		t.Fatalf("%d calls made, which took %v: want none", api.calls.Load()-calls, time.Since(start))
	}
}

// reaches fails the test unless a call is made.
func reaches(t *testing.T, api *switchable, client *idx.Client) {
	t.Helper()
	calls := api.calls.Load()
	_, err := client.Profile(t.Context(), testToken)
	if api.calls.Load() == calls {
		t.Fatalf("no call was made: %v", err)
	}
}

func TestBreakerOpens(t *testing.T) {
	const bad = `{"ErrorCode":905}`
	tests := []struct {
		name   string
		answer transport
		opens  bool
	}{
		{"500", status(500, ""), true},
		{"502 with HTML", status(502, "<html>"), true},
		{"429", status(429, ""), true},
		{"connection refused", refused, true},
		{"broken body", brokenBody, true},
		{"no JSON", status(200, "<html>"), true},
		{"API hangs", hang, true},

		{"answered", status(200, smallProfile), false},
		{"invalid token", status(403, bad), false},
		{"invalid token, in a 500", status(500, bad), false},
		{"account blocked", status(403, `{"ErrorCode":991}`), false},
		{"wrong key", status(403, `{"ErrorCode":901}`), false},
		{"403 of a firewall", status(403, "<html>"), false},
		{"endless answer", status(200, strings.Repeat(" ", 2<<20)), false},
		{"profile without a user", status(200, `{"Uid":7}`), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				api, client := newSwitchable(t, tt.answer)
				for range 5 {
					reaches(t, api, client)
				}
				if tt.opens {
					refusedAtOnce(t, api, client)
				} else {
					reaches(t, api, client)
				}
			})
		})
	}
}

// The management API may be down for itself, and so may the rest.
func TestBreakersAreTwo(t *testing.T) {
	asUser := func(ctx context.Context, c *idx.Client) error { _, err := c.Profile(ctx, testToken); return err }
	asApp := func(ctx context.Context, c *idx.Client) error { _, err := c.Account(ctx, "u1"); return err }
	tests := []struct {
		name          string
		fails, others func(context.Context, *idx.Client) error
		answer        transport
		times         int
		stops         bool // the others too
	}{
		{"management is down", asApp, asUser, status(500, ""), 5, false},
		{"management asks for quiet", asApp, asUser, status(503, "", "Retry-After", "30"), 1, false},
		{"the rest is down", asUser, asApp, status(500, ""), 5, false},
		{"the rest asks for quiet", asUser, asApp, status(503, "", "Retry-After", "30"), 1, false},
		{"the rate of management is used up", asApp, asUser, status(429, "", "Retry-After", "30"), 1, true},
		{"the rate is used up", asUser, asApp, status(429, "", "Retry-After", "30"), 1, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				api, client := newSwitchable(t, tt.answer)
				for range tt.times {
					tt.fails(t.Context(), client)
				}
				calls := api.calls.Load()
				if err := tt.fails(t.Context(), client); api.calls.Load() != calls {
					t.Fatalf("what fails is asked on: %v", err)
				}
				api.answer = status(200, smallProfile)
				if err := tt.others(t.Context(), client); (err != nil) != tt.stops {
					t.Errorf("the other calls: %v", err)
				}
			})
		})
	}
}

func TestBreakerOpensAtHalf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api, client := newSwitchable(t, nil)
		for i := range 20 {
			api.answer = status(200, smallProfile)
			if i%2 == 1 {
				api.answer = status(500, "")
			}
			reaches(t, api, client)
		}
		refusedAtOnce(t, api, client)
	})
	synctest.Test(t, func(t *testing.T) {
		api, client := newSwitchable(t, nil)
		for i := range 200 {
			api.answer = status(200, smallProfile)
			if i%3 == 0 {
				api.answer = status(500, "")
			}
			reaches(t, api, client) // a third is not a half
		}
	})
}

func TestBreakerTriesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api, client := newSwitchable(t, status(500, ""))
		for range 5 {
			reaches(t, api, client)
		}
		for range 3 { // the API stays down: one call every two seconds
			refusedAtOnce(t, api, client)
			time.Sleep(2*time.Second + 1)
			reaches(t, api, client)
		}

		// While one call tries, nobody waits with it.
		time.Sleep(2*time.Second + 1)
		api.answer = hang
		go client.Profile(t.Context(), testToken)
		synctest.Wait()
		refusedAtOnce(t, api, client)
		time.Sleep(5 * time.Second) // it gives up

		time.Sleep(2*time.Second + 1)
		api.answer = status(200, smallProfile)
		for range 3 { // back, for everybody
			if _, err := client.Profile(t.Context(), testToken); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// What ends the call that tries must not keep the breaker open for ever.
func TestBreakerSurvivesTheCallThatTries(t *testing.T) {
	gaveUp, cancel := context.WithCancel(t.Context())
	cancel()
	tests := []struct {
		name string
		ctx  context.Context
		try  transport
	}{
		{"caller gave up", gaveUp, hang},
		{"panic in the transport", t.Context(), func(*http.Request) (*http.Response, error) { panic("transport") }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				api, client := newSwitchable(t, status(500, ""))
				for range 5 {
					reaches(t, api, client)
				}
				time.Sleep(2*time.Second + 1)
				api.answer = tt.try
				func() {
					defer func() { recover() }()
					client.Profile(tt.ctx, testToken)
				}()
				api.answer = status(500, "")
				reaches(t, api, client)
				refusedAtOnce(t, api, client) // it has not counted as an answer
			})
		})
	}
}

// Callers who give up early say nothing about the API.
func TestImpatientCallersOpenNoBreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api, client := newSwitchable(t, hang)
		for range 30 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			_, err := client.Profile(ctx, testToken)
			cancel()
			checkClass(t, err, idx.ErrUnavailable)
		}
		if api.calls.Load() != 30 {
			t.Errorf("%d calls were made, want 30", api.calls.Load())
		}
	})
}

// With a client that waits for longer than its callers do.
func TestBreakerOpensAtDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := &switchable{answer: hang}
		client := mustNew(t, idx.Config{HTTPClient: &http.Client{Transport: api, Timeout: time.Minute}})
		for range 5 {
			ctx, cancel := context.WithTimeout(t.Context(), 8*time.Second)
			_, err := client.Profile(ctx, testToken)
			cancel()
			checkClass(t, err, idx.ErrUnavailable)
		}
		refusedAtOnce(t, api, client)
	})
}

// A call that waits to be tried again is no reason to ask meanwhile.
func TestRetryAfterHoldsOtherCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answers := []transport{status(429, "", "Retry-After", "2"), status(200, smallProfile)}
		api, client := newSwitchable(t, nil)
		api.answer = func(r *http.Request) (*http.Response, error) { return answers[api.calls.Load()-1](r) }
		go func() {
			if _, err := client.Profile(t.Context(), testToken); err != nil {
				t.Error(err)
			}
		}()
		synctest.Wait()
		refusedAtOnce(t, api, client)
		time.Sleep(4 * time.Second)
		if api.calls.Load() != 2 {
			t.Errorf("%d calls, want the first and its second attempt", api.calls.Load())
		}
	})
}

// Of several requests for quiet the longest counts.
func TestShorterRetryAfterEndsNoLongerOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api, client := newSwitchable(t, status(429, "", "Retry-After", "30"))
		reaches(t, api, client)
		api.answer = status(429, "", "Retry-After", "20")
		client.Invalidate(t.Context(), testToken) // asks all the same
		time.Sleep(25 * time.Second)
		refusedAtOnce(t, api, client)
	})
}

// What only tells how long a token lives, or ends one, may fail without keeping
// anybody out.
func TestBreakerOpensForNoCallAside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api, client := newSwitchable(t, nil)
		for range 30 {
			api.answer = status(200, smallProfile)
			reaches(t, api, client)
			api.answer = status(500, "")
			client.Validate(t.Context(), testToken)
			client.Invalidate(t.Context(), testToken)
		}
		if api.calls.Load() != 90 {
			t.Errorf("%d calls were made, want 90", api.calls.Load())
		}
	})
}

func TestBreakerObeysRetryAfter(t *testing.T) {
	tests := []struct {
		name  string
		asked string
		quiet time.Duration
	}{
		{"half a minute", "30", 30 * time.Second},
		{"an hour", "3600", time.Minute},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				api, client := newSwitchable(t, status(429, "", "Retry-After", tt.asked))
				reaches(t, api, client)
				refusedAtOnce(t, api, client)
				time.Sleep(tt.quiet - time.Second)
				refusedAtOnce(t, api, client)
				_, err := client.Profile(t.Context(), testToken)
				if got := idx.RetryAfter(err); got != time.Second {
					t.Errorf("RetryAfter = %v, want 1s", got)
				}
				time.Sleep(time.Second)
				reaches(t, api, client)
			})
		})
	}
}

func TestRetryAfterOfErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api, client := newSwitchable(t, status(500, ""))
		for range 5 {
			_, err := client.Profile(t.Context(), testToken)
			if got := idx.RetryAfter(err); got != 0 {
				t.Errorf("RetryAfter of a 500 = %v", got)
			}
		}
		_, err := client.Profile(t.Context(), testToken)
		if got := idx.RetryAfter(err); got != 2*time.Second {
			t.Errorf("RetryAfter of a call that was not made = %v, want 2s", got)
		}
		api.answer = status(503, "", "Retry-After", "7")
		time.Sleep(6 * time.Second)
		_, err = client.Profile(t.Context(), testToken)
		if got := idx.RetryAfter(err); got != 7*time.Second {
			t.Errorf("RetryAfter of a 503 = %v, want 7s", got)
		}
		if got := idx.RetryAfter(errors.New("other")); got != 0 {
			t.Errorf("RetryAfter of another error = %v", got)
		}
	})
}

// A token whose user has signed out is to die: that is worth a try in any case.
func TestInvalidateAsksThroughAnOpenBreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api, client := newSwitchable(t, status(500, ""))
		for range 5 {
			reaches(t, api, client)
		}
		refusedAtOnce(t, api, client)
		api.answer = status(200, `{"IsPosted":true}`)
		if err := client.Invalidate(t.Context(), testToken); err != nil {
			t.Error(err)
		}
	})
}

// aside returns an API whose calls that no login waits for answer with aside, and all
// others with other.
func aside(aside, other transport) transport {
	return func(r *http.Request) (*http.Response, error) {
		if strings.HasSuffix(r.URL.Path, "/Validate") || strings.HasSuffix(r.URL.Path, "/InValidate") {
			return aside(r)
		}
		return other(r)
	}
}

// What one endpoint says about itself stops no logins, which do without it.
func TestRetryAfterOfACallAsideStopsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, client := newSwitchable(t, aside(status(503, "", "Retry-After", "60"), status(200, smallProfile)))
		for name, call := range map[string]func(){
			"Validate":   func() { client.Validate(t.Context(), testToken) },
			"Invalidate": func() { client.Invalidate(t.Context(), testToken) },
		} {
			call()
			if _, err := client.Profile(t.Context(), testToken); err != nil {
				t.Errorf("after %s: %v", name, err)
			}
			time.Sleep(2 * time.Minute)
		}
	})
}

// Whether the API is back is tried by those whom it keeps out. An end of a token that hangs
// would take their turn, again and again.
func TestCallAsideTakesNoTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api, client := newSwitchable(t, status(500, ""))
		for range 5 {
			reaches(t, api, client)
		}
		time.Sleep(2*time.Second + 1)
		api.answer = aside(hang, status(200, smallProfile))
		for i := range 20 { // people sign out, one every 4 s
			go client.Invalidate(context.Background(), testToken)
			synctest.Wait()
			if _, err := client.Profile(t.Context(), testToken); err != nil {
				t.Errorf("login %d: %v", i, err)
			}
			time.Sleep(4 * time.Second)
		}
		time.Sleep(time.Minute) // until the last one has been given up
	})
}

// Nor does one that is answered say that logins will be.
func TestCallAsideClosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api, client := newSwitchable(t, status(500, ""))
		for range 5 {
			reaches(t, api, client)
		}
		time.Sleep(2*time.Second + 1)
		api.answer = aside(status(200, `{"IsPosted":true}`), status(500, ""))
		if err := client.Invalidate(t.Context(), testToken); err != nil {
			t.Fatal(err)
		}
		reaches(t, api, client)
		refusedAtOnce(t, api, client)
	})
}
