package middleware_test

import (
	"net/http"
	"slices"
	"testing"

	"github.com/idxauth/idxauth/idx/idxtest"
)

// What a stranger gets depends on his having no cookie: a cache that did not know that
// would show it to users.
func TestStrangersAnswersVaryByCookie(t *testing.T) {
	a := newApp(t)
	a.mux.Handle("/public", a.auth.LoadUser(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Add("Vary", "Accept-Encoding")
		a.page(w, r)
	})))
	b := a.browser()
	for _, tt := range []struct {
		path    string
		headers []string
		status  int
	}{
		{"/", nil, 200},
		{"/public", nil, 200},
		{"/dashboard/", nil, 302},
		{"/dashboard/", []string{"Sec-Fetch-Mode", "cors", "Accept", "*/*"}, 401},
		{"/dashboard/", []string{"Sec-Fetch-Dest", "iframe"}, 401},
	} {
		got := b.step(b.request("GET", tt.path, tt.headers...))
		if got.StatusCode != tt.status || !slices.Contains(got.Header["Vary"], "Cookie") {
			t.Errorf("GET %s %q = %s with Vary %q, want %d with Cookie", tt.path, tt.headers, got.Status, got.Header["Vary"], tt.status)
		}
	}
}

// Our own pages are shown in no frame and are what they say they are.
func TestHeadersOfOwnPages(t *testing.T) {
	a := newApp(t)
	stranger, grace := a.browser(), a.browser()
	grace.signIn("/dashboard/", idxtest.Grace)
	for name, got := range map[string]*answer{
		"sign out?":       stranger.open("/auth/logout", "Sec-Fetch-Site", "cross-site"),
		"please sign in":  stranger.open("/dashboard/", "Sec-Fetch-Dest", "iframe"),
		"check your mail": stranger.open("/auth/callback?action_completed=register"),
		"forbidden":       grace.open("/admin"),
	} {
		for header, want := range map[string]string{
			"Content-Type":           "text/html; charset=utf-8",
			"X-Content-Type-Options": "nosniff",
			"X-Frame-Options":        "DENY",
			"Referrer-Policy":        "no-referrer",
			"Cache-Control":          "no-store",
		} {
			if have := got.Header.Get(header); have != want {
				t.Errorf("page %q: %s %q, want %q", name, header, have, want)
			}
		}
	}
	got := grace.open("/admin", "Sec-Fetch-Mode", "cors", "Accept", "*/*")
	if have := got.Header.Get("X-Content-Type-Options"); have != "nosniff" {
		t.Errorf("problem+json: X-Content-Type-Options %q", have)
	}
}
