package main

import (
	"context"
	"io"
	"net/http"
	"net/http/cookiejar"
	"strings"
	"testing"
	"time"

	"github.com/idxauth/idxauth/idx/idxtest"
)

// start runs the example as a newcomer does, on a free port, and stops it with the
// test.
func start(t *testing.T) (baseURL string, hub *idxtest.Server) {
	t.Helper()
	for _, name := range []string{"BASE_URL", "REDIS_URL", "LOGINRADIUS_APP_NAME", "LOGINRADIUS_API_KEY", "LOGINRADIUS_API_SECRET"} {
		t.Setenv(name, "")
	}
	t.Setenv("ADDR", "localhost:0")
	ctx, stop := context.WithCancel(context.Background())
	type where struct {
		baseURL string
		hub     *idxtest.Server
	}
	up, done := make(chan where, 1), make(chan error, 1)
	go func() {
		done <- run(ctx, io.Discard, func(baseURL string, hub *idxtest.Server) { up <- where{baseURL, hub} })
	}()
	t.Cleanup(func() {
		stop()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("run = %v", err)
			}
		case <-time.After(20 * time.Second):
			t.Error("the example does not stop")
		}
	})
	select {
	case at := <-up:
		at.hub.Set(func(s *idxtest.Settings) { s.Headless = true })
		return at.baseURL, at.hub
	case err := <-done:
		t.Fatalf("run = %v", err)
		return "", nil
	}
}

type visitor struct {
	t      *testing.T
	client *http.Client
	base   string
}

func newVisitor(t *testing.T, base string) *visitor {
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &visitor{t, &http.Client{Jar: jar}, base}
}

func (v *visitor) open(method, path, accept string) (*http.Response, string) {
	v.t.Helper()
	req, err := http.NewRequest(method, v.base+path, nil)
	if err != nil {
		v.t.Fatal(err)
	}
	req.Header.Set("Accept", accept)
	resp, err := v.client.Do(req)
	if err != nil {
		v.t.Fatal(err)
	}
	return resp, v.read(resp)
}

func (v *visitor) read(resp *http.Response) string {
	v.t.Helper()
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		v.t.Fatal(err)
	}
	return string(body)
}

func (v *visitor) signIn(hub *idxtest.Server, path string, user idxtest.User) (*http.Response, string) {
	v.t.Helper()
	page, _ := v.open("GET", path, "text/html")
	resp, err := hub.SignIn(v.client, page, user.Email)
	if err != nil {
		v.t.Fatal(err)
	}
	return resp, v.read(resp)
}

func TestExample(t *testing.T) {
	base, hub := start(t)
	v := newVisitor(t, base)
	want := func(path, accept string, status int, text string) {
		t.Helper()
		resp, body := v.open("GET", path, accept)
		if resp.StatusCode != status || !strings.Contains(body, text) {
			t.Errorf("%s = %s, want %d with %q:\n%.400s", path, resp.Status, status, text, body)
		}
	}
	want("/", "text/html", 200, "Create an account")
	want("/healthz", "*/*", 200, "ok")
	want("/readyz", "*/*", 200, "ok")
	want("/style.css", "text/css", 200, "prefers-color-scheme")
	want("/nowhere", "text/html", 404, "Page not found")
	want("/api/me", "application/json", 401, `"code":"login_required"`)

	const deep = "/dashboard/reports?year=2026&q=a%26b"
	resp, body := v.signIn(hub, deep, idxtest.Grace)
	if resp.Request.URL.String() != base+deep || !strings.Contains(body, idxtest.Grace.Email) {
		t.Errorf("came to %s:\n%.400s", resp.Request.URL, body)
	}
	want("/", "text/html", 200, "Welcome back, Grace")
	want("/admin", "text/html", 403, "role_missing")
	want("/account", "text/html", 200, "verified address")
	want("/api/me", "application/json", 200, `"email":"grace@example.com"`)

	unverified := newVisitor(t, base)
	if resp, body := unverified.signIn(hub, "/account", idxtest.Alan); resp.StatusCode != 403 || !strings.Contains(body, "email_unverified") {
		t.Errorf("unverified user on /account: %s", resp.Status)
	}
	admin := newVisitor(t, base)
	if resp, _ := admin.signIn(hub, "/admin", idxtest.Ada); resp.StatusCode != 200 {
		t.Errorf("admin on /admin: %s", resp.Status)
	}

	if resp, body := v.open("POST", "/auth/logout", "text/html"); resp.Request.URL.String() != base+"/" || !strings.Contains(body, "Create an account") {
		t.Errorf("logout led to %s", resp.Request.URL)
	}
	if resp, _ := v.open("GET", "/dashboard", "text/html"); !strings.HasPrefix(resp.Request.URL.String(), hub.URL) {
		t.Errorf("after logout the dashboard leads to %s", resp.Request.URL)
	}
}

func TestNotesStayInTheSession(t *testing.T) {
	base, hub := start(t)
	v := newVisitor(t, base)
	v.signIn(hub, "/dashboard", idxtest.Ada)
	resp, err := v.client.Post(base+"/note", "application/x-www-form-urlencoded", strings.NewReader("note=buy+rope"))
	if err != nil {
		t.Fatal(err)
	}
	if body := v.read(resp); !strings.Contains(body, `value="buy rope"`) {
		t.Errorf("dashboard does not show the note: %s", resp.Status)
	}
}

func TestAddressInUse(t *testing.T) {
	base, _ := start(t)
	t.Setenv("ADDR", strings.TrimPrefix(base, "http://"))
	err := run(context.Background(), io.Discard, nil)
	if err == nil || !strings.Contains(err.Error(), "set ADDR") {
		t.Errorf("run on a port in use = %v", err)
	}
}
