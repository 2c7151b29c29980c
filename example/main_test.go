package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/idxauth/idxauth/idx/idxtest"
)

// withoutSettings is a fresh machine, but for the port.
func withoutSettings(t *testing.T) {
	t.Helper()
	for _, name := range []string{"BASE_URL", "REDIS_URL", "REDIS_URL_FILE", "LOGINRADIUS_APP_NAME", "LOGINRADIUS_API_KEY",
		"LOGINRADIUS_API_SECRET", "LOGINRADIUS_API_SECRET_FILE", "LOGINRADIUS_HUB_URL", "LOGINRADIUS_API_URL"} {
		t.Setenv(name, "")
	}
	t.Setenv("ADDR", "localhost:0")
}

// start runs the example as a newcomer does, on a free port, and stops it with the
// test.
func start(t *testing.T) (baseURL string, hub *idxtest.Server) {
	t.Helper()
	withoutSettings(t)
	baseURL, hub, _ = begin(t)
	return baseURL, hub
}

// begin runs the example with the settings in the environment. stop ends it, as a signal
// does, and returns when it has ended; the test's end does so too.
func begin(t *testing.T) (baseURL string, hub *idxtest.Server, stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	type where struct {
		baseURL string
		hub     *idxtest.Server
	}
	up, done := make(chan where, 1), make(chan error, 1)
	go func() {
		done <- run(ctx, io.Discard, func(baseURL string, hub *idxtest.Server) { up <- where{baseURL, hub} })
	}()
	stop = sync.OnceFunc(func() {
		cancel()
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
		t.Cleanup(stop)
		if at.hub != nil {
			at.hub.Set(func(s *idxtest.Settings) { s.Headless = true })
		}
		return at.baseURL, at.hub, stop
	case err := <-done:
		cancel()
		t.Fatalf("run = %v", err)
		return "", nil, nil
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

// post sends a form.
func (v *visitor) post(path string, fields ...string) (*http.Response, string) {
	v.t.Helper()
	form := url.Values{}
	for i := 0; i < len(fields); i += 2 {
		form.Set(fields[i], fields[i+1])
	}
	req, err := http.NewRequest("POST", v.base+path, strings.NewReader(form.Encode()))
	if err != nil {
		v.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "text/html")
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

// A page that was refused opens as soon as the user has done what it asks for, not
// when the copy of the account in the session is next renewed.
func TestConfirmedAddressCountsAtOnce(t *testing.T) {
	base, hub := start(t)
	v := newVisitor(t, base)
	resp, body := v.signIn(hub, "/account", idxtest.Alan)
	if resp.StatusCode != 403 || !strings.Contains(body, `href="/account/changed"`) {
		t.Fatalf("unverified user on /account: %s:\n%.400s", resp.Status, body)
	}
	hub.UpdateUser(idxtest.Alan.Email, func(u *idxtest.User) { u.EmailVerified = true })
	resp, body = v.open("GET", "/account/changed", "text/html")
	if resp.Request.URL.String() != base+"/account" || !strings.Contains(body, "verified address") {
		t.Errorf("came to %s, %s", resp.Request.URL, resp.Status)
	}
}

// Somebody whose session is ended while he saves a note is signed out. Nothing is wrong
// with the store, and to try again is of no use.
func TestNoteOfASessionThatEndsMeanwhile(t *testing.T) {
	base, hub := start(t)
	v := newVisitor(t, base)
	v.signIn(hub, "/dashboard", idxtest.Grace)
	admin := newVisitor(t, base)
	admin.signIn(hub, "/admin", idxtest.Ada)

	form := url.Values{"note": {"buy milk"}}.Encode()
	body, sent := io.Pipe()
	req, err := http.NewRequest("POST", base+"/note", body)
	if err != nil {
		t.Fatal(err)
	}
	req.ContentLength = int64(len(form))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "text/html")
	// The server asks for the body when its handler begins to read it, and that is one for
	// users who are signed in.
	req.Header.Set("Expect", "100-continue")
	req = req.WithContext(httptrace.WithClientTrace(req.Context(), &httptrace.ClientTrace{
		Got100Continue: func() {
			admin.post("/admin/end", "uid", idxtest.Grace.UID)
			go func() {
				io.WriteString(sent, form)
				sent.Close()
			}()
		},
	}))
	client := &http.Client{
		Jar:           v.client.Jar,
		Transport:     &http.Transport{ExpectContinueTimeout: time.Minute},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if text := v.read(resp); resp.StatusCode != http.StatusSeeOther || resp.Header.Get("Location") != "/dashboard" {
		t.Fatalf("POST /note: %d to %q: %s", resp.StatusCode, resp.Header.Get("Location"), text)
	}
	v.client = client
	if resp, _ := v.open("GET", "/dashboard", "text/html"); resp.StatusCode != http.StatusFound {
		t.Errorf("GET /dashboard after that: status %d, want a login", resp.StatusCode)
	}
}

func TestNoteTooLong(t *testing.T) {
	base, hub := start(t)
	v := newVisitor(t, base)
	v.signIn(hub, "/dashboard", idxtest.Ada)
	for note, want := range map[string]int{"buy rope": 200, strings.Repeat("a", 5<<10): 400} {
		resp, err := v.client.PostForm(base+"/note", url.Values{"note": {note}})
		if err != nil {
			t.Fatal(err)
		}
		if v.read(resp); resp.StatusCode != want {
			t.Errorf("note of %d bytes: %s, want %d", len(note), resp.Status, want)
		}
	}
	if _, body := v.open("GET", "/dashboard", "text/html"); !strings.Contains(body, `value="buy rope"`) {
		t.Error("a note that was refused has replaced the one before")
	}
}

// Browsers hold form-action against redirects: without the hub in it, the button
// that signs out does nothing.
func TestPolicyNamesTheHub(t *testing.T) {
	base, hub := start(t)
	resp, _ := newVisitor(t, base).open("GET", "/", "text/html")
	if got := resp.Header.Get("Content-Security-Policy"); !strings.HasSuffix(got, "; form-action 'self' "+hub.URL) {
		t.Errorf("Content-Security-Policy: %s", got)
	}
}

func TestHalfTheSettings(t *testing.T) {
	tests := []struct{ name, value, want string }{
		{"LOGINRADIUS_APP_NAME", "my-app", "LOGINRADIUS_API_KEY"},
		{"LOGINRADIUS_API_KEY", "a-key", "LOGINRADIUS_API_KEY is set, and LOGINRADIUS_APP_NAME is not"},
		{"LOGINRADIUS_API_SECRET", "hunter2", "LOGINRADIUS_API_SECRET is set, and LOGINRADIUS_APP_NAME is not"},
		{"LOGINRADIUS_HUB_URL", "https://login.example", "LOGINRADIUS_HUB_URL is set, and LOGINRADIUS_APP_NAME is not"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			withoutSettings(t)
			t.Setenv(tt.name, tt.value)
			err := run(t.Context(), io.Discard, nil)
			if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("run = %v, want %q", err, tt.want)
			}
		})
	}
}

func TestAllAddressesAreOpenAtLocalhost(t *testing.T) {
	for addr, want := range map[string]string{
		":0": "http://localhost:", "0.0.0.0:0": "http://localhost:", "[::]:0": "http://localhost:",
		"127.0.0.1:0": "http://127.0.0.1:", "localhost:0": "http://localhost:",
	} {
		t.Setenv("ADDR", addr)
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer listener.Close()
		if got := baseURL(listener); !strings.HasPrefix(got, want) {
			t.Errorf("ADDR=%s: base URL %s, want %s…", addr, got, want)
		}
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
