package session_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/idxauth/idxauth/session"
)

func TestSessionFromLoginToLogout(t *testing.T) {
	m := newManager(t, session.NewMemory(), session.Config{})
	s, r := signIn(t, m, "ada")
	got := mustLoad(t, m, r)
	if got.ID() != s.ID() || got.UserID() != "ada" || got.Principal() != "data of ada" || got.Manager() != m {
		t.Errorf("got %v of %q with %v, want %v of ada", got, got.UserID(), got.Principal(), s)
	}
	// Both are whole seconds, of two looks at the clock.
	if d := got.Deadline().Sub(got.Created()); (d - 7*24*time.Hour).Abs() > 5*time.Second {
		t.Errorf("deadline %v after login, want 7 days", d)
	}
	if err := m.End(r.Context(), got); err != nil {
		t.Fatal(err)
	}
	wantStranger(t, m, r)
	if err := m.End(r.Context(), got); err != nil {
		t.Errorf("End of an ended session: %v", err)
	}
}

func TestCookie(t *testing.T) {
	for _, tt := range []struct {
		name string
		cfg  session.Config
		want string // without the value
	}{
		{"defaults", session.Config{},
			"__Host-app-session=; Path=/; HttpOnly; Secure; SameSite=Lax"},
		{"persistent", session.Config{Persist: true, Absolute: time.Hour, Idle: time.Minute},
			"__Host-app-session=; Path=/; Expires=Sat, 01 Jan 2000 01:00:01 GMT; Max-Age=3601; HttpOnly; Secure; SameSite=Lax"},
		{"loopback", session.Config{InsecureCookie: true},
			"app-session=; Path=/; HttpOnly; SameSite=Lax"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // whose clock starts in 2000
				m := newManager(t, session.NewMemory(), tt.cfg)
				w := httptest.NewRecorder()
				if _, err := m.Start(t.Context(), w, session.NewSession{UserID: "ada"}); err != nil {
					t.Fatal(err)
				}
				line := w.Header().Get("Set-Cookie")
				c, err := http.ParseSetCookie(line)
				if err != nil {
					t.Fatal(err)
				}
				if c.Name != m.CookieName() || len(c.Value) != 45 {
					t.Errorf("got cookie %s=%s", c.Name, c.Value)
				}
				if got := strings.Replace(line, c.Value, "", 1); got != tt.want {
					t.Errorf("got  %s\nwant %s", got, tt.want)
				}
				if got := w.Header().Values("Cache-Control"); len(got) != 1 || got[0] != "no-store" {
					t.Errorf("Cache-Control %q, want no-store", got)
				}
			})
		})
	}
}

func TestClearCookieMirrorsTheAttributes(t *testing.T) {
	m := newManager(t, session.NewMemory(), session.Config{})
	w := httptest.NewRecorder()
	w.Header().Set("Cache-Control", "private, no-store")
	m.ClearCookie(w)
	want := "__Host-app-session=; Path=/; Expires=Thu, 01 Jan 1970 00:00:01 GMT; Max-Age=0; HttpOnly; Secure; SameSite=Lax"
	if got := w.Header().Values("Set-Cookie"); len(got) != 1 || got[0] != want {
		t.Errorf("got  %q\nwant %s", got, want)
	}
	if got := w.Header().Values("Cache-Control"); len(got) != 1 || got[0] != "private, no-store" {
		t.Errorf("Cache-Control %q", got)
	}
}

