package session

import (
	"context"
	"math"
	"sync"
	"time"
)

const (
	// maxTouches bounds how many sessions a process remembers to have touched.
	maxTouches = 1 << 13

	touchingTime = 10 * time.Second // for all that come while others are under way
)

// touch extends the idle limit of s in the background. Only the expiry moves: the
// record itself is not written, so a touch can neither undo a write nor bring a
// session back. A failure is left to the next request. Touches that come while others
// are under way go together.
func (m *Manager) touch(ctx context.Context, s *Session, now time.Time) {
	if !m.touches.begin(s.name, m.expiry(now, s.Deadline()), m.cfg.TouchEvery) {
		return
	}
	if !m.work.Go(ctx, touchingTime, m.touchAll) {
		m.touches.giveUp()
	}
}

// touchAll makes touches until there are no more to make.
func (m *Manager) touchAll(ctx context.Context) {
	isDone := false
	defer func() {
		if !isDone { // a store that panics must not be the end of all touches
			m.touches.giveUp()
		}
	}()
	for {
		batch := m.touches.next()
		if len(batch) == 0 {
			isDone = true
			return
		}
		failed := batch
		if ctx.Err() == nil {
			failed = m.touchBatch(ctx, batch)
		}
		m.touches.end(failed)
	}
}

// toucher is a store that extends many records in one round trip, and returns those
// that it could not.
type toucher interface {
	touchAll(ctx context.Context, space string, batch []touch) (failed []touch)
}

func (m *Manager) touchBatch(ctx context.Context, batch []touch) (failed []touch) {
	if t, ok := m.store.(toucher); ok {
		return t.touchAll(ctx, m.cfg.Name, batch)
	}
	for _, t := range batch {
		if err := m.store.Touch(ctx, t.name.key(m.cfg.Name), t.expires); err != nil {
			failed = append(failed, t)
		}
	}
	return failed
}

// expiry returns when a session that is used now expires, in whole milliseconds.
func (m *Manager) expiry(now, deadline time.Time) time.Time {
	if m.cfg.Idle == 0 {
		return deadline
	}
	if idle := now.Add(m.cfg.Idle).Truncate(time.Millisecond); idle.Before(deadline) {
		return idle
	}
	return deadline
}

// touchAt returns when use should extend a session that expires then, in
// milliseconds since 1970: never, once the deadline is what bounds it.
func (m *Manager) touchAt(expires, deadline time.Time) int64 {
	if m.cfg.Idle == 0 || !expires.Before(deadline) {
		return math.MaxInt64
	}
	return expires.Add(m.cfg.TouchEvery - m.cfg.Idle).UnixMilli()
}

// touch is an extension of one session's idle limit.
type touch struct {
	name    name
	expires time.Time
}

// touches remembers to when this process extended which session, so that requests
// of one session, all of which saw the old expiry, touch it once; and what is still to
// be done.
type touches struct {
	mu      sync.Mutex
	to      map[name]time.Time
	waiting []touch
	isBusy  bool // somebody makes them
}

// begin notes an extension of n to expires, if it is due, and reports whether somebody
// has to be found who makes it.
func (t *touches) begin(n name, expires time.Time, every time.Duration) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if last, ok := t.to[n]; ok && expires.Sub(last) < every {
		return false
	}
	if t.to == nil || len(t.to) >= maxTouches {
		t.to = make(map[name]time.Time) // forgetting costs a spare touch, nothing else
	}
	t.to[n] = expires
	t.waiting = append(t.waiting, touch{n, expires})
	if t.isBusy {
		return false
	}
	t.isBusy = true
	return true
}

// next takes what is to be done next. If that is nothing, nobody is busy any more.
func (t *touches) next() []touch {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := min(len(t.waiting), maxBatch)
	batch := t.waiting[:n:n]
	t.waiting = t.waiting[n:]
	if n == 0 {
		t.isBusy, t.waiting = false, nil
	}
	return batch
}

// end forgets those that failed, so that the next request tries again.
func (t *touches) end(failed []touch) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, f := range failed {
		delete(t.to, f.name)
	}
}

// giveUp forgets all that are waiting: there is nobody to make them.
func (t *touches) giveUp() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, w := range t.waiting {
		delete(t.to, w.name)
	}
	t.isBusy, t.waiting = false, nil
}
