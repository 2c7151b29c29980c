package redistest_test

import (
	"context"
	"testing"

	"github.com/idxauth/idxauth/internal/redistest"
)

func TestServerKeepsItsDataOverARestart(t *testing.T) {
	ctx := context.Background()
	s := redistest.Start(t)
	if err := s.Client().Set(ctx, "k", "v", 0).Err(); err != nil {
		t.Fatal(err)
	}
	s.Stop()
	if err := s.Client().Ping(ctx).Err(); err == nil {
		t.Error("a stopped server answers")
	}
	s.Restart()
	redistest.Eventually(t, "the value is there", func() bool {
		return s.Client().Get(ctx, "k").Val() == "v"
	})
}

func TestPausedServerDoesNotAnswer(t *testing.T) {
	ctx := context.Background()
	s := redistest.Start(t)
	s.Pause()
	if err := s.Client().Ping(ctx).Err(); err == nil {
		t.Error("a paused server answers")
	}
	s.Resume()
	redistest.Eventually(t, "it answers again", func() bool { return s.Client().Ping(ctx).Err() == nil })
}

func TestClusterSpreadsKeys(t *testing.T) {
	ctx := context.Background()
	c := redistest.StartCluster(t)
	for _, key := range []string{"a", "b", "c"} {
		if err := c.Client().Set(ctx, key, key, 0).Err(); err != nil {
			t.Error(err)
		}
	}
}

func TestSentinelFailsOver(t *testing.T) {
	ctx := context.Background()
	s := redistest.StartSentinel(t)
	if err := s.Client().Set(ctx, "k", "v", 0).Err(); err != nil {
		t.Fatal(err)
	}
	s.Failover()
	redistest.Eventually(t, "the new master has the value", func() bool {
		return s.Client().Get(ctx, "k").Val() == "v"
	})
}
