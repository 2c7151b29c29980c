package session_test

import (
	"bytes"
	"context"
	"net"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/idxauth/idxauth/session"
)

// stalled is a connection that, once it has subscribed, can be held up: its instance
// hears of no changes then.
type stalled struct {
	net.Conn
	hold       *sync.RWMutex
	subscribed atomic.Bool
}

func (c *stalled) Write(b []byte) (int, error) {
	if bytes.Contains(bytes.ToLower(b), []byte("subscribe")) {
		c.subscribed.Store(true)
	}
	return c.Conn.Write(b)
}

func (c *stalled) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if c.subscribed.Load() {
		c.hold.RLock()
		defer c.hold.RUnlock()
	}
	return n, err
}

// What an instance has ended itself, it knows without being told: sessions that a
// login pushed out, and those of a call that go-redis repeated because the answer got
// lost.
func TestOwnChangesAreSeenWithoutTheStream(t *testing.T) {
	server := startRedis(t)
	for what, act := range map[string]func(m *session.Manager, client *redis.Client){
		"MaxPerUser": func(m *session.Manager, _ *redis.Client) { signIn(t, m, "ada") },
		"RevokeUser": func(m *session.Manager, _ *redis.Client) { m.RevokeUser(t.Context(), "ada", nil) },
		"RevokeUser, repeated": func(m *session.Manager, client *redis.Client) {
			m.RevokeUser(t.Context(), "nobody", nil) // Redis learns the script
			client.AddHook(twice{})
			m.RevokeUser(t.Context(), "ada", nil)
		},
	} {
		t.Run(what, func(t *testing.T) {
			var hold sync.RWMutex
			client := redis.NewClient(&redis.Options{
				Addr: server.Addr, ContextTimeoutEnabled: true, ReadTimeout: patience, PipelinePoolSize: -1,
				Dialer: func(ctx context.Context, network, addr string) (net.Conn, error) {
					c, err := (&net.Dialer{}).DialContext(ctx, network, addr)
					return &stalled{Conn: c, hold: &hold}, err
				},
			})
			t.Cleanup(func() { client.Close() })
			w := &trips{}
			client.AddHook(w)
			m := newManager(t, session.NewRedis(client, patientStore), session.Config{MaxPerUser: 1, NearCache: longLease})
			_, first := signIn(t, m, "ada")
			warm(t, m, w, first)
			hold.Lock()
			defer hold.Unlock()
			act(m, client)
			wantStranger(t, m, first)
		})
	}
}

// A session that somebody took the expiry off is in reach of "sign out everywhere"
// until it ends.
func TestRecordWithoutExpiryIsRevoked(t *testing.T) {
	ctx := t.Context()
	server, m := newRedis(t, session.Config{NearCache: session.NearCache{Off: true}})
	for what, end := range map[string]func(){
		"RevokeUser": func() { m.RevokeUser(ctx, "ada", nil) },
		"List":       func() { m.List(ctx, "ada") },
	} {
		s, r := signIn(t, m, "ada")
		server.Client().Persist(ctx, recordKey(r, s))
		end()
		if _, err := m.Load(r); err == nil {
			t.Errorf("still there after %s", what)
		}
	}
}
