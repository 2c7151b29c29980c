package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// fault is one thing that breaks.
type fault struct {
	name  string
	on    setting
	sees  string        // what visitors see of it
	again time.Duration // everything works again so long after it is mended; 0: 5 s
	hold  time.Duration // it stays broken for so long; 0: 3 s
	terms               // while it is broken
	ready readiness     // while it is broken
	brief bool          // one of the few for those in a hurry

	begin, end func(ctx context.Context, w *world) error
	during     func(ctx context.Context, w *world) error // instead of waiting for hold; may be nil
	after      func(ctx context.Context, w *world) error // when all works again; may be nil
}

// setting is the Redis that a fault needs.
type setting string

const (
	onOne     setting = "one node"
	onTrio    setting = "Sentinel"
	onCluster setting = "Cluster"
)

const (
	usualHold  = 3 * time.Second
	usualAgain = 5 * time.Second

	// calmFor is how long visitors are at work before a fault, and after it.
	calmFor = 700 * time.Millisecond

	// settling is what /readyz may take to notice that something has broken.
	settling = 1500 * time.Millisecond
)

func (f *fault) within() time.Duration {
	if f.again > 0 {
		return f.again
	}
	return usualAgain
}

// result is what was seen of a fault.
type result struct {
	fault    *fault
	tally    *tally
	recovery time.Duration
	calls    int64 // of the API
	before   []usage
	after    []usage
	retried  int64
	took     time.Duration

	complaints [][]string // of each instance, in its log
}

// try breaks one thing while everybody is at work, mends it, and looks at what became of
// the promises.
func (w *world) try(ctx context.Context, f *fault) (*result, error) {
	began, calls, retried := time.Now(), w.api.calls.Load(), w.balancer.retried.Load()
	w.tally = newTally()
	w.tally.noRedis = f.refused[kindView] && !f.hangs
	panics := w.panics()
	var logged []int
	for _, i := range w.instances {
		logged = append(logged, len(i.log()))
	}
	l := w.startLoad(ctx)
	defer l.stop()
	pause(ctx, calmFor)

	troubled := f.terms
	w.terms.Store(&troubled)
	w.tally.setReadiness(whatever)
	if troubled.cuts || troubled.hangs {
		w.tally.losePromises()
	}
	errBegin := f.begin(ctx, w)
	if errBegin == nil {
		errBegin = w.endure(ctx, f)
	}
	w.tally.setReadiness(whatever)
	if err := errors.Join(errBegin, f.end(ctx, w)); err != nil {
		return nil, fmt.Errorf("%s: %w", f.name, err)
	}
	mended := time.Now()
	recovery, err := w.recovery(ctx, mended, f.within())
	if err != nil || recovery > f.within() {
		w.report(violation{kind: notNormal, text: fmt.Sprintf("%v after it was mended, want within %v: %v", recovery.Round(10*time.Millisecond), f.within(), err)})
	}
	if f.after != nil {
		if err := f.after(ctx, w); err != nil {
			return nil, fmt.Errorf("%s: %w", f.name, err)
		}
	}
	calm := *healthy
	calm.losesData, calm.evicts = troubled.losesData, troubled.evicts // what is lost shows only now
	w.terms.Store(&calm)
	w.tally.setReadiness(isReady)
	pause(ctx, calmFor)
	l.stop()
	w.sweep(ctx)
	w.terms.Store(healthy)
	if n := w.panics() - panics; n > 0 {
		w.report(violation{kind: panicked, text: fmt.Sprintf("%d times", n)})
	}
	r := &result{fault: f, tally: w.tally, recovery: recovery, before: w.before}
	r.after, err = w.leaks(ctx)
	r.calls, r.retried = w.api.calls.Load()-calls, w.balancer.retried.Load()-retried
	r.took = time.Since(began)
	for n, i := range w.instances {
		r.complaints = append(r.complaints, i.complaints(logged[n]))
	}
	return r, err
}

// endure lets f last.
func (w *world) endure(ctx context.Context, f *fault) error {
	if f.during != nil {
		return f.during(ctx, w)
	}
	hold := f.hold
	if hold == 0 {
		hold = usualHold
	}
	pause(ctx, min(settling, hold))
	w.tally.setReadiness(f.ready)
	pause(ctx, max(0, hold-settling))
	return ctx.Err()
}

func (w *world) panics() (n int) {
	for _, i := range w.instances {
		n += i.panics()
	}
	return n
}

// What an instance may hold more than when nothing had happened: connections that are
// kept for the next request (16 to the API, with two goroutines each, and 16 to Redis), and
// the sessions that have come since.
const (
	moreGoroutines = 40
	moreFiles      = 40
	moreHeap       = 8 << 20
)

// leaks waits until the instances hold no more than before, and reports what they do
// not let go.
func (w *world) leaks(ctx context.Context) (now []usage, err error) {
	var excess string
	errWait := until(ctx, 10*time.Second, "memory and goroutines are back", func() bool {
		if now, err = w.usage(); err != nil {
			return true
		}
		excess = ""
		for n, u := range now {
			was := w.before[n]
			if u.Goroutines > was.Goroutines+moreGoroutines || u.Files > was.Files+moreFiles || u.Heap > was.Heap+moreHeap {
				excess += fmt.Sprintf("instance %d: %d goroutines, %d files, %d KiB; before %d, %d, %d KiB. ", n,
					u.Goroutines, u.Files, u.Heap>>10, was.Goroutines, was.Files, was.Heap>>10)
			}
		}
		return excess == ""
	})
	if err == nil && errWait != nil {
		w.report(violation{kind: leak, text: excess})
	}
	return now, err
}
