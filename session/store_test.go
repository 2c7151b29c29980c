package session_test

import (
	"testing"

	"github.com/idxauth/idxauth/internal/redistest"
	"github.com/idxauth/idxauth/session"
	"github.com/idxauth/idxauth/session/sessiontest"
)

func TestMemory(t *testing.T) {
	sessiontest.TestStore(t, func(*testing.T) session.Store { return session.NewMemory() })
}

func TestRedis(t *testing.T) {
	store := session.NewRedis(redistest.Start(t).Client(), nil)
	sessiontest.TestStore(t, func(*testing.T) session.Store { return store })
}

func TestRedisCluster(t *testing.T) {
	t.Parallel()
	store := session.NewRedis(redistest.StartCluster(t).Client(), &session.RedisOptions{Prefix: "pre:"})
	sessiontest.TestStore(t, func(*testing.T) session.Store { return store })
}
