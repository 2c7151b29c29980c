package session

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
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
	timer *time.Timer
}

// found is what a read came back with.
type found struct {
	value  []byte
	direct bool // from the node itself, not by way of another one
	err    error
}

// idleReads holds readers to use again, for their channels and timers.
var idleReads = sync.Pool{New: func() any {
	timer := time.NewTimer(time.Hour)
	timer.Stop()
	return &read{done: make(chan struct{}, 1), timer: timer}
}}

// get reads the value of key: redis.Nil if there is none.
func (rs *reads) get(ctx context.Context, key string) found {
	if !rs.node.up() {
		return found{err: errDown}
	}
	rs.mu.Lock()
	if rs.trips == maxTrips {
		r := idleReads.Get().(*read)
		r.key = key
		rs.waiting = append(rs.waiting, r)
		rs.mu.Unlock()
		return r.wait(ctx, rs.node.store.timeout)
	}
	rs.trips++
	rs.mu.Unlock()
	value, err := within(ctx, rs.node.store, func(ctx context.Context) ([]byte, error) {
		return rs.node.client.Get(ctx, key).Bytes()
	})
	rs.node.report(ctx, err)
	if batch := rs.next(ctx, err); batch != nil {
		go rs.serve(batch)
	}
	return rs.node.follow(ctx, key, found{value, true, err})
}

func (r *read) wait(ctx context.Context, timeout time.Duration) found {
	r.timer.Reset(timeout)
	select {
	case <-r.done:
		r.timer.Stop()
		f := r.found
		r.key, r.found = "", found{}
		idleReads.Put(r)
		return f
	case <-ctx.Done():
		r.timer.Stop()
		return found{err: ctx.Err()}
	case <-r.timer.C:
		return found{err: context.DeadlineExceeded}
	}
}

// next returns those who go with the next trip, or nil if nobody waits. After a trip
// under ctx that ended in silence, they get that answer: they have waited as long.
func (rs *reads) next(ctx context.Context, err error) []*read {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	if ctx.Err() == nil && isSilence(err) {
		deliver(rs.waiting, found{err: err})
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

// serve makes trips until nobody waits.
func (rs *reads) serve(batch []*read) {
	ctx := context.Background() // nobody's to cancel: others wait for the same trip
	for batch != nil {
		batch = rs.next(ctx, rs.trip(ctx, batch))
	}
}

func (rs *reads) trip(ctx context.Context, batch []*read) error {
	keys := make([]string, len(batch)) // a trip that is given up must not look at batch
	for i, r := range batch {
		keys[i] = r.key
	}
	gets, err := within(ctx, rs.node.store, func(ctx context.Context) ([]*redis.StringCmd, error) {
		pipe := rs.node.client.Pipeline()
		gets := make([]*redis.StringCmd, len(keys))
		for i, key := range keys {
			gets[i] = pipe.Get(ctx, key)
		}
		_, err := pipe.Exec(ctx)
		if isSilence(err) {
			return nil, err
		}
		return gets, nil
	})
	rs.node.report(ctx, err)
	if err != nil {
		deliver(batch, found{err: err})
		return err
	}
	for i, r := range batch {
		value, err := gets[i].Bytes()
		r.found = found{value, true, err}
		if isElsewhere(err) {
			go func() {
				r.found = rs.node.follow(ctx, r.key, r.found)
				r.done <- struct{}{}
			}()
			continue
		}
		r.done <- struct{}{}
	}
	return nil
}

func deliver(batch []*read, f found) {
	for _, r := range batch {
		r.found = f
		r.done <- struct{}{}
	}
}

// follow asks again, by way of the cluster's client, what n does not know because
// the key's slot has moved or is about to.
func (n *node) follow(ctx context.Context, key string, f found) found {
	if !isElsewhere(f.err) || n == n.store.only {
		return f
	}
	value, err := within(ctx, n.store, func(ctx context.Context) ([]byte, error) {
		return n.store.client.Get(ctx, key).Bytes()
	})
	return found{value, false, err}
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
