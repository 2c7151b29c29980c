// Package redistest starts Redis for tests: one node, a cluster or a trio under
// Sentinel, as processes of their own on free ports of the loopback, killed with the
// test that started them.
//
// Where redis-server is not installed, one node is replaced by a stand-in inside
// the process and everything else is skipped, in plain words, unless the
// environment says IDXAUTH_REQUIRE_REDIS=1.
package redistest

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
)

// Server is one node. What it holds survives [Server.Stop] and [Server.Restart].
type Server struct {
	Addr string // host:port

	t       testing.TB
	process *process             // nil if there is no redis-server
	standIn *miniredis.Miniredis // then this
	client  *redis.Client
	patient *redis.Client
}

// Start starts an empty node with further arguments for redis-server, or the
// stand-in, which knows no arguments.
func Start(t testing.TB, args ...string) *Server {
	t.Helper()
	if !installed(t) {
		t.Log("redis-server is not installed: a stand-in inside the process answers; what real time, memory limits, scripts and connections do to Redis was not tested")
		return startStandIn(t)
	}
	return startNode(t, args...)
}

// Real reports whether s is a real redis-server.
func (s *Server) Real() bool { return s.process != nil }

// Client returns a client of s, the same each time, that waits for little.
func (s *Server) Client() *redis.Client { return s.client }

// Patient returns a client of s, the same each time, for those who set up a test or look
// at what has come of it: it waits as long as a busy machine may take.
func (s *Server) Patient() *redis.Client { return s.patient }

// Stop kills the node.
func (s *Server) Stop() {
	s.t.Helper()
	if s.standIn != nil {
		s.standIn.Close()
		return
	}
	s.process.kill()
}

// Restart starts the node again, on its old address and with what it held, and
// waits until it answers.
func (s *Server) Restart() {
	s.t.Helper()
	if s.standIn != nil {
		if err := s.standIn.Restart(); err != nil {
			s.t.Fatalf("redistest: %v", err)
		}
		return
	}
	s.process.kill()
	if err := s.process.start(); err != nil {
		s.t.Fatalf("redistest: %v", err)
	}
	s.waitReady()
}

// RestartEmpty starts the node again without what it held.
func (s *Server) RestartEmpty() {
	s.t.Helper()
	if s.standIn != nil {
		s.standIn.FlushAll()
	}
	s.Stop()
	if s.process != nil {
		must(s.t, os.RemoveAll(filepath.Join(s.process.dir, "appendonlydir")))
	}
	s.Restart()
}

// Follow makes s a read-only replica of master, and returns when it has caught up. It
// forgets what it held before.
func (s *Server) Follow(master *Server) {
	s.t.Helper()
	ctx := context.Background()
	host, port, _ := net.SplitHostPort(master.Addr)
	must(s.t, s.patient.ReplicaOf(ctx, host, port).Err())
	Eventually(s.t, "the replica has caught up", func() bool {
		return strings.Contains(s.patient.Info(ctx, "replication").Val(), "master_link_status:up")
	})
}

// Promote makes a replica a master.
func (s *Server) Promote() {
	s.t.Helper()
	must(s.t, s.patient.ReplicaOf(context.Background(), "NO", "ONE").Err())
}

// KillClients closes all connections to s, but for the one that asks for it.
func (s *Server) KillClients() {
	s.t.Helper()
	ctx := context.Background()
	must(s.t, s.patient.ClientKillByFilter(ctx, "TYPE", "normal", "SKIPME", "yes").Err())
	must(s.t, s.patient.ClientKillByFilter(ctx, "TYPE", "pubsub", "SKIPME", "yes").Err())
}

// Pause freezes the process: connections stay open and nothing answers. It skips
// the test that started the server if there is no process.
func (s *Server) Pause() {
	s.t.Helper()
	if s.process == nil {
		s.t.Skip("redis-server is not installed: what happens while Redis hangs was not tested")
	}
	if err := pause(s.process.cmd.Process); err != nil {
		s.t.Skipf("what happens while Redis hangs was not tested: %v", err)
	}
}

