package middleware_test

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/idxauth/idxauth/idx/idxtest"
	"github.com/idxauth/idxauth/middleware"
	"github.com/idxauth/idxauth/session"
)

// post sends the form of a page of the app's own.
func (b *browser) post(path string, headers ...string) *answer {
	b.app.t.Helper()
	return b.do(b.request("POST", path, append([]string{"Origin", b.app.origin, "Sec-Fetch-Site", "same-origin"}, headers...)...))
}

func (a *app) mustLogout(b *browser) {
	a.t.Helper()
	if got := b.post("/auth/logout"); got.at() != a.origin+"/" || got.body != "stranger" {
		a.t.Fatalf("logout led to %s: %.200s", got.at(), got.body)
	}
}

// eventually waits until ok.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("still not: %s", what)
		}
		time.Sleep(time.Millisecond) // between two looks
	}
}

func TestLogoutEndsItEverywhere(t *testing.T) {
	var hooked notes[string]
	a := newApp(t, func(c *middleware.Config) {
		c.Hooks.OnLogout = func(_ context.Context, user *middleware.Identity) { hooked.add(user.Email) }
	})
	b := a.browser()
	b.signIn("/dashboard/", idxtest.Ada)
	stolen := cookieHeader(b, "session", b.cookies()["session"])
	binding := b.cookies()["login"]
	b.seen = nil

	a.mustLogout(b)
	if want := a.hub.URL + "/auth.aspx?action=logout&return_url="; len(b.seen) == 0 || !strings.HasPrefix(b.seen[0], want) {
		t.Errorf("went by %q, want the hosted logout", b.seen)
	}
	if _, ok := b.cookies()["session"]; ok {
		t.Error("the session cookie is still there")
	}
	if b.cookies()["login"] == binding {
		t.Error("the binding's secret was not renewed")
	}
	if got := hooked.all(); !slices.Equal(got, []string{idxtest.Ada.Email}) {
		t.Errorf("OnLogout saw %q", got)
	}
	thief := a.browser()
	thief.step(thief.request("GET", "/dashboard/", "Cookie", stolen)).want(t, 302, "")
	eventually(t, "token invalidated at the API", func() bool {
		return a.hub.Count("GET /identity/v2/auth/access_token/InValidate") == 1
	})
	if at := b.open("/dashboard/").at(); !strings.HasPrefix(at, a.hub.URL) {
		t.Errorf("after logout the page leads to %s", at)
	}
}

func TestLogoutIsTheUsersOwnWill(t *testing.T) {
	a := newApp(t)
	b := a.browser()
	b.signIn("/dashboard/", idxtest.Ada)
	for _, tt := range []struct {
		name, method string
		headers      []string
		status       int
	}{
		{"post from another site", "POST", []string{"Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site"}, 403},
		{"post from a sister host", "POST", []string{"Origin", "https://sister.example", "Sec-Fetch-Site", "same-site"}, 403},
		{"post of an old browser from another site", "POST", []string{"Origin", "https://evil.example", "Sec-Fetch-Mode", "", "Sec-Fetch-Dest", ""}, 403},
		{"post from a sandbox", "POST", []string{"Origin", "null"}, 403},
		{"link on another site", "GET", []string{"Sec-Fetch-Site", "cross-site"}, 200},
		{"typed address", "GET", []string{"Sec-Fetch-Site", "none"}, 200},
		{"image", "GET", []string{"Sec-Fetch-Site", "same-origin", "Sec-Fetch-Mode", "no-cors", "Sec-Fetch-Dest", "image"}, 200},
		{"prefetch of an own link", "GET", []string{"Sec-Fetch-Site", "same-origin", "Sec-Purpose", "prefetch"}, 200},
		{"frame", "GET", []string{"Sec-Fetch-Site", "same-origin", "Sec-Fetch-Dest", "iframe"}, 200},
		{"link scanner", "HEAD", []string{"Sec-Fetch-Site", "same-origin"}, 200},
		{"old browser", "GET", []string{"Sec-Fetch-Mode", "", "Sec-Fetch-Dest", ""}, 200},
		{"PUT", "PUT", []string{"Sec-Fetch-Site", "same-origin"}, 405},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := b.step(b.request(tt.method, "/auth/logout", tt.headers...))
			if got.StatusCode != tt.status {
				t.Errorf("%s, want %d", got.Status, tt.status)
			}
			b.open("/dashboard/").want(t, 200, "user "+idxtest.Ada.Email)
		})
	}
	page := b.open("/auth/logout", "Sec-Fetch-Site", "cross-site")
	page.want(t, 200, `<form method="post" action="/auth/logout">`)
	if csp := page.Header.Get("Content-Security-Policy"); !strings.Contains(csp, "frame-ancestors 'none'") || !strings.Contains(csp, "form-action 'self' "+a.hub.URL) {
		t.Errorf("Content-Security-Policy %q", csp)
	}
	own := b.open("/auth/logout", "Sec-Fetch-Site", "same-origin")
	if own.body != "stranger" {
		t.Errorf("an own link led to %s: %.100s", own.at(), own.body)
	}
}

func TestLogoutByScript(t *testing.T) {
	a := newApp(t)
	b := a.browser()
	b.signIn("/dashboard/", idxtest.Ada)
	got := b.step(b.request("POST", "/auth/logout", "Sec-Fetch-Site", "same-origin", "Sec-Fetch-Mode", "cors", "Sec-Fetch-Dest", "empty", "Accept", "*/*"))
	got.want(t, 200, `{"logout":"`+a.hub.URL)
	b.step(b.request("GET", "/dashboard/")).want(t, 302, "")
}

func TestLogoutOfAStranger(t *testing.T) {
	a := newApp(t)
	a.mustLogout(a.browser())
}

func TestLogoutWithTheAPIDown(t *testing.T) {
	a := newApp(t)
	b := a.browser()
	b.signIn("/dashboard/", idxtest.Ada)
	stolen := cookieHeader(b, "session", b.cookies()["session"])
	a.hub.Close() // hub and API both

	got := b.step(b.request("POST", "/auth/logout", "Sec-Fetch-Site", "same-origin"))
	if got.StatusCode != http.StatusSeeOther {
		t.Errorf("logout = %s", got.Status)
	}
	thief := a.browser()
	thief.step(thief.request("GET", "/dashboard/", "Cookie", stolen)).want(t, 302, "")
}

// A request that is being served while its user logs out cannot bring the session
// back, whatever it does afterwards.
func TestLogoutWinsOverRequestsInFlight(t *testing.T) {
	a := newApp(t)
	entered, release := make(chan struct{}), make(chan struct{})
	var putErrs notes[error]
	a.mux.Handle("/slow", a.auth.RequireLogin(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(entered)
		<-release
		putErrs.add(session.Put(r.Context(), "cart", 1))
		_, refreshErr := a.auth.Refresh(r.Context())
		if refreshErr == nil {
			t.Error("Refresh succeeded after the logout")
		}
	})))
	b := a.browser()
	b.signIn("/dashboard/", idxtest.Ada)
	cookie := cookieHeader(b, "session", b.cookies()["session"])
	slow := a.browser()
	done := make(chan struct{})
	go func() {
		defer close(done)
		slow.step(slow.request("GET", "/slow", "Cookie", cookie))
	}()
	<-entered
	a.mustLogout(b)
	close(release)
	<-done
	if got := putErrs.all(); len(got) != 1 || got[0] == nil {
		t.Errorf("Put after the logout: %v, want an error", got)
	}
	slow.step(slow.request("GET", "/dashboard/", "Cookie", cookie)).want(t, 302, "")
}
