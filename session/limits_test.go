package session_test

import (
	"errors"
	"net/http"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/idxauth/idxauth/session"
)

// limits runs test in a bubble with its own clock.
func limits(t *testing.T, cfg session.Config, test func(t *testing.T, store *recorder, m *session.Manager)) {
	synctest.Test(t, func(t *testing.T) {
		store := &recorder{Store: session.NewMemory()}
		m := newManager(t, store, cfg)
		test(t, store, m)
	})
}

// load is one request, touch included.
func load(t *testing.T, m *session.Manager, r *http.Request) {
	t.Helper()
	mustLoad(t, m, r)
	synctest.Wait()
}

func TestIdleLimit(t *testing.T) {
	limits(t, session.Config{}, func(t *testing.T, _ *recorder, m *session.Manager) {
		_, r := signIn(t, m, "ada")
		time.Sleep(24*time.Hour - time.Second)
		load(t, m, r)
		time.Sleep(24*time.Hour - time.Second)
		load(t, m, r)
		time.Sleep(24 * time.Hour)
		wantStranger(t, m, r)
	})
}

func TestAbsoluteLimitHoldsForSessionsInUse(t *testing.T) {
	limits(t, session.Config{}, func(t *testing.T, _ *recorder, m *session.Manager) {
		_, r := signIn(t, m, "ada")
		start := time.Now()
		for time.Since(start) < 7*24*time.Hour-time.Minute {
			load(t, m, r)
			time.Sleep(30 * time.Second)
		}
		load(t, m, r)
		time.Sleep(time.Minute)
		wantStranger(t, m, r)
	})
}

func TestNoIdleLimit(t *testing.T) {
	limits(t, session.Config{Idle: -1}, func(t *testing.T, store *recorder, m *session.Manager) {
		_, r := signIn(t, m, "ada")
		time.Sleep(7*24*time.Hour - time.Second)
		load(t, m, r)
		if calls := store.take(); slices.Contains(calls, "Touch") {
			t.Errorf("touched: %q", calls)
		}
		time.Sleep(time.Second)
		wantStranger(t, m, r)
	})
}

func TestTouchOncePerInterval(t *testing.T) {
	limits(t, session.Config{Idle: time.Hour}, func(t *testing.T, store *recorder, m *session.Manager) {
		_, r := signIn(t, m, "ada")
		for range 120 {
			time.Sleep(30 * time.Second)
			load(t, m, r)
		}
		// An hour with a request each 30 s, and 5 min between touches.
		if n := count(store.take(), "Touch"); n != 12 {
			t.Errorf("%d touches in an hour, want 12", n)
		}
	})
}

func TestTouchIsCoalesced(t *testing.T) {
	limits(t, session.Config{Idle: time.Hour}, func(t *testing.T, store *recorder, m *session.Manager) {
		_, r := signIn(t, m, "ada")
		time.Sleep(10 * time.Minute)
		for range 64 {
			go m.Load(r)
		}
		synctest.Wait()
		if n := count(store.take(), "Touch"); n != 1 {
			t.Errorf("%d touches by 64 requests at once, want 1", n)
		}
	})
}

func TestNoTouchOnceTheDeadlineBounds(t *testing.T) {
	limits(t, session.Config{Idle: time.Hour, Absolute: 90 * time.Minute}, func(t *testing.T, store *recorder, m *session.Manager) {
		_, r := signIn(t, m, "ada")
		time.Sleep(40 * time.Minute)
		load(t, m, r) // extends to the deadline
		store.take()
		for range 49 {
			time.Sleep(time.Minute)
			load(t, m, r)
		}
		if n := count(store.take(), "Touch"); n != 0 {
			t.Errorf("%d touches, want none", n)
		}
		time.Sleep(time.Minute)
		wantStranger(t, m, r)
	})
}

func TestTouchDuringAnOutage(t *testing.T) {
	limits(t, session.Config{Idle: time.Hour}, func(t *testing.T, store *recorder, m *session.Manager) {
		_, r := signIn(t, m, "ada")
		time.Sleep(30 * time.Minute)
		store.fail("Touch", errors.New("READONLY"))
		load(t, m, r)
		store.fail("", nil)
		load(t, m, r) // tries again
		if n := count(store.take(), "Touch"); n != 2 {
			t.Errorf("%d touches, want 2", n)
		}
		time.Sleep(59 * time.Minute)
		load(t, m, r)
	})
}

func TestTouchAndLogout(t *testing.T) {
	limits(t, session.Config{Idle: time.Hour}, func(t *testing.T, store *recorder, m *session.Manager) {
		s, r := signIn(t, m, "ada")
		time.Sleep(30 * time.Minute)
		store.hook(func(method string) { // the touch leaves after the logout
			if method == "Touch" {
				store.hook(nil)
				m.End(t.Context(), s)
			}
		})
		load(t, m, r)
		wantStranger(t, m, r)
	})
}

func TestValueExtendsTheIdleLimitButNotTheDeadline(t *testing.T) {
	limits(t, session.Config{Idle: time.Hour, Absolute: 2 * time.Hour}, func(t *testing.T, _ *recorder, m *session.Manager) {
		_, r := signIn(t, m, "ada")
		ctx := in(t, m, r)
		time.Sleep(59 * time.Minute)
		mustPut(t, ctx, "k", 1)
		time.Sleep(59 * time.Minute)
		mustPut(t, ctx, "k", 2)
		time.Sleep(2 * time.Minute)
		wantError(t, "Put after the deadline", session.Put(ctx, "k", 3), session.ErrRevoked)
		wantStranger(t, m, r)
	})
}

func TestPresets(t *testing.T) {
	for name, tt := range map[string]struct {
		cfg            session.Config
		used, absolute time.Duration
	}{
		"AAL1": {session.AAL1(), 29 * 24 * time.Hour, 30 * 24 * time.Hour},
		"AAL2": {session.AAL2(), 59 * time.Minute, 24 * time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			limits(t, tt.cfg, func(t *testing.T, _ *recorder, m *session.Manager) {
				s, r := signIn(t, m, "ada")
				if d := s.Deadline().Sub(s.Created()); d != tt.absolute {
					t.Errorf("deadline after %v, want %v", d, tt.absolute)
				}
				time.Sleep(tt.used)
				load(t, m, r)
			})
		})
	}
}

func count(calls []string, method string) (n int) {
	for _, c := range calls {
		if c == method {
			n++
		}
	}
	return n
}
