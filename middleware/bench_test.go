package middleware_test

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/idxauth/idxauth/idx/idxtest"
	"github.com/idxauth/idxauth/internal/redistest"
	"github.com/idxauth/idxauth/middleware"
	"github.com/idxauth/idxauth/session"
)

// The cost of RequireLogin for a signed-in request, next to the bare handler.
func BenchmarkRequireLogin(b *testing.B) {
	page := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header()["Content-Type"] = plainText // as pages do, so that the header map is nobody's extra cost
		io.WriteString(w, "hello")
	})
	b.Run("bare", func(b *testing.B) { benchmark(b, page, "") })
	b.Run("memory", func(b *testing.B) { benchmarkSignedIn(b, page, session.NewMemory()) })
	b.Run("redis", func(b *testing.B) {
		benchmarkSignedIn(b, page, session.NewRedis(redistest.Start(b).Client(), nil))
	})
	b.Run("stranger", func(b *testing.B) {
		auth := newBenchAuth(b, session.NewMemory())
		benchmark(b, auth.RequireLogin(page), "")
	})
	b.Run("garbage cookie", func(b *testing.B) {
		auth := newBenchAuth(b, session.NewMemory())
		benchmark(b, auth.RequireLogin(page), auth.Sessions().CookieName()+"=garbage")
	})
}

var plainText = []string{"text/plain"}

func newBenchAuth(b *testing.B, store session.Store) *middleware.Auth {
	cfg := validConfig()
	cfg.Store = store
	cfg.Logger = slog.New(slog.DiscardHandler)
	auth := middleware.Must(middleware.New(cfg))
	b.Cleanup(func() { auth.Close() })
	return auth
}

func benchmarkSignedIn(b *testing.B, page http.Handler, store session.Store) {
	hub := idxtest.NewServer(b)
	auth := middleware.Must(middleware.New(middleware.Config{
		IDX: hub.Config(), BaseURL: "https://app.example", Store: store, Logger: slog.New(slog.DiscardHandler),
	}))
	b.Cleanup(func() { auth.Close() })
	benchmark(b, auth.RequireLogin(page), signInForBench(b, hub, auth))
}

// signInForBench returns the Cookie header of a signed-in browser.
func signInForBench(b *testing.B, hub *idxtest.Server, auth *middleware.Auth) string {
	start := serve(auth.Handler(), "GET", "https://app.example/auth/login")
	binding := start.Result().Cookies()[0]
	hosted, err := start.Result().Location()
	if err != nil {
		b.Fatal(err)
	}
	stay := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	page, err := stay.Get(hosted.String())
	if err != nil {
		b.Fatal(err)
	}
	defer page.Body.Close()
	back, err := hub.SignIn(stay, page, idxtest.Ada.Email)
	if err != nil {
		b.Fatal(err)
	}
	defer back.Body.Close()
	done := serve(auth.Handler(), "GET", back.Header.Get("Location"), "Cookie", binding.Name+"="+binding.Value)
	for _, c := range done.Result().Cookies() {
		if c.Name == auth.Sessions().CookieName() {
			return c.Name + "=" + c.Value
		}
	}
	b.Fatalf("not signed in: %d %s", done.Code, done.Body)
	return ""
}

func benchmark(b *testing.B, h http.Handler, cookie string) {
	r := httptest.NewRequest("GET", "https://app.example/dashboard/", nil)
	if cookie != "" {
		r.Header.Set("Cookie", cookie)
	}
	b.ReportAllocs()
	for b.Loop() {
		h.ServeHTTP(discard{make(http.Header)}, r)
	}
}

// discard is a ResponseWriter that keeps nothing.
type discard struct{ header http.Header }

func (d discard) Header() http.Header         { return d.header }
func (d discard) Write(p []byte) (int, error) { return len(p), nil }
func (d discard) WriteHeader(int)             {}
