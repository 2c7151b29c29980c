package session

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// maxFailures in a row, each after all that the client tried, take a node for
	// down.
	maxFailures = 2

	probeEvery   = 100 * time.Millisecond
	probeTimeout = 250 * time.Millisecond
)

var errDown = errors.New("redis did not answer a moment ago")

// node is one Redis server: the only one, the master behind Sentinel, or one master
// of a cluster. While it is down, nobody waits for it: operations fail at once, and
// a probe in the background finds out when it is back.
type node struct {
	store  *redisStore
	client redis.UniversalClient // of this server alone; the store's if that is not a cluster's
	reads  reads

	failures atomic.Int32
	down     atomic.Bool
	probedAt atomic.Int64 // in nanoseconds since processStart
	usedAt   atomic.Int64
}

var processStart = time.Now()

func newNode(s *redisStore, client redis.UniversalClient) *node {
	n := &node{store: s, client: client}
	n.reads.node = n
	return n
}

// node returns the server that has key.
func (s *redisStore) node(ctx context.Context, key string) *node {
	cluster, ok := s.client.(*redis.ClusterClient)
	if !ok {
		return s.only
	}
	master, err := s.masterFor(ctx, cluster, key)
	if err != nil {
		return s.only // whose client will say what is wrong
	}
	if n, ok := s.nodes.Load(master); ok {
		return n.(*node)
	}
	n, _ := s.nodes.LoadOrStore(master, newNode(s, master))
	return n.(*node)
}

// masterFor asks no server, once the client knows the cluster.
func (s *redisStore) masterFor(ctx context.Context, cluster *redis.ClusterClient, key string) (*redis.Client, error) {
	if s.knowsCluster.Load() {
		return cluster.MasterForKey(ctx, key)
	}
	master, err := within(ctx, s, func(ctx context.Context) (*redis.Client, error) {
		return cluster.MasterForKey(ctx, key)
	})
	s.knowsCluster.Store(err == nil)
	return master, err
}

// ask runs op, which needs the server that has key.
func ask[T any](ctx context.Context, s *redisStore, key string, op func(context.Context) (T, error)) (T, error) {
	n := s.node(ctx, key)
	if !n.up() {
		var none T
		return none, errDown
	}
	value, err := within(ctx, s, op)
	n.report(ctx, err)
	return value, err
}

// up reports whether n may be asked. If not, it sees to it that somebody finds out
// when it may.
func (n *node) up() bool {
	if !n.down.Load() {
		return true
	}
	now := int64(time.Since(processStart))
	last := n.probedAt.Load()
	if now-last >= int64(probeEvery) && n.probedAt.CompareAndSwap(last, now) {
		go n.probe()
	}
	return false
}

// report counts the answer of n, or its silence, for an operation under ctx. One who
// left before the answer can tell neither.
func (n *node) report(ctx context.Context, err error) {
	switch {
	case ctx.Err() != nil:
		return
	case !isSilence(err):
		if n.failures.Load() != 0 {
			n.failures.Store(0)
		}
		return
	}
	if n.failures.Add(1) == maxFailures {
		n.down.Store(true)
		if cluster, ok := n.store.client.(*redis.ClusterClient); ok {
			cluster.ReloadState(context.Background()) // another one may be master now
		}
		n.up()
	}
}

// isSilence reports whether err comes from anything but the server's answer.
func isSilence(err error) bool {
	if err == nil {
		return false
	}
	var answer redis.Error
	return !errors.As(err, &answer)
}

// probe asks whether n is there, on a connection of its own: after some failures the
// pool of a client waits for a second before it tries again.
func (n *node) probe() {
	client := n.client
	if c, ok := client.(*redis.Client); ok {
		o := sideOptions(c)
		client = redis.NewClient(o)
		defer client.Close()
	}
	ctx, cancel := context.WithTimeout(context.Background(), probeTimeout)
	defer cancel()
	if client.Ping(ctx).Err() == nil {
		n.failures.Store(0)
		n.down.Store(false)
	} else if cluster, ok := n.store.client.(*redis.ClusterClient); ok {
		cluster.ReloadState(ctx)
	}
}

// sideOptions returns the options for one connection beside the pool of client: to
// the same server in the same way, but never waiting for long.
func sideOptions(client *redis.Client) *redis.Options {
	o := *client.Options()
	o.Protocol = 2
	o.PoolSize, o.MinIdleConns, o.MaxIdleConns, o.MaxActiveConns = 1, 0, 0, 0
	o.PipelinePoolSize = -1
	o.MaxRetries = -1
	o.DialerRetries = 1
	o.DialTimeout, o.ReadTimeout, o.WriteTimeout, o.PoolTimeout = probeTimeout, probeTimeout, probeTimeout, probeTimeout
	o.ContextTimeoutEnabled = true
	return &o
}
