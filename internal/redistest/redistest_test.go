package redistest_test

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/idxauth/idxauth/internal/redistest"
)

func TestServerKeepsItsDataOverARestart(t *testing.T) {
	ctx := context.Background()
	s := redistest.Start(t)
	if err := s.Patient().Set(ctx, "k", "v", 0).Err(); err != nil {
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
		redistest.Eventually(t, "the value is kept", func() bool { return c.Client().Set(ctx, key, key, 0).Err() == nil })
	}
}

func TestRestartEmptyForgets(t *testing.T) {
	ctx := context.Background()
	s := redistest.Start(t)
	if err := s.Patient().Set(ctx, "k", "v", 0).Err(); err != nil {
		t.Fatal(err)
	}
	s.RestartEmpty()
	if n, err := s.Patient().DBSize(ctx).Result(); err != nil || n != 0 {
		t.Errorf("%d keys, %v, want none", n, err)
	}
}

func TestReplicaRefusesWritesUntilItIsPromoted(t *testing.T) {
	ctx := context.Background()
	master := redistest.Start(t, "--repl-diskless-sync-delay", "0")
	if !master.Real() {
		t.Skip("redis-server is not installed: replication was not tested")
	}
	replica := redistest.Start(t)
	if err := master.Patient().Set(ctx, "k", "v", 0).Err(); err != nil {
		t.Fatal(err)
	}
	replica.Follow(master)
	if err := replica.Patient().Set(ctx, "k", "w", 0).Err(); err == nil || !strings.HasPrefix(err.Error(), "READONLY") {
		t.Errorf("Set at a replica: %v, want READONLY", err)
	}
	replica.Promote()
	if err := replica.Patient().Set(ctx, "k", "w", 0).Err(); err != nil {
		t.Errorf("Set at what was promoted: %v", err)
	}
}

func TestProxyDelaysAndSwitches(t *testing.T) {
	ctx := context.Background()
	servers := []*redistest.Server{redistest.Start(t), redistest.Start(t)}
	for i, s := range servers {
		if err := s.Patient().Set(ctx, "k", i, 0).Err(); err != nil {
			t.Fatal(err)
		}
	}
	proxy := redistest.NewProxy(t, servers[0].Addr)
	c := redis.NewClient(&redis.Options{Addr: proxy.Addr})
	defer c.Close()
	if got := c.Get(ctx, "k").Val(); got != "0" {
		t.Errorf("through the proxy: %q, want 0", got)
	}
	proxy.SetDelay(50 * time.Millisecond)
	began := time.Now()
	if c.Get(ctx, "k"); time.Since(began) < 50*time.Millisecond {
		t.Errorf("an answer after %v, want no sooner than 50ms", time.Since(began))
	}
	proxy.SetDelay(0)
	proxy.Switch(servers[1].Addr)
	if got := c.Get(ctx, "k").Val(); got != "1" {
		t.Errorf("after the switch: %q, want 1", got)
	}
}

// What was sent while the way was cut gets no answer, and arrives when it is mended.
func TestProxyCutsAndMends(t *testing.T) {
	ctx := context.Background()
	server := redistest.Start(t)
	proxy := redistest.NewProxy(t, server.Addr)
	c := redis.NewClient(&redis.Options{Addr: proxy.Addr, ReadTimeout: 50 * time.Millisecond, MaxRetries: -1})
	defer c.Close()
	if err := c.Ping(ctx).Err(); err != nil {
		t.Fatal(err)
	}
	proxy.Cut()
	proxy.Cut()
	if err := c.Set(ctx, "late", "1", 0).Err(); err == nil {
		t.Error("Set through a proxy that is cut succeeded")
	}
	if err := c.Ping(ctx).Err(); err == nil {
		t.Error("a new connection through a proxy that is cut got an answer")
	}
	if n := server.Client().Exists(ctx, "late").Val(); n != 0 {
		t.Error("what was sent through a proxy that is cut has arrived")
	}
	proxy.Mend()
	redistest.Eventually(t, "what was sent arrives", func() bool { return server.Client().Exists(ctx, "late").Val() == 1 })
	redistest.Eventually(t, "new connections work", func() bool { return c.Ping(ctx).Err() == nil })
}

func TestReplicaOfAClusterTakesOver(t *testing.T) {
	ctx := context.Background()
	c := redistest.StartClusterWithReplicas(t)
	keys := []string{"a", "b", "c"} // one for each master
	for _, key := range keys {
		redistest.Eventually(t, "the value is kept", func() bool { return c.Client().Set(ctx, key, key, 0).Err() == nil })
	}
	c.Failover(1)
	for _, key := range keys {
		redistest.Eventually(t, "the value is there", func() bool { return c.Client().Get(ctx, key).Val() == key })
	}
}

func TestProgramReportsWhatWouldEndATest(t *testing.T) {
	var dir string
	cleaned := false
	err := redistest.Program(func(t testing.TB) {
		dir = t.TempDir()
		t.Cleanup(func() { cleaned = true })
		t.Fatalf("not %s", "so")
	})
	if err == nil || err.Error() != "not so" {
		t.Errorf("error %v, want: not so", err)
	}
	if _, err := os.Stat(dir); !cleaned || !os.IsNotExist(err) {
		t.Errorf("cleaned up: %v, directory: %v", cleaned, err)
	}
}

func TestSentinelFailsOver(t *testing.T) {
	ctx := context.Background()
	s := redistest.StartSentinel(t)
	redistest.Eventually(t, "the value is kept", func() bool { return s.Client().Set(ctx, "k", "v", 0).Err() == nil })
	s.Failover()
	redistest.Eventually(t, "the new master has the value", func() bool {
		return s.Client().Get(ctx, "k").Val() == "v"
	})
}
