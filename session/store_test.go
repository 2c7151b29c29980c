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
	store := session.NewRedis(openRedis(t).Client(), patientStore)
	sessiontest.TestStore(t, func(*testing.T) session.Store { return store })
}

func TestRedisCluster(t *testing.T) {
	t.Parallel()
	store := session.NewRedis(openCluster(t, redistest.StartCluster(t)), &session.RedisOptions{Prefix: "pre:", Timeout: patientStore.Timeout})
	sessiontest.TestStore(t, func(*testing.T) session.Store { return store })
}
