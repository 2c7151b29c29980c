package main

import (
	"context"
	"slices"
	"time"
)

// sessionKeys returns the keys of this library's sessions.
func (s *redisServer) sessionKeys(ctx context.Context) ([]string, error) {
	return s.client.Keys(ctx, "*:s:{*").Result()
}

// without returns the keys that are not among others.
func without(keys, others []string) []string {
	known := make(map[string]bool, len(others))
	for _, key := range others {
		known[key] = true
	}
	return slices.DeleteFunc(keys, func(key string) bool { return known[key] })
}

// change moves the expiry of perSecond of keys, in turn, until the returned function
// is called: to the near caches that hold these sessions, each of them has changed.
func (s *redisServer) change(ctx context.Context, keys []string, perSecond int) (calm func() error) {
	if perSecond == 0 {
		return func() error { return nil }
	}
	const ticks = 100 // a second
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() {
		tick := time.NewTicker(time.Second / ticks)
		defer tick.Stop()
		for next := 0; ; {
			select {
			case <-ctx.Done():
				ended <- nil
				return
			case <-tick.C:
			}
			pipe := s.client.Pipeline()
			for range perSecond / ticks {
				pipe.PExpire(ctx, keys[next%len(keys)], 24*time.Hour)
				next++
			}
			if _, err := pipe.Exec(ctx); err != nil && ctx.Err() == nil {
				ended <- err
				return
			}
		}
	}()
	return func() error {
		cancel()
		return <-ended
	}
}
