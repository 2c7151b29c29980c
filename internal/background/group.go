// Package background runs short work that outlives the request that caused it.
package background

import (
	"context"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"
)

// Group owns goroutines: it bounds their number and their time, and waits for
// them. Work that finds the group full is dropped, so it must be such that the
// next request causes it again.
type Group struct {
	places chan struct{}
	work   sync.WaitGroup

	life   context.Context // ends with Cancel, and all work with it
	cancel context.CancelFunc

	mu     sync.RWMutex // closing excludes starting, so that Close waits for all
	closed bool
}

// NewGroup returns a group that runs at most limit functions at once.
func NewGroup(limit int) *Group {
	life, cancel := context.WithCancel(context.Background())
	return &Group{places: make(chan struct{}, limit), life: life, cancel: cancel}
}

// Go runs fn in a goroutine, with the values of ctx but not its end, for at most
// timeout. It reports false, and runs nothing, if the group is full or closed.
func (g *Group) Go(ctx context.Context, timeout time.Duration, fn func(context.Context)) bool {
	if !g.enter() {
		return false
	}
	go g.run(ctx, timeout, fn)
	return true
}

// Do is Go in the goroutine of the caller, which is thereby the group's.
func (g *Group) Do(ctx context.Context, timeout time.Duration, fn func(context.Context)) bool {
	if !g.enter() {
		return false
	}
	g.run(ctx, timeout, fn)
	return true
}

// enter takes a place for one function, which run gives back.
func (g *Group) enter() bool {
	g.mu.RLock()
	defer g.mu.RUnlock()
	if g.closed {
		return false
	}
	select {
	case g.places <- struct{}{}:
		g.work.Add(1)
		return true
	default:
		return false
	}
}

func (g *Group) run(ctx context.Context, timeout time.Duration, fn func(context.Context)) {
	defer g.work.Done()
	defer func() { <-g.places }()
	defer Recover()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), timeout)
	defer cancel()
	defer context.AfterFunc(g.life, cancel)()
	fn(ctx)
}

// Recover, deferred, keeps a panic outside of any request from ending the process, as
// net/http does for those inside. What was panicked with may hold a secret, so it
// logs the place only.
func Recover() {
	if recover() != nil {
		slog.Error("idxauth: panic in the background", "stack", string(debug.Stack()))
	}
}

// Cancel is Close for work that need not be finished: its context ends at once.
func (g *Group) Cancel() {
	g.cancel()
	g.Close()
}

// Close lets no more work start and waits for what runs.
func (g *Group) Close() {
	g.mu.Lock()
	g.closed = true
	g.mu.Unlock()
	g.work.Wait()
}
