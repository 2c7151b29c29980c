package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/idxauth/idxauth/internal/ports"
)

// redisServer is a redis-server of this run's own, without persistence.
type redisServer struct {
	*process
	address string
	dir     string
	client  *redis.Client
}

func startRedis(ctx context.Context, on core) (*redisServer, error) {
	address, port, err := ports.Free()
	if err != nil {
		return nil, err
	}
	s := &redisServer{address: address}
	if s.dir, err = os.MkdirTemp("", "peers-redis-"); err != nil {
		return nil, err
	}
	cmd := exec.Command("redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no")
	cmd.Dir = s.dir
	if s.process, err = start(cmd, on); err != nil {
		os.RemoveAll(s.dir)
		return nil, err
	}
	s.client = redis.NewClient(&redis.Options{Addr: s.address, PoolSize: 1, PipelinePoolSize: -1})
	if err := s.waitReady(ctx); err != nil {
		s.stop()
		return nil, err
	}
	return s, nil
}

func (s *redisServer) waitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		// Without the client, which would log every failure and slow down.
		if c, err := net.Dial("tcp", s.address); err == nil {
			c.Close()
			return s.client.Ping(ctx).Err()
		}
		select {
		case <-tick.C:
		case <-s.done:
			return fmt.Errorf("redis-server ended at once: %s", s.stderr)
		case <-ctx.Done():
			return errors.New("redis-server did not start in time")
		}
	}
}

func (s *redisServer) stop() {
	s.client.Close()
	s.process.stop()
	os.RemoveAll(s.dir)
}

// redisCost is what Redis has done since its start.
type redisCost struct {
	commands int64
	cpu      time.Duration
}

func (s *redisServer) cost(ctx context.Context) (redisCost, error) {
	var c redisCost
	text, err := s.client.Info(ctx, "commandstats", "cpu").Result()
	if err != nil {
		return c, err
	}
	for line := range strings.Lines(text) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		switch name, isCommand := strings.CutPrefix(key, "cmdstat_"); {
		case isCommand && !isHousekeeping(name):
			calls, _, _ := strings.Cut(strings.TrimPrefix(value, "calls="), ",")
			n, err := strconv.ParseInt(calls, 10, 64)
			if err != nil {
				return c, fmt.Errorf("INFO commandstats: %q", line)
			}
			c.commands += n
		case key == "used_cpu_user" || key == "used_cpu_sys":
			seconds, err := strconv.ParseFloat(value, 64)
			if err != nil {
				return c, fmt.Errorf("INFO cpu: %q", line)
			}
			c.cpu += time.Duration(seconds * float64(time.Second))
		}
	}
	return c, nil
}

// memory returns how many bytes Redis uses.
func (s *redisServer) memory(ctx context.Context) (int64, error) {
	text, err := s.client.Info(ctx, "memory").Result()
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(text) {
		if used, ok := strings.CutPrefix(line, "used_memory:"); ok {
			return strconv.ParseInt(strings.TrimSpace(used), 10, 64)
		}
	}
	return 0, errors.New("INFO memory has no used_memory")
}

// isHousekeeping is about commands that no request causes: our own INFO, and those
// with which clients begin a connection.
func isHousekeeping(command string) bool {
	command, _, _ = strings.Cut(command, "|")
	return command == "info" || command == "hello" || command == "client"
}
