// Package background runs short work that outlives the request that caused it.
package background

import (
	"context"
	"sync"
	"time"
)

// Group owns goroutines: it bounds their number and their time, and waits for
// them. Work that finds the group full is dropped, so it must be such that the
// next request causes it again.
type Group struct {
	places chan struct{}
	work   sync.WaitGroup

	mu     sync.RWMutex // closing excludes starting, so that Close waits for all
	closed bool
}

// NewGroup returns a group that runs at most limit functions at once.
func NewGroup(limit int) *Group {
	return &Group{places: make(chan struct{}, limit)}
}

// Go runs fn in a goroutine, with the values of ctx but not its end, for at most
// timeout. It reports false, and runs nothing, if the group is full or closed.
func (g *Group) Go(ctx context.Context, timeout time.Duration, fn func(context.Context)) bool {
	g.mu.RLock()
	defer g.mu.RUnlock()
	if g.closed {
		return false
	}
	select {
	case g.places <- struct{}{}:
	default:
		return false
	}
	g.work.Go(func() {
		defer func() { <-g.places }()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), timeout)
		defer cancel()
		fn(ctx)
	})
	return true
}

// Close lets no more work start and waits for what runs.
func (g *Group) Close() {
	g.mu.Lock()
	g.closed = true
	g.mu.Unlock()
	g.work.Wait()
}
