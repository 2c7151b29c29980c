package idx_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"syscall"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/idxauth/idxauth/idx"
)

// script answers one request after another and then the last one for ever.
type script struct {
	steps []transport
	calls int
}

func (s *script) RoundTrip(r *http.Request) (*http.Response, error) {
	step := s.steps[min(s.calls, len(s.steps)-1)]
	s.calls++
	return step(r)
}

func status(code int, body string, header ...string) transport {
	return func(*http.Request) (*http.Response, error) {
		h := http.Header{}
		for i := 0; i < len(header); i += 2 {
			h.Set(header[i], header[i+1])
		}
		return response(code, h, body), nil
	}
}

func refused(*http.Request) (*http.Response, error) { return nil, syscall.ECONNREFUSED }

func brokenBody(*http.Request) (*http.Response, error) {
	resp := response(200, nil, "")
	resp.Body = io.NopCloser(iotest.ErrReader(io.ErrUnexpectedEOF))
	return resp, nil
}

func hang(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

func TestRetries(t *testing.T) {
	ok := status(200, smallProfile)
	tests := []struct {
		name     string
		steps    []transport
		deadline time.Duration // of the caller
		calls    int
		err      error
		atLeast  time.Duration // that the call takes
		atMost   time.Duration
	}{
		{name: "answered at once", steps: []transport{ok}, calls: 1},
		{name: "502 twice", steps: []transport{status(502, "<html>"), status(502, ""), ok}, calls: 3, atLeast: 150 * time.Millisecond, atMost: 450 * time.Millisecond},
		{name: "503", steps: []transport{status(503, ""), ok}, calls: 2, atLeast: 50 * time.Millisecond, atMost: 150 * time.Millisecond},
		{name: "504", steps: []transport{status(504, ""), ok}, calls: 2, atLeast: 50 * time.Millisecond, atMost: 150 * time.Millisecond},
		{name: "429", steps: []transport{status(429, "Too many requests"), ok}, calls: 2, atLeast: 50 * time.Millisecond, atMost: 150 * time.Millisecond},
		{name: "connection refused", steps: []transport{refused, ok}, calls: 2, atLeast: 50 * time.Millisecond, atMost: 150 * time.Millisecond},
		{name: "broken body", steps: []transport{brokenBody, ok}, calls: 2, atLeast: 50 * time.Millisecond, atMost: 150 * time.Millisecond},
		{name: "two retries at most", steps: []transport{status(503, "")}, calls: 3, err: idx.ErrUnavailable, atLeast: 150 * time.Millisecond, atMost: 450 * time.Millisecond},
		{name: "two retries at most when limited", steps: []transport{status(429, "")}, calls: 3, err: idx.ErrRateLimited, atLeast: 150 * time.Millisecond, atMost: 450 * time.Millisecond},

		{name: "500", steps: []transport{status(500, "")}, calls: 1, err: idx.ErrUnavailable},
		{name: "403", steps: []transport{status(403, "")}, calls: 1, err: idx.ErrUnavailable},
		{name: "invalid token", steps: []transport{status(403, `{"ErrorCode":905}`)}, calls: 1, err: idx.ErrTokenInvalid},
		{name: "verdict in a 503", steps: []transport{status(503, `{"ErrorCode":905}`)}, calls: 1, err: idx.ErrTokenInvalid},
		{name: "garbage", steps: []transport{status(200, "<html>")}, calls: 1, err: idx.ErrUnavailable},

		{name: "Retry-After in seconds", steps: []transport{status(429, "", "Retry-After", "2"), ok}, calls: 2, atLeast: 2 * time.Second, atMost: 2200 * time.Millisecond},
		{name: "Retry-After as date", steps: []transport{status(503, "", "Retry-After", "Sat, 01 Jan 2000 00:00:03 GMT"), ok}, calls: 2, atLeast: 3 * time.Second, atMost: 3200 * time.Millisecond},
		{name: "Retry-After in the past", steps: []transport{status(503, "", "Retry-After", "Fri, 31 Dec 1999 00:00:00 GMT"), ok}, calls: 2, atLeast: 50 * time.Millisecond, atMost: 150 * time.Millisecond},
		{name: "Retry-After garbage", steps: []transport{status(503, "", "Retry-After", "-1"), ok}, calls: 2, atLeast: 50 * time.Millisecond, atMost: 150 * time.Millisecond},
		{name: "Retry-After beyond the timeout", steps: []transport{status(429, "", "Retry-After", "5")}, calls: 1, err: idx.ErrRateLimited},
		{name: "Retry-After beyond the deadline", steps: []transport{status(429, "", "Retry-After", "1")}, deadline: time.Second, calls: 1, err: idx.ErrRateLimited},
		{name: "pause beyond the deadline", steps: []transport{status(503, "")}, deadline: 40 * time.Millisecond, calls: 1, err: idx.ErrUnavailable},

		{name: "API hangs", steps: []transport{hang}, calls: 1, err: idx.ErrUnavailable, atLeast: 5 * time.Second, atMost: 5 * time.Second},
		{name: "API hangs in a retry", steps: []transport{status(503, ""), hang}, calls: 2, err: idx.ErrUnavailable, atLeast: 5 * time.Second, atMost: 5 * time.Second},
		{name: "API hangs beyond the deadline", steps: []transport{hang}, deadline: time.Second, calls: 1, err: idx.ErrUnavailable, atLeast: time.Second, atMost: time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				api := &script{steps: tt.steps}
				client := mustNew(t, idx.Config{HTTPClient: &http.Client{Transport: api}})
				ctx := t.Context()
				if tt.deadline != 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, tt.deadline)
					defer cancel()
				}
				start := time.Now()
				_, err := client.Profile(ctx, testToken)
				if took := time.Since(start); took < tt.atLeast || took > tt.atMost {
					t.Errorf("call took %v, want %v to %v", took, tt.atLeast, tt.atMost)
				}
				if (err == nil) != (tt.err == nil) {
					t.Errorf("error = %v, want %v", err, tt.err)
				}
				checkClass(t, err, tt.err)
				if api.calls != tt.calls {
					t.Errorf("API saw %d calls, want %d", api.calls, tt.calls)
				}
			})
		})
	}
}

