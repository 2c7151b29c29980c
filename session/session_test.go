package session_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/idxauth/idxauth/session"
)

// newManager returns a manager on store whose principals are the data as a string.
func newManager(t testing.TB, store session.Store, cfg session.Config) *session.Manager {
	t.Helper()
	if cfg.Name == "" {
		cfg.Name = "app"
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.NewTextHandler(t.Output(), nil))
	}
	m, err := session.New(store, cfg, func(_, data string) (any, error) {
		if data == "unreadable" {
			return nil, errors.New("cannot read this")
		}
		return data, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

// signIn starts a session and returns it with a request that carries its cookie.
func signIn(t testing.TB, m *session.Manager, userID string) (*session.Session, *http.Request) {
	t.Helper()
	w := httptest.NewRecorder()
	s, err := m.Start(context.Background(), w, session.NewSession{UserID: userID, Data: "data of " + userID})
	if err != nil {
		t.Fatal(err)
	}
	return s, requestWith(w.Result().Cookies()...)
}

func requestWith(cookies ...*http.Cookie) *http.Request {
	r := httptest.NewRequest("GET", "/", nil)
	for _, c := range cookies {
		r.AddCookie(&http.Cookie{Name: c.Name, Value: c.Value})
	}
	return r
}

func mustLoad(t testing.TB, m *session.Manager, r *http.Request) *session.Session {
	t.Helper()
	s, err := m.Load(r)
	if err != nil {
		t.Fatalf("Load: %v", err)
	}
	return s
}

func wantError(t testing.TB, what string, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

// in returns the context of a request that m has let in.
func in(t testing.TB, m *session.Manager, r *http.Request) context.Context {
	t.Helper()
	return session.NewContext(r.Context(), mustLoad(t, m, r))
}

func mustPut(t testing.TB, ctx context.Context, key string, value any) {
	t.Helper()
	if err := session.Put(ctx, key, value); err != nil {
		t.Fatalf("Put %s: %v", key, err)
	}
}

// wantValue checks what Get says; want nil means that there is nothing.
func wantValue[T comparable](t testing.TB, ctx context.Context, key string, want T) {
	t.Helper()
	got, ok, err := session.Get[T](ctx, key)
	if !ok || err != nil || got != want {
		t.Errorf("Get %s: got %v, %v, %v, want %v", key, got, ok, err, want)
	}
}

func wantNoValue(t testing.TB, ctx context.Context, key string) {
	t.Helper()
	if got, ok, err := session.Get[any](ctx, key); ok || err != nil {
		t.Errorf("Get %s: got %v, %v, %v, want nothing", key, got, ok, err)
	}
}

func wantStranger(t testing.TB, m *session.Manager, r *http.Request) {
	t.Helper()
	if s, err := m.Load(r); !errors.Is(err, session.ErrNotFound) {
		t.Errorf("Load: got %v, %v, want ErrNotFound", s, err)
	}
}