// Only what we set and still keep counts: nothing else reaches the store.
func TestUnusableCookies(t *testing.T) {
	store := &recorder{Store: session.NewMemory()}
	m := newManager(t, store, session.Config{})
	_, r := signIn(t, m, "ada")
	good, _ := r.Cookie(m.CookieName())
	v := good.Value
	name := m.CookieName()
	last := strings.IndexByte(alphabet, v[44])
	tests := []struct{ name, header string }{
		{"none", ""},
		{"another name", "session=" + v},
		{"longer name", name + "2=" + v},
		{"other case", strings.ToUpper(name) + "=" + v},
		{"empty", name + "="},
		{"truncated", name + "=" + v[:44]},
		{"longer", name + "=" + v + "A"},
		{"8 kB of garbage", name + "=" + strings.Repeat("A", 8192)},
		{"foreign alphabet", name + "=" + v[:20] + "+" + v[21:]},
		{"foreign alphabet in the tag", name + "=." + v[1:]},
		{"stray bits in the last character", name + "=" + v[:44] + alphabet[last^1:last^1+1]},
		{"twice", name + "=" + v + "; " + name + "=" + v},
		{"an empty one first", name + "=; " + name + "=" + v},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			store.take()
			r := httptest.NewRequest("GET", "/", nil)
			r.Header.Set("Cookie", tt.header)
			s, err := m.Load(r)
			if !errors.Is(err, session.ErrNoCookie) || !errors.Is(err, session.ErrNotFound) {
				t.Errorf("got %v, %v, want ErrNoCookie, an ErrNotFound", s, err)
			}
			if calls := store.take(); len(calls) > 0 {
				t.Errorf("the store was asked: %q", calls)
			}
		})
	}
	mustLoad(t, m, r)
}

const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

func TestUnknownTokenIsNeverAdopted(t *testing.T) {
	m := newManager(t, session.NewMemory(), session.Config{})
	planted := requestWith(&http.Cookie{Name: m.CookieName(), Value: "ab" + strings.Repeat("A", 43)})
	wantStranger(t, m, planted)
	w := httptest.NewRecorder()
	if _, err := m.Start(planted.Context(), w, session.NewSession{UserID: "ada"}); err != nil {
		t.Fatal(err)
	}
	wantStranger(t, m, planted)
}

func TestTagOfAnotherUser(t *testing.T) {
	m := newManager(t, session.NewMemory(), session.Config{})
	_, r := signIn(t, m, "ada")
	c, _ := r.Cookie(m.CookieName())
	tag := "AA"
	if c.Value[:2] == tag {
		tag = "BB"
	}
	wantStranger(t, m, requestWith(&http.Cookie{Name: c.Name, Value: tag + c.Value[2:]}))
}

func TestStartReplaces(t *testing.T) {
	m := newManager(t, session.NewMemory(), session.Config{})
	old, r := signIn(t, m, "ada")
	ctx := in(t, m, r)
	mustPut(t, ctx, "cart", "of ada")
	w := httptest.NewRecorder()
	s, err := m.Start(ctx, w, session.NewSession{UserID: "bob", Replaces: old})
	if err != nil {
		t.Fatal(err)
	}
	wantStranger(t, m, r)
	bob := requestWith(w.Result().Cookies()...)
	if got := mustLoad(t, m, bob); got.ID() != s.ID() || got.ID() == old.ID() || got.UserID() != "bob" {
		t.Errorf("got %v of %s", got, got.UserID())
	}
	wantNoValue(t, in(t, m, bob), "cart")
}

func TestStartWithoutAStore(t *testing.T) {
	store := &recorder{Store: session.NewMemory()}
	m := newManager(t, store, session.Config{})
	old, r := signIn(t, m, "ada")
	for _, failing := range []string{"Create", "Delete"} {
		store.fail(failing, errors.New("OOM"))
		w := httptest.NewRecorder()
		_, err := m.Start(t.Context(), w, session.NewSession{UserID: "ada", Replaces: old})
		wantError(t, failing, err, session.ErrUnavailable)
		if len(w.Header()) > 0 {
			t.Errorf("%s failed: header %v", failing, w.Header())
		}
		store.fail("", nil)
	}
	wantStranger(t, m, r)
}

