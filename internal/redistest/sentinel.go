package redistest

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// MasterName is the name under which Sentinel guards the master.
const MasterName = "mymaster"

// Sentinel is a master with two replicas and three sentinels.
type Sentinel struct {
	Addrs []string // of the sentinels

	t      testing.TB
	nodes  []*Server
	client *redis.Client
}

// StartSentinel starts a guarded master, which takes two to three seconds. It skips
// the test where redis-server is not installed.
func StartSentinel(t testing.TB) *Sentinel {
	t.Helper()
	if !installed(t) {
		t.Skip("redis-server is not installed: Sentinel and failover were not tested")
	}
	ctx := context.Background()
	s := &Sentinel{t: t}
	master := startNode(t, "--repl-diskless-sync-delay", "0")
	host, port, _ := net.SplitHostPort(master.Addr)
	s.nodes = append(s.nodes, master)
	for range 2 {
		s.nodes = append(s.nodes, startNode(t, "--repl-diskless-sync-delay", "0", "--replicaof", host+" "+port))
	}
	// Sentinels that start before the replicas are known look for them every 10 s.
	Eventually(t, "the replicas are connected", func() bool {
		info := master.patient.Info(ctx, "replication").Val()
		return strings.Count(info, "state=online") == 2
	})
	for range 3 {
		s.Addrs = append(s.Addrs, startSentinel(t, host, port))
	}
	for _, addr := range s.Addrs {
		waitForPeers(t, addr)
	}
	s.client = redis.NewFailoverClient(&redis.FailoverOptions{
		MasterName:            MasterName,
		SentinelAddrs:         s.Addrs,
		DialTimeout:           500 * time.Millisecond,
		DialerRetries:         1,
		ReadTimeout:           250 * time.Millisecond,
		WriteTimeout:          250 * time.Millisecond,
		PoolTimeout:           250 * time.Millisecond,
		PipelinePoolSize:      -1,
		ContextTimeoutEnabled: true,
	})
	t.Cleanup(func() { s.client.Close() })
	return s
}

// Client returns a client of whoever is master, the same each time.
func (s *Sentinel) Client() *redis.Client { return s.client }

// Failover kills the master, once it has nothing that its replicas lack, and waits
// until the sentinels agree on another one.
func (s *Sentinel) Failover() {
	s.t.Helper()
	ctx := context.Background()
	old := s.master(s.Addrs[0])
	for _, n := range s.nodes {
		if n.Addr == old {
			must(s.t, n.patient.Do(ctx, "WAIT", 2, 1000).Err())
			n.Stop()
		}
	}
	for _, addr := range s.Addrs {
		Eventually(s.t, "a replica was promoted", func() bool {
			now := s.master(addr)
			return now != "" && now != old
		})
	}
}

// Nodes returns the master and its replicas, in no order that lasts.
func (s *Sentinel) Nodes() []*Server { return s.nodes }

// Isolate cuts the master off from sentinels and replicas, which use Redis' default
// user, but not from clients that sign in as another one. It waits until the sentinels
// agree on another master, and returns the port of that.
func (s *Sentinel) Isolate() (port string) {
	s.t.Helper()
	ctx := context.Background()
	old := s.master(s.Addrs[0])
	for _, n := range s.nodes {
		if n.Addr != old {
			continue
		}
		must(s.t, n.patient.Do(ctx, "WAIT", 2, 1000).Err())
		_, err := n.patient.TxPipelined(ctx, func(p redis.Pipeliner) error {
			p.Do(ctx, "ACL", "SETUSER", "default", "off")
			p.Do(ctx, "CLIENT", "KILL", "USER", "default", "SKIPME", "yes")
			p.Do(ctx, "CLIENT", "KILL", "TYPE", "replica")
			return nil
		})
		must(s.t, err)
	}
	for _, addr := range s.Addrs {
		Eventually(s.t, "a replica was promoted", func() bool {
			now := s.master(addr)
			return now != "" && now != old
		})
	}
	_, port, _ = net.SplitHostPort(s.master(s.Addrs[0]))
	return port
}

// master asks one sentinel who is master.
func (s *Sentinel) master(addr string) string {
	c := redis.NewSentinelClient(&redis.Options{Addr: addr, ReadTimeout: time.Second})
	defer c.Close()
	hostPort := c.GetMasterAddrByName(context.Background(), MasterName).Val()
	return strings.Join(hostPort, ":")
}

func startSentinel(t testing.TB, host, port string) string {
	t.Helper()
	addr, own := freePort(t)
	dir := t.TempDir()
	file := filepath.Join(dir, "sentinel.conf") // sentinels write to it
	must(t, os.WriteFile(file, fmt.Appendf(nil, `port %s
bind 127.0.0.1
sentinel monitor %s %s %s 2
sentinel down-after-milliseconds %[2]s 500
sentinel failover-timeout %[2]s 3000
`, own, MasterName, host, port), 0o600))
	p := &process{t: t, dir: dir, args: []string{file, "--sentinel"}}
	must(t, p.start())
	t.Cleanup(p.kill)
	return addr
}

func waitForPeers(t testing.TB, addr string) {
	t.Helper()
	c := redis.NewSentinelClient(&redis.Options{Addr: addr, ReadTimeout: time.Second})
	defer c.Close()
	Eventually(t, "the sentinels know each other and the replicas", func() bool {
		m := c.Master(context.Background(), MasterName).Val()
		return m["num-slaves"] == "2" && m["num-other-sentinels"] == "2"
	})
}
