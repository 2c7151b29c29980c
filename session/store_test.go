package session_test

import (
	"testing"
	"time"

	"github.com/idxauth/idxauth/internal/redistest"
	"github.com/idxauth/idxauth/session"
	"github.com/idxauth/idxauth/session/sessiontest"
)

func TestMemory(t *testing.T) {
	sessiontest.TestStore(t, func(*testing.T) session.Store { return session.NewMemory() })
}

func TestRedis(t *testing.T) {
	server := redistest.Start(t)
	var options *session.RedisOptions
	if !server.Real() {
		options = &session.RedisOptions{Timeout: 10 * time.Second} // the stand-in is slow
	}
	store := session.NewRedis(server.Client(), options)
	sessiontest.TestStore(t, func(*testing.T) session.Store { return store })
}

func TestRedisCluster(t *testing.T) {
	t.Parallel()
	store := session.NewRedis(redistest.StartCluster(t).Client(), &session.RedisOptions{Prefix: "pre:"})
	sessiontest.TestStore(t, func(*testing.T) session.Store { return store })
}