func TestUpdate(t *testing.T) {
	m := newManager(t, session.NewMemory(), session.Config{})
	s, r := signIn(t, m, "ada")
	ctx := in(t, m, r)
	mustPut(t, ctx, "n", 1)
	// s is older than what is stored: change sees the stored data all the same.
	var seen []string
	updated, err := m.Update(t.Context(), s, func(data string) (string, error) {
		seen = append(seen, string(data))
		return "new data", nil
	})
	if err != nil || updated.Principal() != "new data" || updated.UserID() != "ada" {
		t.Fatalf("got %v, %v", updated, err)
	}
	if len(seen) != 2 {
		t.Errorf("change ran %d times, want 2", len(seen))
	}
	ctx = in(t, m, r)
	wantValue(t, ctx, "n", 1)
	if got := session.FromContext(ctx).Principal(); got != "new data" {
		t.Errorf("got %v", got)
	}
	// With the context of the session, its reader sees the result.
	if _, err := m.Update(ctx, s, func(string) (string, error) { return "newer", nil }); err != nil {
		t.Fatal(err)
	}
	if got := session.FromContext(ctx).Principal(); got != "newer" {
		t.Errorf("got %v from the context", got)
	}
}

func TestUpdateThatChangesNothing(t *testing.T) {
	store := &recorder{Store: session.NewMemory()}
	m := newManager(t, store, session.Config{})
	s, _ := signIn(t, m, "ada")
	store.take()
	same, err := m.Update(t.Context(), s, func(data string) (string, error) { return data, nil })
	if same != s || err != nil {
		t.Errorf("got %v, %v", same, err)
	}
	refused := errors.New("no")
	_, err = m.Update(t.Context(), s, func(string) (string, error) { return "", refused })
	wantError(t, "Update", err, refused)
	_, err = m.Update(t.Context(), s, func(string) (string, error) { return "unreadable", nil })
	if err == nil {
		t.Error("data that cannot be opened again was accepted")
	}
	if calls := store.take(); len(calls) > 0 {
		t.Errorf("the store was asked: %q", calls)
	}
}

func TestUpdateOfAnEndedSession(t *testing.T) {
	m := newManager(t, session.NewMemory(), session.Config{})
	s, r := signIn(t, m, "ada")
	if err := m.End(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	_, err := m.Update(t.Context(), s, func(string) (string, error) { return "new", nil })
	wantError(t, "Update", err, session.ErrRevoked)
	wantStranger(t, m, r)
}

func TestListAndRevoke(t *testing.T) {
	ctx := t.Context()
	m := newManager(t, session.NewMemory(), session.Config{})
	first, r1 := signIn(t, m, "ada")
	second, r2 := signIn(t, m, "ada")
	third, r3 := signIn(t, m, "ada")
	bob, rBob := signIn(t, m, "bob")
	infos, err := m.List(ctx, "ada")
	if err != nil || len(infos) != 3 {
		t.Fatalf("got %v, %v, want 3", infos, err)
	}
	for _, id := range []string{bob.ID(), "", "garbage", "!!", strings.Repeat("A", 22)} {
		if err := m.Revoke(ctx, "ada", id); err != nil {
			t.Errorf("Revoke %q: %v", id, err)
		}
	}
	mustLoad(t, m, rBob)
	if err := m.Revoke(ctx, "ada", first.ID()); err != nil {
		t.Fatal(err)
	}
	wantStranger(t, m, r1)
	if n, err := m.RevokeUser(ctx, "ada", third); n != 1 || err != nil {
		t.Errorf("RevokeUser: got %d, %v, want 1", n, err)
	}
	wantStranger(t, m, r2)
	mustLoad(t, m, r3)
	infos, err = m.List(ctx, "ada")
	if err != nil || len(infos) != 1 || infos[0].ID != third.ID() || !infos[0].Deadline.Equal(third.Deadline()) {
		t.Errorf("got %v, %v, want %v", infos, err, third)
	}
	_ = second
}

func TestMaxPerUser(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newManager(t, session.NewMemory(), session.Config{MaxPerUser: 2})
		var requests []*http.Request
		for range 3 {
			_, r := signIn(t, m, "ada")
			requests = append(requests, r)
			time.Sleep(time.Second)
		}
		wantStranger(t, m, requests[0])
		mustLoad(t, m, requests[1])
		mustLoad(t, m, requests[2])
	})
}

