package session_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/idxauth/idxauth/internal/redistest"
	"github.com/idxauth/idxauth/session"
)

// principal is as long as a trimmed user in a compact encoding.
var principal = strings.Repeat("u", 110)

func quietManager(b *testing.B, store session.Store) *session.Manager {
	return newManager(b, store, session.Config{Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
}

func start(b *testing.B, m *session.Manager, userID string) *http.Request {
	b.Helper()
	w := httptest.NewRecorder()
	if _, err := m.Start(context.Background(), w, session.NewSession{UserID: userID, Data: principal}); err != nil {
		b.Fatal(err)
	}
	return requestWith(w.Result().Cookies()...)
}

func BenchmarkLoad(b *testing.B) {
	b.Run("memory", func(b *testing.B) { benchmarkLoad(b, session.NewMemory()) })
	b.Run("redis", func(b *testing.B) {
		server := redistest.Start(b)
		benchmarkLoad(b, session.NewRedis(server.Client(), nil))
		b.Run("bare get", func(b *testing.B) { // what any design pays
			key := server.Client().Keys(b.Context(), "app:s:*").Val()[0]
			b.ReportAllocs()
			for b.Loop() {
				server.Client().Get(b.Context(), key)
			}
		})
	})
}

func benchmarkLoad(b *testing.B, store session.Store) {
	m := quietManager(b, store)
	r := start(b, m, "ada")
	b.Run("one", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			mustLoad(b, m, r)
		}
	})
	b.Run("many", func(b *testing.B) {
		b.ReportAllocs()
		b.SetParallelism(8)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				mustLoad(b, m, r)
			}
		})
	})
	b.Run("garbage", func(b *testing.B) {
		r := requestWith(&http.Cookie{Name: m.CookieName(), Value: strings.Repeat("A", 44) + "B"})
		b.ReportAllocs()
		for b.Loop() {
			if _, err := m.Load(r); err == nil {
				b.Fatal("let in")
			}
		}
	})
}

func BenchmarkContext(b *testing.B) {
	m := quietManager(b, session.NewMemory())
	r := start(b, m, "ada")
	s := mustLoad(b, m, r)
	ctx := context.Background()
	b.ReportAllocs()
	for b.Loop() {
		if session.FromContext(session.NewContext(ctx, s)) != s {
			b.Fatal("lost")
		}
	}
}

func BenchmarkPut(b *testing.B) {
	m := quietManager(b, session.NewRedis(redistest.Start(b).Client(), nil))
	r := start(b, m, "ada")
	ctx := in(b, m, r)
	b.ReportAllocs()
	for b.Loop() {
		mustPut(b, ctx, "k", 1)
	}
}

func BenchmarkStart(b *testing.B) {
	m := quietManager(b, session.NewRedis(redistest.Start(b).Client(), nil))
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		start(b, m, fmt.Sprint(n%1000))
	}
}

var usedMemory = regexp.MustCompile(`used_memory:(\d+)`)

// BenchmarkBytesPerSession reports what one session costs Redis, alone and with the
// index of its user, who has no other session. User ids are as long as those of
// LoginRadius, 32 bytes; the principal's data comes on top.
func BenchmarkBytesPerSession(b *testing.B) {
	for _, data := range []int{78, 110} {
		b.Run(fmt.Sprintf("data=%d", data), func(b *testing.B) {
			server := redistest.Start(b, "--appendonly", "no") // whose buffers are no session's
			if !server.Real() {
				b.Skip("redis-server is not installed: its memory was not measured")
			}
			for b.Loop() {
				measureBytes(b, server, principal[:data])
			}
		})
	}
}

func measureBytes(b *testing.B, server *redistest.Server, data string) {
	const sessions = 50_000
	ctx, client := b.Context(), server.Client()
	used := func() float64 {
		found := usedMemory.FindStringSubmatch(client.Info(ctx, "memory").Val())
		n, _ := strconv.ParseFloat(found[1], 64)
		return n
	}
	m := quietManager(b, session.NewRedis(client, nil))
	client.FlushAll(ctx)
	before := used()
	for i := range sessions {
		n := session.NewSession{UserID: fmt.Sprintf("%032x", i), Data: data}
		if _, err := m.Start(ctx, httptest.NewRecorder(), n); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric((used()-before)/sessions, "B/session+index")

	// The records alone, in tables that never held the indexes.
	value := client.Get(ctx, client.Keys(ctx, "app:s:*").Val()[0]).Val()
	client.FlushAll(ctx)
	before = used()
	pipe := client.Pipeline()
	for i := range sessions {
		pipe.Set(ctx, fmt.Sprintf("app:s:{ab}:%016d", i), value, 7*24*time.Hour)
		if i%1000 == 999 {
			pipe.Exec(ctx)
		}
	}
	b.ReportMetric((used()-before)/sessions, "B/session")
}