func TestTimeoutIsMatchable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := mustNew(t, idx.Config{HTTPClient: &http.Client{Transport: transport(hang), Timeout: 7 * time.Second}})
		start := time.Now()
		_, err := client.Profile(t.Context(), testToken)
		if took := time.Since(start); took != 7*time.Second || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("call took %v and returned %v", took, err)
		}
	})
}

func TestCallerGivesUpDuringPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := &script{steps: []transport{status(429, "", "Retry-After", "3")}}
		client := mustNew(t, idx.Config{HTTPClient: &http.Client{Transport: api}})
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		start := time.Now()
		_, err := client.Profile(ctx, testToken)
		if took := time.Since(start); took != time.Second || !errors.Is(err, context.Canceled) {
			t.Errorf("call took %v and returned %v", took, err)
		}
		checkClass(t, err, nil)
		if api.calls != 1 {
			t.Errorf("API saw %d calls, want 1", api.calls)
		}
	})
}

func TestRetryAfterIsReported(t *testing.T) {
	tests := []struct {
		value string
		want  time.Duration
	}{
		{"", 0},
		{"0", 0},
		{"60", time.Minute},
		{"3601", time.Hour},
		{"99999999999999999999999", time.Hour},
		{"9223372036", time.Hour},
		{"-5", 0},
		{"1.5", 0},
		{"soon", 0},
		{"Sat, 01 Jan 2000 00:01:00 GMT", time.Minute},
		{"Saturday, 01-Jan-00 00:01:00 GMT", time.Minute},
		{"Sat, 01 Jan 2050 00:00:00 GMT", time.Hour},
		{"Fri, 31 Dec 1999 00:00:00 GMT", 0},
	}
	for _, tt := range tests {
		synctest.Test(t, func(t *testing.T) {
			client := over(t, status(429, `{"ErrorCode":1,"Message":"slow down"}`, "Retry-After", tt.value))
			_, err := client.Profile(t.Context(), testToken)
			e, ok := errors.AsType[*idx.APIError](err)
			if !ok || e.RetryAfter != tt.want || e.Status != 429 || e.Code != 1 || e.Message != "slow down" {
				t.Errorf("with Retry-After %q: error = %#v, want RetryAfter %v", tt.value, e, tt.want)
			}
		})
	}
}

func TestRetryBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := &script{steps: []transport{status(503, "")}}
		client := mustNew(t, idx.Config{HTTPClient: &http.Client{Transport: api}})
		const calls = 200
		for range calls {
			if _, err := client.Profile(t.Context(), testToken); err == nil {
				t.Fatal("no error")
			}
			time.Sleep(6 * time.Second) // the breaker lets one call through
		}
		// A tenth, and the reserve of ten.
		if retries := api.calls - calls; retries < calls/10 || retries > calls/10+10 {
			t.Errorf("an outage of %d calls was met with %d retries", calls, retries)
		}
	})
}
