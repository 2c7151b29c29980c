package middleware

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/idxauth/idxauth/idx"
	"github.com/idxauth/idxauth/session"
)

// What the fuzz targets of this package share: an application in the hands of
// strangers, and what must hold of each of its answers.

const (
	fuzzOrigin = "https://app.example"
	fuzzHub    = "https://my-app.hub.loginradius.com"
)

// fuzzApp is an application without a network that notes what it lets happen.
type fuzzApp struct {
	*Auth
	asked   atomic.Int32 // how often the API was
	written atomic.Int32 // how often the store was

	// held is what stands in the store where a token would be claimed; nil: nothing.
	held []byte
}

func newFuzzApp(t testing.TB, change ...func(*Config)) *fuzzApp {
	t.Helper()
	a := new(fuzzApp)
	cfg := Config{
		IDX:     idx.Config{AppName: "my-app", APIKey: "5f6c3f0e-2b0d-4f5b-9a37-0c1d8e6b7a42"},
		BaseURL: fuzzOrigin, Landing: "/landing", Devices: true,
		Provider: fuzzProvider{&a.asked},
		Store:    &fuzzStore{Store: session.NewMemory(), app: a},
		Logger:   slog.New(slog.DiscardHandler),
	}
	for _, c := range change {
		c(&cfg)
	}
	a.Auth = Must(New(cfg))
	return a
}

// fuzzProvider says of every token that it is Ada's.
type fuzzProvider struct{ asked *atomic.Int32 }

func (p fuzzProvider) URL(action idx.Action, returnURL string) string {
	return fuzzHub + "/auth.aspx?action=" + url.QueryEscape(string(action)) + "&return_url=" + url.QueryEscape(returnURL)
}

func (p fuzzProvider) Profile(context.Context, idx.Token) (*idx.Profile, error) {
	p.asked.Add(1)
	return &idx.Profile{UID: "ada", IsActive: true}, nil
}

func (p fuzzProvider) Validate(context.Context, idx.Token) (time.Time, error) {
	p.asked.Add(1)
	return time.Now().Add(time.Hour), nil
}

func (p fuzzProvider) Invalidate(context.Context, idx.Token) error { return nil }

// fuzzStore counts writes, and has what the fuzzer put where a token is claimed.
type fuzzStore struct {
	session.Store
	app *fuzzApp
}

func (s *fuzzStore) Create(ctx context.Context, k session.Key, r session.Record, max int, full session.WhenFull) ([]string, error) {
	s.app.written.Add(1)
	return s.Store.Create(ctx, k, r, max, full)
}

func (s *fuzzStore) Update(ctx context.Context, k session.Key, old, data []byte, seen uint8, expires time.Time) error {
	s.app.written.Add(1)
	return s.Store.Update(ctx, k, old, data, seen, expires)
}

func (s *fuzzStore) Touch(ctx context.Context, k session.Key, expires time.Time) error {
	s.app.written.Add(1)
	return s.Store.Touch(ctx, k, expires)
}

func (s *fuzzStore) Delete(ctx context.Context, k session.Key, user string) error {
	s.app.written.Add(1)
	return s.Store.Delete(ctx, k, user)
}

func (s *fuzzStore) DeleteListed(ctx context.Context, user session.Key, id string) error {
	s.app.written.Add(1)
	return s.Store.DeleteListed(ctx, user, id)
}

func (s *fuzzStore) DeleteUser(ctx context.Context, user session.Key, keep string) ([]string, error) {
	s.app.written.Add(1)
	return s.Store.DeleteUser(ctx, user, keep)
}

func (s *fuzzStore) Mark(ctx context.Context, user session.Key) ([]string, error) {
	s.app.written.Add(1)
	return s.Store.Mark(ctx, user)
}

func (s *fuzzStore) Claim(ctx context.Context, space, name string, value []byte, ttl time.Duration) ([]byte, error) {
	s.app.written.Add(1)
	if s.app.held != nil && strings.HasPrefix(name, "token:") {
		return s.app.held, nil
	}
	return s.Store.Claim(ctx, space, name, value, ttl)
}

