package middleware_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/idxauth/idxauth/idx/idxtest"
	"github.com/idxauth/idxauth/middleware"
	"github.com/idxauth/idxauth/session"
)

// faultyStore does not answer while down is set.
type faultyStore struct {
	session.Store
	down atomic.Bool
}

func (s *faultyStore) Load(ctx context.Context, k session.Key) (session.Record, error) {
	if s.down.Load() {
		return session.Record{}, errors.New("no answer")
	}
	return s.Store.Load(ctx, k)
}

// A fault that every request meets is told once a second, and how often it was met.
func TestFaultsDoNotFloodTheLog(t *testing.T) {
	store := &faultyStore{Store: newStore()}
	var hooked atomic.Int64
	timed(t, func(t *testing.T, a *app) {
		b := a.browser()
		b.signIn("/dashboard/", idxtest.Grace)
		b.step(b.request("GET", "/admin")).want(t, 403, "role_missing")
		store.down.Store(true)
		for range 100 {
			b.step(b.request("GET", "/")).want(t, 200, "stranger")
			b.step(b.request("GET", "/dashboard/")).want(t, 503, "store_unavailable")
		}
		if n := strings.Count(a.log.String(), "reason=store_unavailable"); n != 1 {
			t.Errorf("200 requests wrote %d lines, want 1", n)
		}
		if n := hooked.Load(); n != 200 {
			t.Errorf("OnError ran %d times for 200 requests", n)
		}
		if !strings.Contains(a.log.String(), "reason=role_missing") {
			t.Error("another reason is not told")
		}
		later(time.Second)
		b.step(b.request("GET", "/dashboard/"))
		if n := strings.Count(a.log.String(), "reason=store_unavailable"); n != 2 || !strings.Contains(a.log.String(), "suppressed=199") {
			t.Errorf("a second later there are %d lines, want 2, the last with suppressed=199:\n%s", n, a.log)
		}
	}, func(c *middleware.Config) {
		c.Store = store
		c.Hooks.OnError = func(context.Context, middleware.Problem) { hooked.Add(1) }
	})
}

// Re-reads that fail are told once a second too, however many sessions there are.
func TestFailedRereadsDoNotFloodTheLog(t *testing.T) {
	timed(t, func(t *testing.T, a *app) {
		var all []*browser
		for range 20 {
			b := a.browser()
			b.signIn("/dashboard/", idxtest.Ada)
			all = append(all, b)
		}
		later(6 * time.Minute)
		a.hub.SetFault(idxtest.Fault{Kind: idxtest.ServerError})
		for _, b := range all {
			a.servePageAs(b).want(t, 200, "user")
		}
		later(0)
		if n := strings.Count(a.log.String(), "account not read again"); n == 0 || n > 15 {
			t.Errorf("20 sessions wrote %d lines", n)
		}
	})
}

// Reasons that an application makes up as it goes fill no memory, and stay limited.
func TestMadeUpReasonsAreLimitedTogether(t *testing.T) {
	timed(t, func(t *testing.T, a *app) {
		refuseAll := func(*http.Request, *middleware.Identity) (bool, error) { return false, nil }
		for i := range 1000 {
			h := a.auth.Require(middleware.Check(middleware.Reason(fmt.Sprintf("reason_%d", i)), refuseAll))(http.NotFoundHandler())
			serveAs(h, validIdentity(t), "GET", "/")
		}
		if n := strings.Count(a.log.String(), "reason=reason_"); n > 300 {
			t.Errorf("1000 reasons wrote %d lines", n)
		}
	})
}