// Resume ends [Server.Pause].
func (s *Server) Resume() {
	s.t.Helper()
	if err := resume(s.process.cmd.Process); err != nil {
		s.t.Fatalf("redistest: %v", err)
	}
}

func startStandIn(t testing.TB) *Server {
	m := miniredis.NewMiniRedis()
	m.ClockTTL(true)
	if err := m.Start(); err != nil {
		t.Fatalf("redistest: %v", err)
	}
	t.Cleanup(m.Close)
	return &Server{Addr: m.Addr(), t: t, standIn: m, client: newClient(t, m.Addr(), slow), patient: newPatient(t, m.Addr())}
}

func startNode(t testing.TB, args ...string) *Server {
	t.Helper()
	addr, port := freePort(t)
	p := &process{t: t, dir: t.TempDir(), args: append([]string{
		"--port", port, "--bind", "127.0.0.1", "--save", "",
		// Keeps the data over a kill: what was written is with the system by then.
		"--appendonly", "yes", "--appendfsync", "no",
	}, args...)}
	if err := p.start(); err != nil {
		t.Fatalf("redistest: %v", err)
	}
	t.Cleanup(p.kill)
	s := &Server{Addr: addr, t: t, process: p, client: newClient(t, addr, quick), patient: newPatient(t, addr)}
	s.waitReady()
	return s
}

func (s *Server) waitReady() {
	s.t.Helper()
	// Without the client, which would log every failure and slow down.
	Eventually(s.t, "redis-server listens", func() bool {
		c, err := net.Dial("tcp", s.Addr)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	// Ours, and not that of another test which was given the same port.
	id := fmt.Sprintf("process_id:%d\r\n", s.process.cmd.Process.Pid)
	Eventually(s.t, "redis-server answers", func() bool {
		return strings.Contains(s.patient.Info(context.Background(), "server").Val(), id)
	})
}

// How long clients wait for an answer. The stand-in takes time for scripts, since it looks
// at all keys before each command.
const (
	quick = 250 * time.Millisecond
	slow  = 20 * time.Second
)

func newClient(t testing.TB, addr string, patience time.Duration) *redis.Client {
	c := redis.NewClient(&redis.Options{
		Addr:                  addr,
		DialTimeout:           500 * time.Millisecond,
		DialerRetries:         1,
		ReadTimeout:           patience,
		WriteTimeout:          250 * time.Millisecond,
		PoolTimeout:           250 * time.Millisecond,
		PoolSize:              64,
		PipelinePoolSize:      -1,
		ContextTimeoutEnabled: true,
		MaxRetries:            1,
	})
	t.Cleanup(func() { c.Close() })
	return c
}

func newPatient(t testing.TB, addr string) *redis.Client {
	c := redis.NewClient(&redis.Options{
		Addr:                  addr,
		DialTimeout:           slow,
		DialerRetries:         1,
		ReadTimeout:           slow,
		WriteTimeout:          slow,
		PoolTimeout:           slow,
		PoolSize:              64,
		PipelinePoolSize:      -1,
		ContextTimeoutEnabled: true,
		MaxRetries:            1,
	})
	t.Cleanup(func() { c.Close() })
	return c
}

// installed reports whether redis-server can be started, and ends the test if it
// must be. IDXAUTH_NO_REDIS=1 makes any machine one without it.
func installed(t testing.TB) bool {
	t.Helper()
	if os.Getenv("IDXAUTH_NO_REDIS") == "1" {
		return false
	}
	_, err := exec.LookPath("redis-server")
	if err != nil && os.Getenv("IDXAUTH_REQUIRE_REDIS") == "1" {
		t.Fatalf("redistest: IDXAUTH_REQUIRE_REDIS=1, but there is no redis-server: %v", err)
	}
	return err == nil
}

// Eventually waits until ok holds, and ends the test if that takes too long: longer than a
// failover after an election that nobody has won, or than the 30 s for which a sentinel that
// did not get to run for two does nothing.
func Eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.Now().Add(time.Minute)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("redistest: still not so: %s", what)
		}
		<-tick.C
	}
}
