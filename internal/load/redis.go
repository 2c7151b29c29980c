package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/idxauth/idxauth/internal/ports"
)

// redisServer is a redis-server of this run's own. It keeps nothing when it is killed.
type redisServer struct {
	addr   string
	dir    string
	cmd    *exec.Cmd
	client *redis.Client
}

func startRedis(ctx context.Context) (*redisServer, error) {
	addr, _, err := ports.Free()
	if err != nil {
		return nil, err
	}
	s := &redisServer{addr: addr}
	if s.dir, err = os.MkdirTemp("", "load-redis-"); err != nil {
		return nil, err
	}
	s.client = redis.NewClient(&redis.Options{Addr: s.addr, PoolSize: 1, PipelinePoolSize: -1, MaxRetries: -1})
	if err := s.start(ctx); err != nil {
		s.stop()
		return nil, err
	}
	return s, nil
}

// start starts the process, and returns when it answers.
func (s *redisServer) start(ctx context.Context) error {
	_, port, _ := net.SplitHostPort(s.addr)
	s.cmd = exec.Command("redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--maxclients", "1000")
	s.cmd.Dir = s.dir
	if err := s.cmd.Start(); err != nil {
		s.cmd = nil
		return fmt.Errorf("redis-server is needed: %w", err)
	}
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(20 * time.Second); ; <-tick.C {
		if conn, err := net.Dial("tcp", s.addr); err == nil { // the client would slow down
			conn.Close()
			if s.client.Ping(ctx).Err() == nil {
				return nil
			}
		}
		if time.Now().After(deadline) || ctx.Err() != nil {
			return fmt.Errorf("redis-server does not answer at %s", s.addr)
		}
	}
}

// kill ends the process, and all that it knew.
func (s *redisServer) kill() {
	if s.cmd != nil {
		s.cmd.Process.Kill()
		s.cmd.Wait()
		s.cmd = nil
	}
}

func (s *redisServer) stop() {
	s.client.Close()
	s.kill()
	os.RemoveAll(s.dir)
}

// memory returns how many bytes Redis uses, those for its connections left out.
func (s *redisServer) memory(ctx context.Context) (int64, error) {
	text, err := s.client.Info(ctx, "memory").Result()
	if err != nil {
		return 0, err
	}
	var used, clients int64
	for line := range strings.Lines(text) {
		fmt.Sscanf(line, "used_memory:%d", &used)
		fmt.Sscanf(line, "mem_clients_normal:%d", &clients)
	}
	if used == 0 {
		return 0, fmt.Errorf("INFO memory has no used_memory")
	}
	return used - clients, nil
}
