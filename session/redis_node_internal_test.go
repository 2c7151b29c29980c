package session

import (
	"context"
	"errors"
	"net"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/idxauth/idxauth/internal/redistest"
)

// What no timing of a test would meet reliably is tested from inside.

// slow is a connection whose answers take some time.
type slow struct{ net.Conn }

func (c slow) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	<-time.After(15 * time.Millisecond)
	return n, err
}

// A caller whose own deadline is too short for Redis says nothing about Redis.
func TestImpatientCallersAreNoFailures(t *testing.T) {
	server := redistest.Start(t)
	client := redis.NewClient(&redis.Options{
		Addr: server.Addr, ContextTimeoutEnabled: true, MaxRetries: -1, PipelinePoolSize: -1,
		Dialer: func(ctx context.Context, network, addr string) (net.Conn, error) {
			c, err := (&net.Dialer{}).DialContext(ctx, network, addr)
			return slow{c}, err
		},
	})
	defer client.Close()
	s := NewRedis(client, nil).(*redisStore)
	for range 100 {
		ctx, cancel := context.WithTimeout(t.Context(), 4*time.Millisecond)
		s.Load(ctx, Key{"app", "ab", "0123456789abcdef"})
		cancel()
		if s.only.failures.Load() > 0 {
			t.Fatal("who left on his own deadline counts as a failure of Redis")
		}
	}
}

// Failures between the two halves of a probe's success do not keep the breaker from
// ever opening again.
func TestBreakerOpensWheneverThereAreFailures(t *testing.T) {
	client := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1", MaxRetries: -1})
	defer client.Close()
	n := NewRedis(client, nil).(*redisStore).only
	silence := errors.New("silence")
	n.down.Store(true)
	n.failures.Store(0) // as probe does
	n.report(t.Context(), silence)
	n.report(t.Context(), silence)
	n.down.Store(false) // as probe does
	n.report(t.Context(), silence)
	if !n.down.Load() {
		t.Error("three failures in a row, and the node is taken to be up")
	}
}

// One connection that breaks is not the answer to all who wait.
func TestBrokenTripFailsNobodyElse(t *testing.T) {
	server := redistest.Start(t)
	s := NewRedis(server.Client(), nil).(*redisStore)
	rs := &s.only.reads
	rs.trips = maxTrips // two lone readers are under way
	var readers sync.WaitGroup
	for range 100 {
		readers.Go(func() {
			if f := rs.get(t.Context(), "k"); !errors.Is(f.err, redis.Nil) {
				t.Errorf("got %v", f.err)
			}
		})
	}
	redistest.Eventually(t, "all readers wait", func() bool {
		rs.mu.Lock()
		defer rs.mu.Unlock()
		return len(rs.waiting) == 100
	})
	rs.node.report(t.Context(), errors.New("broken")) // one of them ends so
	rs.serve(rs.next())
	readers.Wait()
	if rs.trips != maxTrips-1 {
		t.Errorf("%d trips under way, want the other one", rs.trips)
	}
}

// The stream of a cluster's node that nobody asks ends: when the node is asked again, it
// can be another one to us, with a stream of its own.
func TestStreamsOfForgottenNodesEnd(t *testing.T) {
	cluster := redistest.StartCluster(t)
	client := redis.NewClusterClient(&redis.ClusterOptions{Addrs: cluster.Addrs(), ContextTimeoutEnabled: true})
	defer client.Close()
	s := NewRedis(client, nil).(*redisStore)
	m, err := New(s, Config{Name: "app"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	w := httptest.NewRecorder()
	if _, err := m.Start(t.Context(), w, NewSession{UserID: "ada"}); err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest("GET", "/", nil)
	for _, c := range w.Result().Cookies() {
		r.AddCookie(c)
	}
	streams := func() (n int) {
		m.watch.streams.Range(func(_, _ any) bool { n++; return true })
		return n
	}
	redistest.Eventually(t, "a stream", func() bool {
		_, err := m.Load(r)
		return err == nil && streams() == 1
	})
	s.nodes.Range(func(_, n any) bool {
		n.(*node).usedAt.Store(int64(time.Since(processStart) - 2*idleNode))
		return true
	})
	s.forgetIdleNodes() // as when a new master turns up
	redistest.Eventually(t, "no stream is left", func() bool { return streams() == 0 })
}

// Whoever is the first after a quiet outage, which may be over since long, gets all that he
// needs.
func TestFirstAfterAQuietOutageGetsAll(t *testing.T) {
	server := redistest.Start(t)
	s := NewRedis(server.Patient(), nil).(*redisStore)
	n := s.only
	failed := 0
	for range 20 {
		n.down.Store(true)
		n.probedAt.Store(int64(time.Since(processStart) - time.Hour))
		for _, name := range []string{"first", "second"} {
			if _, err := s.Claim(t.Context(), "app", name, []byte("x"), time.Minute); err != nil {
				failed++
				break
			}
		}
		redistest.Eventually(t, "the node is up", n.up)
	}
	if failed > 10 { // a busy machine can be too late for some
		t.Errorf("%d of 20 were refused", failed)
	}
}
