package peers_test

import (
	"context"
	"encoding/gob"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/alexedwards/scs/goredisstore"
	"github.com/alexedwards/scs/v2"
	"github.com/redis/go-redis/v9"

	"github.com/idxauth/idxauth/idx"
	"github.com/idxauth/idxauth/idx/idxtest"
	"github.com/idxauth/idxauth/internal/redistest"
	"github.com/idxauth/idxauth/middleware"
	"github.com/idxauth/idxauth/session"
)

// One signed-in page view on a real Redis: the bare handler, a plain GET of the
// session's size, this middleware, and the same page by hand on scs and its go-redis
// store with default settings, with the fields that a session of ours keeps and with
// the whole profile.
func BenchmarkSignedInPage(b *testing.B) {
	server := redistest.Start(b)
	client := server.Client()
	hub := idxtest.NewServer(b)
	profile := profileOf(b, hub)

	b.Run("bare", func(b *testing.B) { view(b, http.HandlerFunc(hello), "") })
	b.Run("one GET", func(b *testing.B) { view(b, oneGet(b, client), "") })
	b.Run("idxauth, memory", func(b *testing.B) { ours(b, hub, session.NewMemory()) })
	b.Run("idxauth, redis", func(b *testing.B) { ours(b, hub, session.NewRedis(client, nil)) })
	b.Run("scs by hand, trimmed", func(b *testing.B) { byHand(b, client, trim(profile)) })
	b.Run("scs by hand, profile", func(b *testing.B) { byHand(b, client, *profile) })
}

func hello(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hello") }

func oneGet(b *testing.B, client redis.UniversalClient) http.Handler {
	if err := client.Set(context.Background(), "one", make([]byte, 260), 0).Err(); err != nil {
		b.Fatal(err)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := client.Get(r.Context(), "one").Err(); err != nil {
			b.Error(err)
		}
		hello(w, r)
	})
}

func ours(b *testing.B, hub *idxtest.Server, store session.Store) {
	auth := middleware.Must(middleware.New(middleware.Config{
		IDX: hub.Config(), BaseURL: "https://app.example", Store: store, Logger: slog.New(slog.DiscardHandler),
	}))
	b.Cleanup(func() { auth.Close() })
	page := auth.RequireLogin(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if middleware.User(r.Context()).UID == "" {
			b.Error("nobody")
		}
		hello(w, r)
	}))
	view(b, page, signIn(b, hub, auth))
}

// byHand is what the tutorial's reader ends up with.
func byHand(b *testing.B, client *redis.Client, user idx.Profile) {
	gob.Register(idx.Profile{})
	sessions := scs.New()
	sessions.Store = goredisstore.New(client)
	page := sessions.LoadAndSave(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, ok := sessions.Get(r.Context(), "user").(idx.Profile)
		if !ok || user.UID == "" {
			http.Redirect(w, r, "/login", http.StatusFound)
			return
		}
		hello(w, r)
	}))
	login := sessions.LoadAndSave(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sessions.Put(r.Context(), "user", user)
	}))
	w := httptest.NewRecorder()
	login.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	c := w.Result().Cookies()[0]
	view(b, page, c.Name+"="+c.Value)
}

func view(b *testing.B, h http.Handler, cookie string) {
	r := httptest.NewRequest("GET", "https://app.example/dashboard/", nil)
	if cookie != "" {
		r.Header.Set("Cookie", cookie)
	}
	check := httptest.NewRecorder()
	if h.ServeHTTP(check, r); check.Body.String() != "hello" {
		b.Fatalf("not signed in: %d %s", check.Code, check.Body)
	}
	b.ReportAllocs()
	for b.Loop() {
		h.ServeHTTP(discard{make(http.Header)}, r)
	}
}

func profileOf(b *testing.B, hub *idxtest.Server) *idx.Profile {
	cfg := hub.Config()
	cfg.Fields = []string{"*"}
	client, err := idx.New(cfg)
	if err != nil {
		b.Fatal(err)
	}
	profile, err := client.Profile(context.Background(), hub.IssueToken(idxtest.Ada.Email))
	if err != nil {
		b.Fatal(err)
	}
	return profile
}

func trim(p *idx.Profile) idx.Profile {
	return idx.Profile{UID: p.UID, Provider: p.Provider, FirstName: p.FirstName, LastName: p.LastName, Email: p.Email, EmailVerified: p.EmailVerified, Roles: p.Roles}
}

// signIn returns the Cookie header of a signed-in browser.
func signIn(b *testing.B, hub *idxtest.Server, auth *middleware.Auth) string {
	start := serve(auth.Handler(), "https://app.example/auth/login", "")
	binding := start.Cookies()[0]
	stay := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	page, err := stay.Get(start.Header.Get("Location"))
	if err != nil {
		b.Fatal(err)
	}
	defer page.Body.Close()
	back, err := hub.SignIn(stay, page, idxtest.Ada.Email)
	if err != nil {
		b.Fatal(err)
	}
	defer back.Body.Close()
	for _, c := range serve(auth.Handler(), back.Header.Get("Location"), binding.Name+"="+binding.Value).Cookies() {
		if c.Name == auth.Sessions().CookieName() {
			return c.Name + "=" + c.Value
		}
	}
	b.Fatal("not signed in")
	return ""
}

func serve(h http.Handler, address, cookie string) *http.Response {
	r := httptest.NewRequest("GET", address, nil)
	r.Header.Set("Cookie", cookie)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

// discard is a ResponseWriter that keeps nothing.
type discard struct{ header http.Header }

func (d discard) Header() http.Header         { return d.header }
func (d discard) Write(p []byte) (int, error) { return len(p), nil }
func (d discard) WriteHeader(int)             {}
