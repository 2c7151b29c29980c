package session

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/idxauth/idxauth/internal/background"
)

const (
	// maxFailures in a row, each after all that the client tried, take a node for
	// down.
	maxFailures = 2

	probeEvery   = 100 * time.Millisecond
	probeTimeout = 250 * time.Millisecond
	probeStale   = time.Second // since the last probe: nobody knows then
)

var errDown = errors.New("redis did not answer a moment ago")

// node is one Redis server: the only one, the master behind Sentinel, or one master
// of a cluster. While it is down, operations fail at once, and a probe in the background
// finds out when it is back; only who comes after a second in which nobody asked waits for
// that.
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

// node returns the server that has key. The error, of a cluster's client that does not
// know yet where anything is, comes in time.
func (s *redisStore) node(ctx context.Context, key string) (*node, error) {
	cluster, ok := s.client.(*redis.ClusterClient)
	if !ok {
		return s.only, nil
	}
	master, err := s.masterFor(ctx, cluster, key)
	if err != nil {
		return nil, err
	}
	n, ok := s.nodes.Load(master)
	if !ok {
		s.forgetIdleNodes()
		n, _ = s.nodes.LoadOrStore(master, newNode(s, master))
	}
	n.(*node).usedAt.Store(int64(time.Since(processStart)))
	return n.(*node), nil
}

// masterFor asks no server, once the client knows the cluster.
func (s *redisStore) masterFor(ctx context.Context, cluster *redis.ClusterClient, key string) (*redis.Client, error) {
	if s.knowsCluster.Load() {
		master, err := cluster.MasterForKey(ctx, key)
		return master, s.discreet(err)
	}
	if !s.only.up() {
		return nil, errDown
	}
	master, err := within(ctx, s, func(ctx context.Context) (*redis.Client, error) {
		return cluster.MasterForKey(ctx, key)
	})
	s.only.report(ctx, err)
	s.knowsCluster.Store(err == nil)
	return master, err
}

// idleNode is when a node of a cluster that nobody asks has left it.
const idleNode = 10 * time.Minute

func (n *node) isIdle() bool {
	return n != n.store.only && time.Since(processStart)-time.Duration(n.usedAt.Load()) > idleNode
}

func (s *redisStore) forgetIdleNodes() {
	s.nodes.Range(func(client, n any) bool {
		if n.(*node).isIdle() {
			s.nodes.Delete(client)
		}
		return true
	})
}

// ask runs op, which needs the server that has key.
func ask[T any](ctx context.Context, s *redisStore, key string, op func(context.Context) (T, error)) (T, error) {
	var none T
	n, err := s.node(ctx, key)
	if err != nil {
		return none, err
	}
	if !n.up() {
		return none, errDown
	}
	value, err := within(ctx, s, op)
	n.report(ctx, err)
	return value, err
}

// up reports whether n may be asked. If not, it sees to it that somebody finds out
// when it may. Where nobody has asked for long, whoever comes waits for the answer: it may
// have been back for hours, and he may need more than one thing of it.
func (n *node) up() bool {
	if !n.down.Load() {
		return true
	}
	now := int64(time.Since(processStart))
	last := n.probedAt.Load()
	if now-last >= int64(probeEvery) && n.probedAt.CompareAndSwap(last, now) {
		found := make(chan struct{})
		go func() {
			defer close(found)
			n.probe()
		}()
		if now-last >= int64(probeStale) {
			select {
			case <-found:
			case <-time.After(probeTimeout):
			}
			return !n.down.Load()
		}
	}
	return false
}

// report counts the answer of n, or its silence, for an operation under ctx. One who
// left before the answer can tell neither.
func (n *node) report(ctx context.Context, err error) {
	switch {
	case hasEnded(ctx):
		return
	case !isSilence(err):
		if n.failures.Load() != 0 {
			n.failures.Store(0)
		}
		return
	}
	if n.failures.Add(1) >= maxFailures && !n.down.Swap(true) {
		if cluster, ok := n.store.client.(*redis.ClusterClient); ok {
			cluster.ReloadState(context.Background()) // another one may be master now
		}
		go n.up()
	}
}

// hasEnded reports whether ctx is over. A connection can notice its deadline before
// the context does.
func hasEnded(ctx context.Context) bool {
	deadline, ok := ctx.Deadline()
	return ctx.Err() != nil || ok && isPast(deadline)
}

// isSilence reports whether err means that the server did not answer: it is neither an
// answer, nor is it about our own side, where a pool is full or the client closed.
func isSilence(err error) bool {
	if err == nil || errors.Is(err, redis.ErrPoolTimeout) || errors.Is(err, redis.ErrClosed) {
		return false
	}
	var answer redis.Error
	return !errors.As(err, &answer)
}

// probe asks whether n is there, on a connection of its own: after some failures the
// pool of a client waits for a second before it tries again.
func (n *node) probe() {
	defer background.Recover() // of hooks and dialers that are the application's
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
	o.MaintNotificationsConfig = nil // the client changes what this points to
	o.PoolSize, o.MinIdleConns, o.MaxIdleConns, o.MaxActiveConns = 1, 0, 0, 0
	o.PipelinePoolSize = -1
	o.MaxRetries = -1
	o.DialerRetries = 1
	o.DialTimeout, o.ReadTimeout, o.WriteTimeout, o.PoolTimeout = probeTimeout, probeTimeout, probeTimeout, probeTimeout
	o.ContextTimeoutEnabled = true
	return &o
}