// signedIn starts a session and returns it with the value of its cookie.
func (a *fuzzApp) signedIn(t testing.TB, uid string) (s *session.Session, cookie string) {
	t.Helper()
	w := httptest.NewRecorder()
	s, err := a.sessions.Start(t.Context(), w, session.NewSession{
		UserID: uid, Data: encodeIdentity(&Identity{Profile: idx.Profile{UID: uid}, private: &private{checked: time.Now()}}),
	})
	if err != nil {
		t.Fatal(err)
	}
	return s, w.Result().Cookies()[0].Value
}

// isLive reports whether the session that a cookie opens is still there.
func (a *fuzzApp) isLive(cookie string) bool {
	r := &http.Request{Header: http.Header{"Cookie": {a.sessions.CookieName() + "=" + cookie}}}
	_, err := a.sessions.Load(r)
	return err == nil
}

// parse reads a request as a server does, or returns nil where a server refuses it by
// itself.
func parse(method, target, headers, body string) *http.Request {
	if strings.ContainsAny(method+target, " \r\n") {
		return nil
	}
	headers = strings.Trim(headers, "\r\n")
	if headers != "" {
		headers += "\r\n"
	}
	raw := fmt.Sprintf("%s %s HTTP/1.1\r\nHost: app.example\r\n%sContent-Length: %d\r\n\r\n%s", method, target, headers, len(body), body)
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(raw)))
	if err != nil {
		return nil
	}
	r.RemoteAddr = "192.0.2.1:1234"
	return r
}

// serve answers a request within bounds, and checks what holds of every answer.
func (a *fuzzApp) serve(t *testing.T, h http.Handler, r *http.Request) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	began := time.Now()
	h.ServeHTTP(w, r)
	// Far more than any answer takes, on a busy machine too, and far less than a loop.
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("answered after %v", took)
	}
	if w.Code >= 500 {
		t.Errorf("answered %d: %s", w.Code, w.Body)
	}
	for name, values := range w.Header() {
		for _, v := range append(values, name) {
			if strings.ContainsFunc(v, func(r rune) bool { return r < ' ' || r >= 0x7f }) {
				t.Errorf("header %s holds %q", name, v)
			}
		}
	}
	if w.Header()["Set-Cookie"] != nil && !strings.Contains(w.Header().Get("Cache-Control"), "no-store") {
		t.Errorf("sets a cookie with Cache-Control %q", w.Header().Get("Cache-Control"))
	}
	if strings.Contains(strings.ToLower(w.Body.String()), "<script") {
		t.Errorf("page with a script: %s", w.Body)
	}
	for _, location := range w.Header()["Location"] {
		if err := a.checkLocation(location); err != nil {
			t.Errorf("Location %q: %v", location, err)
		}
	}
	return w
}

// checkLocation accepts addresses of our own origin, and the hosted page when it sends
// the browser back to our routes.
func (a *fuzzApp) checkLocation(location string) error {
	u, err := url.Parse(location)
	if err != nil {
		return err
	}
	switch u.Scheme + "://" + u.Host {
	case fuzzOrigin:
		if u.User != nil || !strings.HasPrefix(location, fuzzOrigin+"/") {
			return errors.New("is not the origin and a path")
		}
		return nil
	case fuzzHub:
		q, err := url.ParseQuery(u.RawQuery)
		if err != nil || len(q) != 2 || len(q["return_url"]) != 1 {
			return fmt.Errorf("query %v, %v", q, err)
		}
		if back := q.Get("return_url"); !strings.HasPrefix(back, fuzzOrigin+"/auth/") && back != fuzzOrigin+"/landing" {
			return fmt.Errorf("leads back to %q", back)
		}
		return nil
	}
	return errors.New("leads elsewhere")
}

// startsSession reports whether an answer hands a session out.
func (a *fuzzApp) startsSession(w *httptest.ResponseRecorder) bool {
	for _, c := range w.Result().Cookies() {
		if c.Name == a.sessions.CookieName() && c.Value != "" {
			return true
		}
	}
	return false
}

// cookiesOf returns the Cookie header of a browser that has kept what w has set.
func cookiesOf(w *httptest.ResponseRecorder) string {
	var pairs []string
	for _, c := range w.Result().Cookies() {
		if c.MaxAge >= 0 && c.Value != "" {
			pairs = append(pairs, c.Name+"="+c.Value)
		}
	}
	return strings.Join(pairs, "; ")
}

// whoIsThere is a page that shows its visitor.
var whoIsThere = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	name := "nobody"
	if user := User(r.Context()); user != nil {
		name = "user " + user.UID
	}
	io.WriteString(w, name)
})
