package session_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

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
		b.Run("plain get", func(b *testing.B) { // what any design pays
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

// BenchmarkStart is a login, with its cookie, and its write alone, which is of session
// and index together, next to a plain SET of the same size.
func BenchmarkStart(b *testing.B) {
	client := redistest.Start(b).Client()
	store := session.NewRedis(client, nil)
	m := quietManager(b, store)
	b.Run("create", func(b *testing.B) {
		b.ReportAllocs()
		expires := time.Now().Add(time.Hour).Truncate(time.Second)
		for n := 0; b.Loop(); n++ {
			k := session.Key{Space: "app", Tag: "ab", ID: fmt.Sprintf("%016d", n)}
			r := session.Record{User: fmt.Sprintf("%016d", n%10_000), Data: []byte(principal), Expires: expires, Deadline: expires}
			if _, err := store.Create(b.Context(), k, r, 0, session.EndOldest); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("session", func(b *testing.B) {
		b.ReportAllocs()
		for n := 0; b.Loop(); n++ {
			start(b, m, fmt.Sprint(n%1000))
		}
	})
	b.Run("plain set", func(b *testing.B) {
		b.ReportAllocs()
		for n := 0; b.Loop(); n++ {
			if err := client.Set(b.Context(), fmt.Sprint("plain:", n), principal, time.Hour).Err(); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkUser is what is done to all sessions of one user, who has so many. On the
// way it reports how long the slowest command of one operation keeps Redis from all
// others.
func BenchmarkUser(b *testing.B) {
	for _, tt := range []struct {
		name string
		open func() (redis.UniversalClient, []*redistest.Server)
	}{
		{"node", func() (redis.UniversalClient, []*redistest.Server) {
			server := redistest.Start(b)
			return server.Client(), []*redistest.Server{server}
		}},
		{"cluster", func() (redis.UniversalClient, []*redistest.Server) {
			cluster := redistest.StartCluster(b)
			return cluster.Client(), cluster.Nodes
		}},
	} {
		b.Run(tt.name, func(b *testing.B) {
			client, nodes := tt.open()
			m := quietManager(b, session.NewRedis(client, nil))
			for _, sessions := range []int{1, 100, 10_000} {
				b.Run(fmt.Sprintf("sessions=%d", sessions), func(b *testing.B) { benchmarkUser(b, m, nodes, sessions) })
			}
		})
	}
}

func benchmarkUser(b *testing.B, m *session.Manager, nodes []*redistest.Server, sessions int) {
	ctx := context.Background()
	have := 0
	fill := func() {
		for ; have < sessions; have++ {
			n := session.NewSession{UserID: "ada", Data: principal, Device: firefox}
			if _, err := m.Start(ctx, httptest.NewRecorder(), n); err != nil {
				b.Fatal(err)
			}
		}
	}
	fill()
	run := func(what string, op func() (int, error)) {
		b.Run(what, func(b *testing.B) {
			for _, node := range nodes {
				node.Client().ConfigSet(ctx, "slowlog-log-slower-than", "0")
			}
			var slowest time.Duration
			for b.Loop() {
				b.StopTimer()
				fill()
				for _, node := range nodes {
					node.Client().SlowLogReset(ctx)
				}
				b.StartTimer()
				if n, err := op(); n != sessions || err != nil {
					b.Fatal(n, err)
				}
				b.StopTimer()
				for _, node := range nodes {
					log, _ := node.Client().SlowLogGet(ctx, 128).Result()
					for _, l := range log {
						if strings.HasPrefix(strings.ToLower(l.Args[0]), "eval") {
							slowest = max(slowest, l.Duration)
						}
					}
				}
				b.StartTimer()
			}
			b.ReportMetric(float64(slowest.Microseconds()), "slowest-µs")
		})
	}
	run("List", func() (int, error) {
		infos, err := m.List(ctx, "ada")
		return len(infos), err
	})
	run("MarkUser", func() (int, error) { return m.MarkUser(ctx, "ada") })
	run("RevokeUser", func() (int, error) {
		n, err := m.RevokeUser(ctx, "ada", nil)
		have = 0
		return n, err
	})
}

// BenchmarkHeapPerSession reports what a session in the near cache takes of the
// process's memory, with a principal that is its data, 110 bytes.
func BenchmarkHeapPerSession(b *testing.B) {
	server := redistest.Start(b)
	if !server.Real() {
		b.Skip("redis-server is not installed: the near cache was not measured")
	}
	const sessions = 40_000
	for b.Loop() {
		m := quietManager(b, session.NewRedis(server.Client(), nil))
		requests := make([]*http.Request, sessions)
		for i := range requests {
			requests[i] = start(b, m, fmt.Sprintf("%032x", i))
		}
		mustLoad(b, m, requests[0])
		redistest.Eventually(b, "the near cache is on", func() bool {
			mustLoad(b, m, requests[0])
			before := heap()
			for _, r := range requests {
				mustLoad(b, m, r)
			}
			used := float64(heap()-before) / sessions
			b.ReportMetric(used, "B/session")
			return used > 100
		})
		runtime.KeepAlive(m)
	}
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return int64(s.HeapAlloc)
}

var usedMemory = regexp.MustCompile(`used_memory:(\d+)`)

// BenchmarkBytesPerSession reports what one session costs Redis, alone and with the
// index of its user, who has no other session. User ids are as long as those of
// LoginRadius, 32 bytes; the principal's data comes on top.
func BenchmarkBytesPerSession(b *testing.B) {
	for _, tt := range []struct {
		name   string
		data   int
		device session.Device
	}{
		{"data=78", 78, session.Device{}},
		{"data=110", 110, session.Device{}},
		{"data=78,device", 78, firefox},
	} {
		b.Run(tt.name, func(b *testing.B) {
			server := redistest.Start(b, "--appendonly", "no") // whose buffers are no session's
			if !server.Real() {
				b.Skip("redis-server is not installed: its memory was not measured")
			}
			for b.Loop() {
				measureBytes(b, server, session.NewSession{Data: principal[:tt.data], Device: tt.device})
			}
		})
	}
}

func measureBytes(b *testing.B, server *redistest.Server, n session.NewSession) {
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
		n.UserID = fmt.Sprintf("%032x", i)
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

// BenchmarkScale shows that neither a request nor a login gets dearer with the number
// of sessions that there are, or that their user has. The near cache is off.
func BenchmarkScale(b *testing.B) {
	server := redistest.Start(b, "--appendonly", "no")
	client := server.Client()
	m := newManager(b, session.NewRedis(client, nil), session.Config{
		Logger: slog.New(slog.DiscardHandler), NearCache: session.NearCache{Off: true},
	})
	r := start(b, m, "ada")
	load := func(b *testing.B) {
		for b.Loop() {
			mustLoad(b, m, r)
		}
	}
	n := 0
	login := func(user string) func(b *testing.B) {
		return func(b *testing.B) {
			for b.Loop() {
				n++
				start(b, m, user+fmt.Sprint(n%100))
			}
		}
	}
	b.Run("load, one session", load)
	b.Run("start, users with few", login("few"))
	const sessions = 1_000_000
	value := client.Get(b.Context(), client.Keys(b.Context(), "app:s:*").Val()[0]).Val()
	pipe := client.Pipeline()
	for i := range sessions {
		pipe.Set(b.Context(), fmt.Sprintf("app:s:{ab}:%016d", i), value, time.Hour)
		if pipe.Len() == 1000 {
			if _, err := pipe.Exec(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.Run("load, a million sessions", load)
	for range 10_000 {
		start(b, m, "many0")
	}
	b.Run("load, of a user with 10,000", func(b *testing.B) {
		r := start(b, m, "many0")
		for b.Loop() {
			mustLoad(b, m, r)
		}
	})
	b.Run("start, a user with 10,000", func(b *testing.B) {
		for b.Loop() {
			start(b, m, "many0")
		}
	})
}
