package session

import (
	"context"
	"math"
	"sync"
	"time"
)

// maxTouches bounds how many sessions a process remembers to have touched.
const maxTouches = 1 << 13

// touch extends the idle limit of s in the background. Only the expiry moves: the
// record itself is not written, so a touch can neither undo a write nor bring a
// session back. A failure is left to the next request.
func (m *Manager) touch(ctx context.Context, s *Session, now time.Time) {
	expires := m.expiry(now, s.Deadline())
	if !m.touches.begin(s.name, expires, m.cfg.TouchEvery) {
		return
	}
	started := m.work.Go(ctx, backgroundTimeout, func(ctx context.Context) {
		if err := m.store.Touch(ctx, s.name.key(m.cfg.Name), expires); err != nil {
			m.touches.forget(s.name)
		}
	})
	if !started {
		m.touches.forget(s.name)
	}
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

// touches remembers to when this process extended which session, so that requests
// of one session, all of which saw the old expiry, touch it once.
type touches struct {
	mu sync.Mutex
	to map[name]time.Time
}

// begin reports whether an extension of n to expires is due, and notes it.
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
	return true
}

func (t *touches) forget(n name) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.to, n)
}
