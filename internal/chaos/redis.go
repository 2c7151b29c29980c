package main

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/idxauth/idxauth/internal/redistest"
)

// one is a master with a replica, behind addresses that can lead to either: one for each
// instance, and one for the witness.
type one struct {
	master, replica *redistest.Server
	ways            []*redistest.Proxy
}

// setDelay makes Redis slow for everybody.
func (o *one) setDelay(d time.Duration) {
	for _, way := range o.ways {
		way.SetDelay(d)
	}
}

// lead makes all addresses lead to s.
func (o *one) lead(s *redistest.Server) {
	for _, way := range o.ways {
		way.Switch(s.Addr)
	}
}

func startOne(t testing.TB) *backend {
	// The backlog counts as memory, and is not to grow when that is limited.
	arguments := []string{"--repl-diskless-sync-delay", "0", "--repl-backlog-size", "16kb"}
	o := &one{master: redistest.Start(t, arguments...), replica: redistest.Start(t, arguments...)}
	o.replica.Follow(o.master)
	b := &backend{one: o}
	for range instances {
		way := redistest.NewProxy(t, o.master.Addr)
		o.ways = append(o.ways, way)
		b.urls = append(b.urls, "redis://"+way.Addr)
	}
	witness := redistest.NewProxy(t, o.master.Addr)
	o.ways = append(o.ways, witness)
	c := redis.NewClient(&redis.Options{Addr: witness.Addr, PoolSize: 1, MaxRetries: -1, DialerRetries: 1, ContextTimeoutEnabled: true})
	t.Cleanup(func() { c.Close() })
	b.ping = func(ctx context.Context) error { return c.Ping(ctx).Err() }
	return b
}

func startTrio(t testing.TB) *backend {
	s := redistest.StartSentinel(t)
	return &backend{
		urls: slices.Repeat([]string{"redis+sentinel://" + strings.Join(s.Addrs, ",") + "/" + redistest.MasterName}, instances),
		ping: func(ctx context.Context) error { return s.Client().Ping(ctx).Err() },
		trio: s,
	}
}

func startCluster(t testing.TB) *backend {
	c := redistest.StartClusterWithReplicas(t)
	return &backend{
		urls: slices.Repeat([]string{"redis://" + strings.Join(c.Addrs(), ",")}, instances),
		ping: func(ctx context.Context) error {
			return c.Client().ForEachMaster(ctx, func(ctx context.Context, c *redis.Client) error { return c.Ping(ctx).Err() })
		},
		cluster: c,
	}
}

// master returns a client of the one master, nil if there is not one. It waits as long as a
// busy machine may take: it is not what is tried.
func (b *backend) master() redis.UniversalClient {
	switch {
	case b.one != nil:
		return b.one.master.Patient()
	case b.trio != nil:
		return b.trio.Client()
	}
	return nil
}

// passTime lets what expires within ten minutes expire sooner by d: marks of re-reads
// that are under way, above all. Sessions carry times of the application's clock, and last
// longer.
func (b *backend) passTime(ctx context.Context, d time.Duration) error {
	const script = `
local page = redis.call("SCAN", ARGV[1], "COUNT", 500)
for _, key in ipairs(page[2]) do
	local left = redis.call("PTTL", key)
	if left >= 0 and left < 600000 then
		redis.call("PEXPIRE", key, math.max(left - tonumber(ARGV[2]), 1))
	end
end
return page[1]`
	c := b.master()
	if c == nil {
		return nil
	}
	for cursor := "0"; ; {
		next, err := c.Eval(ctx, script, nil, cursor, d.Milliseconds()).Text()
		if err != nil || next == "0" {
			return err
		}
		cursor = next
	}
}

// immortals returns the keys that never expire.
func (b *backend) immortals(ctx context.Context) (keys []string) {
	c := b.master()
	if c == nil {
		return nil
	}
	all := c.Scan(ctx, 0, "*", 1000).Iterator()
	for all.Next(ctx) {
		if c.TTL(ctx, all.Val()).Val() == -1 {
			keys = append(keys, all.Val())
		}
	}
	return keys
}
