package session

import (
	"context"
	"errors"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"

	"github.com/idxauth/idxauth/internal/background"
)

const (
	// maxTrips is how many round trips for reads are under way at once. With one,
	// the next batch could not form while the last one is on its way back.
	maxTrips = 2
	maxBatch = 256
)

// reads reads records from one node. A reader goes straight through, unless maxTrips
// are under way: then it waits and goes with all others that came meanwhile, in one
// pipeline. So no reader waits for a company that does not come, and the more there
// are, the less each one costs.
type reads struct {
	node *node

	mu      sync.Mutex
	trips   int
	waiting []*read
}

// read is one reader that waits.
type read struct {
	key   string
	found found
	done  chan struct{}
}

// found is what a read came back with.
type found struct {
	value  []byte
	direct bool // from the node itself, not by way of another one
	err    error
}

// idleReads holds readers to use again, for their channels.
var idleReads = sync.Pool{New: func() any { return &read{done: make(chan struct{}, 1)} }}

// get reads the value of key: redis.Nil if there is none.
func (rs *reads) get(ctx context.Context, key string) found {
	if err := ctx.Err(); err != nil {
		return found{err: err}
	}
	if !rs.node.up() {
		return found{err: errDown}
	}
	rs.mu.Lock()
	if rs.trips == maxTrips {
		r := idleReads.Get().(*read)
		r.key = key
		rs.waiting = append(rs.waiting, r)
		rs.mu.Unlock()
		return r.wait()
	}
	rs.trips++
	rs.mu.Unlock()
	return rs.alone(ctx, key)
}

func (rs *reads) alone(ctx context.Context, key string) found {
	// Also after a panic: hooks of the client are the application's.
	defer func() {
		if batch := rs.next(); batch != nil {
			go rs.serve(batch)
		}
	}()
	f, err := within(ctx, rs.node.store, func(ctx context.Context) (found, error) {
		value, err := rs.node.client.Get(ctx, key).Bytes()
		f := rs.node.follow(ctx, key, found{value, true, err})
		return f, f.err
	})
	rs.node.report(ctx, err)
	f.err = err
	return f
}

// wait has no time limit of its own: trips have one, and when two of them in a row have
// reached it, the node is down and nobody waits any more.
func (r *read) wait() found {
	<-r.done
	f := r.found
	r.key, r.found = "", found{}
	idleReads.Put(r)
	return f
}

// next returns those who go with the next trip, or nil if nobody waits. If the node has
// been found to be down, they wait no longer.
func (rs *reads) next() []*read {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	if rs.node.down.Load() {
		for _, r := range rs.waiting {
			r.deliver(found{err: errDown})
		}
		rs.waiting = nil
	}
	n := min(len(rs.waiting), maxBatch)
	if n == 0 {
		rs.trips--
		return nil
	}
	batch := rs.waiting[:n:n]
	rs.waiting = rs.waiting[n:]
	return batch
}

func (r *read) deliver(f found) {
	r.found = f
	r.done <- struct{}{}
}

// serve makes trips until nobody waits.
func (rs *reads) serve(batch []*read) {
	for batch != nil {
		rs.trip(batch)
		batch = rs.next()
	}
}

// trip reads for all of batch.
func (rs *reads) trip(batch []*read) {
	ctx := context.Background() // nobody's to cancel: others wait for the same trip
	keys := make([]string, len(batch))
	for i, r := range batch {
		keys[i] = r.key
	}
	results, err := rs.fetch(ctx, keys)
	rs.node.report(ctx, err)
	for i, r := range batch {
		switch {
		case results == nil:
			r.deliver(found{err: err})
		case isElsewhere(results[i].err):
			go func() {
				f := found{err: errPanic}
				defer func() { r.deliver(f) }()
				defer background.Recover() // f stands if it was needed
				f = rs.node.followInTime(ctx, keys[i], results[i])
			}()
		default:
			r.deliver(results[i])
		}
	}
}

// fetch reads keys in one pipeline. The error is the silence of the node, as a whole or
// in the middle.
func (rs *reads) fetch(ctx context.Context, keys []string) (results []found, err error) {
	err = errPanic
	defer background.Recover() // err stands if it was needed
	results, err = within(ctx, rs.node.store, func(ctx context.Context) ([]found, error) {
		pipe := rs.node.client.Pipeline()
		gets := make([]*redis.StringCmd, len(keys))
		for i, key := range keys {
			gets[i] = pipe.Get(ctx, key)
		}
		pipe.Exec(ctx) // each command has its own error
		results := make([]found, len(keys))
		for i, get := range gets {
			value, err := get.Bytes()
			results[i] = found{value, true, rs.node.store.discreet(err)}
		}
		return results, nil
	})
	if err != nil {
		return nil, err
	}
	for _, f := range results {
		if isSilence(f.err) {
			return results, f.err
		}
	}
	return results, nil
}

var errPanic = errors.New("session: panic in a hook of the Redis client")

// follow asks again, by way of the cluster's client, what n does not know because
// the key's slot has moved or is about to.
func (n *node) follow(ctx context.Context, key string, f found) found {
	if !isElsewhere(f.err) || n == n.store.only {
		return f
	}
	value, err := n.store.client.Get(ctx, key).Bytes()
	return found{value, false, err}
}

func (n *node) followInTime(ctx context.Context, key string, f found) found {
	f, err := within(ctx, n.store, func(ctx context.Context) (found, error) {
		f := n.follow(ctx, key, f)
		return f, f.err
	})
	f.err = err
	return f
}

// isElsewhere reports whether err is the answer of a node of a cluster that does not
// have, or not yet have, the key.
func isElsewhere(err error) bool {
	if err == nil {
		return false
	}
	var answer redis.Error
	if !errors.As(err, &answer) {
		return false
	}
	for _, prefix := range []string{"MOVED ", "ASK ", "TRYAGAIN "} {
		if strings.HasPrefix(answer.Error(), prefix) {
			return true
		}
	}
	return false
}