func TestNothingButTheHandleIsPrinted(t *testing.T) {
	m := newManager(t, session.NewMemory(), session.Config{})
	s, r := signIn(t, m, "ada@example.com") // the handle is random, and has no @
	c, _ := r.Cookie(m.CookieName())
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "session", s)
	texts := []string{log.String(), fmt.Sprint([]any{s}), fmt.Sprint(map[string]any{"s": s})}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		texts = append(texts, fmt.Sprintf(verb, s))
	}
	for _, text := range texts {
		if !strings.Contains(text, s.ID()) || strings.Contains(text, c.Value[2:]) || strings.Contains(text, "@example") {
			t.Errorf("got %q", text)
		}
	}
}

func TestClaimAndPing(t *testing.T) {
	store := &recorder{Store: session.NewMemory()}
	m := newManager(t, store, session.Config{})
	for _, want := range []string{"", "one"} {
		held, err := m.Claim(t.Context(), "n", []byte("one"), time.Minute)
		if string(held) != want || err != nil {
			t.Errorf("Claim: held %q, %v, want %q", held, err, want)
		}
	}
	if err := m.Ping(t.Context()); err != nil {
		t.Error(err)
	}
	store.fail("", errors.New("down"))
	_, err := m.Claim(t.Context(), "n", nil, time.Minute)
	wantError(t, "Claim", err, session.ErrUnavailable)
	wantError(t, "Ping", m.Ping(t.Context()), session.ErrUnavailable)
	_, err = m.List(t.Context(), "ada")
	wantError(t, "List", err, session.ErrUnavailable)
	_, err = m.RevokeUser(t.Context(), "ada", nil)
	wantError(t, "RevokeUser", err, session.ErrUnavailable)
}

// What the store cannot answer is no verdict, and its cause can be told.
func TestStoreOutage(t *testing.T) {
	store := &recorder{Store: session.NewMemory()}
	m := newManager(t, store, session.Config{})
	s, r := signIn(t, m, "ada")
	ctx := in(t, m, r)
	for _, cause := range []error{context.Canceled, context.DeadlineExceeded, errors.New("READONLY")} {
		store.fail("", cause)
		_, loadErr := m.Load(r)
		_, updateErr := m.Update(ctx, s, func(string) (string, error) { return "x", nil })
		for what, err := range map[string]error{
			"Load":   loadErr,
			"Put":    session.Put(ctx, "k", 1),
			"Update": updateErr,
			"End":    m.End(ctx, s),
		} {
			wantError(t, what, err, session.ErrUnavailable)
			wantError(t, what, err, cause)
			if errors.Is(err, session.ErrNotFound) || errors.Is(err, session.ErrRevoked) {
				t.Errorf("%s: %v is a verdict", what, err)
			}
		}
	}
	store.fail("", nil)
	mustLoad(t, m, r)
	wantNoValue(t, in(t, m, r), "k")
}

func TestUnreadableRecordIsNoSession(t *testing.T) {
	var log bytes.Buffer
	store := &recorder{Store: session.NewMemory()}
	m := newManager(t, store, session.Config{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	s, r := signIn(t, m, "grace")
	// Another release of the application cannot read this principal.
	other, err := session.New(store, session.Config{Name: "app", Logger: slog.New(slog.NewTextHandler(&log, nil))},
		func(_, _ string) (any, error) { return nil, errors.New("not for the log: grace") })
	if err != nil {
		t.Fatal(err)
	}
	wantStranger(t, other, r)
	if err := other.Close(); err != nil { // waits for the removal
		t.Fatal(err)
	}
	wantStranger(t, m, r)
	if got := log.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "level=WARN") ||
		strings.Contains(got, s.ID()) || strings.Contains(got, "grace") {
		t.Errorf("log: %s", got)
	}
}
