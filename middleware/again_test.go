package middleware_test

import (
	"strings"
	"testing"

	"github.com/idxauth/idxauth/idx/idxtest"
	"github.com/idxauth/idxauth/middleware"
)

// A page that could not be shown can be asked for again; a form that was lost cannot.
func TestTryAgain(t *testing.T) {
	store := &faultyStore{Store: newStore()}
	a := newApp(t, func(c *middleware.Config) { c.Store = store })
	b := a.browser()
	b.signIn("/dashboard/", idxtest.Grace)
	for _, tt := range []struct {
		method, path string
		down         bool
		status       int
		again        bool
	}{
		{"GET", "/dashboard/?a=b", true, 503, true},
		{"POST", "/dashboard/", true, 503, false},
		{"GET", "/admin", false, 403, false},
		{"POST", "/auth/logout", true, 503, false}, // it has a button of its own
	} {
		store.down.Store(tt.down)
		got := b.step(b.request(tt.method, tt.path, "Sec-Fetch-Site", "same-origin"))
		got.want(t, tt.status, "</h1>")
		if again := strings.Contains(got.body, `href="">Try again`); again != tt.again {
			t.Errorf("%s %s: the page says to try again: %v, want %v", tt.method, tt.path, again, tt.again)
		}
	}
}
