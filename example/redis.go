package main

import (
	"fmt"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/idxauth/idxauth/session"
)

// embeddedRedis starts a Redis inside this process, for trying things out: it forgets
// everything when the process ends.
func embeddedRedis() (*miniredis.Miniredis, session.Store, error) {
	server := miniredis.NewMiniRedis()
	server.ClockTTL(true) // keys expire as time passes
	if err := server.Start(); err != nil {
		return nil, nil, fmt.Errorf("embedded Redis: %w", err)
	}
	options, err := session.ParseRedisURL("redis://" + server.Addr())
	if err != nil {
		server.Close()
		return nil, nil, fmt.Errorf("embedded Redis: %w", err)
	}
	return server, session.NewRedis(redis.NewUniversalClient(options), nil), nil
}
