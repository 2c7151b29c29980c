package session_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/idxauth/idxauth/session"
)

func TestNewReportsAllProblems(t *testing.T) {
	long := strings.Repeat("a", 65)
	for _, tt := range []struct {
		name string
		cfg  session.Config
		want string
	}{
		{"no name", session.Config{}, "Name"},
		{"upper case", session.Config{Name: "App"}, "Name"},
		{"braces", session.Config{Name: "a{b}"}, "Name"},
		{"line break", session.Config{Name: "a\n"}, "Name"},
		{"too long", session.Config{Name: long}, "Name"},
		{"negative absolute", session.Config{Name: "a", Absolute: -1}, "Absolute"},
		{"idle beyond absolute", session.Config{Name: "a", Idle: 2 * time.Hour, Absolute: time.Hour}, "Idle"},
		{"idle beyond the default absolute", session.Config{Name: "a", Idle: 8 * 24 * time.Hour}, "Idle"},
		{"idle too short", session.Config{Name: "a", Idle: time.Microsecond}, "Idle"},
		{"negative touch", session.Config{Name: "a", TouchEvery: -1}, "TouchEvery"},
		{"touch as rare as idle", session.Config{Name: "a", Idle: time.Minute, TouchEvery: time.Minute}, "TouchEvery"},
		{"negative max", session.Config{Name: "a", MaxPerUser: -1}, "MaxPerUser"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := session.New(session.NewMemory(), tt.cfg, nil)
			if err == nil || !strings.Contains(err.Error(), "session: "+tt.want) {
				t.Errorf("got %v, want a word about %s", err, tt.want)
			}
		})
	}
	_, err := session.New(nil, session.Config{Absolute: -1, MaxPerUser: -1}, nil)
	if err == nil || strings.Count(err.Error(), "\n") != 3 {
		t.Errorf("got %v, want four problems", err)
	}
	for _, cfg := range []session.Config{
		{Name: "my-app-2"},
		{Name: "a", Absolute: time.Hour}, // the default idle limit gives way
		{Name: "a", Idle: -1},
		{Name: "a", Idle: time.Millisecond, Absolute: time.Second},
	} {
		if _, err := session.New(session.NewMemory(), cfg, nil); err != nil {
			t.Errorf("%+v: %v", cfg, err)
		}
	}
}

func promptTo(t *testing.T, address string) *redis.UniversalOptions {
	t.Helper()
	o, err := session.ParseRedisURL(address)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func TestNewChecksTheRedisClient(t *testing.T) {
	prompt := promptTo(t, "redis://localhost")
	addrs := []string{"127.0.0.1:1"}
	for _, tt := range []struct {
		name    string
		client  redis.UniversalClient
		refused bool
		warned  bool
	}{
		{"prompt", redis.NewUniversalClient(prompt), false, false},
		{"defaults", redis.NewClient(&redis.Options{}), false, true},
		{"cluster with defaults", redis.NewClusterClient(&redis.ClusterOptions{Addrs: addrs}), false, true},
		{"slow", redis.NewClient(&redis.Options{ContextTimeoutEnabled: true, ReadTimeout: 2 * time.Second}), false, true},
		{"no time limit", redis.NewClient(&redis.Options{ContextTimeoutEnabled: true, ReadTimeout: -1}), false, true},
		{"replicas", redis.NewClusterClient(&redis.ClusterOptions{Addrs: addrs, ReadOnly: true}), true, true},
		{"nearest", redis.NewClusterClient(&redis.ClusterOptions{Addrs: addrs, RouteByLatency: true}), true, true},
		{"any", redis.NewClusterClient(&redis.ClusterOptions{Addrs: addrs, RouteRandomly: true}), true, true},
		{"plain text to another host", redis.NewUniversalClient(promptTo(t, "redis://redis.example")), false, true},
		{"plain text to another address", redis.NewUniversalClient(promptTo(t, "redis://192.0.2.1,192.0.2.2")), false, true},
		{"TLS to another host", redis.NewUniversalClient(promptTo(t, "rediss://redis.example")), false, false},
		{"this machine", redis.NewUniversalClient(promptTo(t, "redis://[::1]")), false, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			defer tt.client.Close()
			var log bytes.Buffer
			cfg := session.Config{Name: "app", Logger: slog.New(slog.NewTextHandler(&log, nil))}
			_, err := session.New(session.NewRedis(tt.client, nil), cfg, nil)
			if (err != nil) != tt.refused {
				t.Errorf("got %v", err)
			}
			if n := strings.Count(log.String(), "level=WARN"); (n == 1) != tt.warned || n > 1 {
				t.Errorf("log: %q", log.String())
			}
		})
	}
	client := redis.NewUniversalClient(prompt)
	defer client.Close()
	store := session.NewRedis(client, &session.RedisOptions{Prefix: "{x}"})
	if _, err := session.New(store, session.Config{Name: "app"}, nil); err == nil {
		t.Error("a prefix with braces was accepted")
	}
}
