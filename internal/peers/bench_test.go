package main

import (
	"context"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/idxauth/idxauth/idx/idxtest"
	"github.com/idxauth/idxauth/internal/peers/site"
	"github.com/idxauth/idxauth/internal/redistest"
	"github.com/idxauth/idxauth/session"
)

// One page view without the HTTP server, whose cost hides what is between the
// contenders: ns, bytes and allocations of the handler alone.
func BenchmarkPage(b *testing.B) {
	env := surroundings{redis: redistest.Start(b).Addr}
	hub := idxtest.NewServer(b)
	env.hub = hub.Config()
	for _, c := range contenders() {
		if c.open == nil {
			continue
		}
		b.Run(c.name, func(b *testing.B) {
			l := listen(b)
			s, err := c.open(env, l)
			if err != nil {
				b.Fatal(err)
			}
			view(b, s.Page, cookieOf(b, c, s, l, hub))
		})
	}
	b.Run("ours-memory", func(b *testing.B) {
		l := listen(b)
		s, err := ours(env.hub, l, session.NewMemory(), session.Config{})
		if err != nil {
			b.Fatal(err)
		}
		view(b, s.Page, cookieOf(b, contender{signIn: signInAsBrowser}, s, l, hub))
	})
}

// A login against the least that writing a session can cost: a plain SET of as many
// bytes as the record has, with an expiry and through the same client.
func BenchmarkLogin(b *testing.B) {
	options, err := session.ParseRedisURL("redis://" + redistest.Start(b).Addr)
	if err != nil {
		b.Fatal(err)
	}
	client := redis.NewUniversalClient(options)
	b.Cleanup(func() { client.Close() })
	manager, err := session.New(session.NewRedis(client, nil), session.Config{Name: "bench"}, nil)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { manager.Close() })

	b.Run("one-set", func(b *testing.B) {
		value := make([]byte, 260)
		b.ReportAllocs()
		for n := 0; b.Loop(); n++ {
			if err := client.Set(b.Context(), site.Name(n), value, time.Hour).Err(); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("ours", func(b *testing.B) {
		data := strings.Repeat("d", 120) // of an identity
		b.ReportAllocs()
		for n := 0; b.Loop(); n++ {
			login := session.NewSession{UserID: uidOf(n), Data: data}
			if _, err := manager.Start(b.Context(), discard{make(http.Header)}, login); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func listen(b *testing.B) net.Listener {
	l, err := site.Listen()
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { l.Close() })
	return l
}

// cookieOf signs user 0 in, over HTTP as always, and ends the server that did it.
func cookieOf(b *testing.B, c contender, s *site.Site, l net.Listener, hub *idxtest.Server) string {
	if c.anonymous {
		return ""
	}
	server := &http.Server{Handler: s.Handler(), ErrorLog: log.New(io.Discard, "", 0)}
	go server.Serve(l)
	defer server.Close()
	cookie, err := c.signIn(context.Background(), &run{hub: hub}, l.Addr().String(), 0)
	if err != nil {
		b.Fatal(err)
	}
	return cookie
}

func view(b *testing.B, h http.Handler, cookie string) {
	r := httptest.NewRequest("GET", "http://app.example/page", nil)
	r.Header.Set("Cookie", browserCookies(cookie))
	check := httptest.NewRecorder()
	if h.ServeHTTP(check, r.WithContext(b.Context())); !strings.Contains(check.Body.String(), site.Name(0)) {
		b.Fatalf("not signed in: %d %s", check.Code, check.Body)
	}
	b.ReportAllocs()
	for b.Loop() {
		// A request of its own each time: gorilla keeps the session in its context.
		h.ServeHTTP(discard{make(http.Header)}, r.WithContext(b.Context()))
	}
}

// discard is a ResponseWriter that keeps nothing.
type discard struct{ header http.Header }

func (d discard) Header() http.Header               { return d.header }
func (d discard) Write(p []byte) (int, error)       { return len(p), nil }
func (d discard) WriteString(s string) (int, error) { return len(s), nil }
func (d discard) WriteHeader(int)                   {}
