package session

import (
	"context"
	"sync"
	"time"
)

// maxTouches bounds how many sessions a process remembers to have touched.
const maxTouches = 1 << 13

// touch extends the idle limit of s in the background, if that is due. Only the
// expiry moves: the record itself is not written, so a touch can neither undo a
// write nor bring a session back. A failure is left to the next request.
func (m *Manager) touch(ctx context.Context, s *Session) {
	if m.cfg.Idle == 0 {
		return
	}
	expires := m.expiry(time.Now(), s.Deadline())
	// Also false once the deadline is what bounds the session.
	if expires.Sub(s.expires) < m.cfg.TouchEvery || !m.touches.begin(s.key.ID, expires, m.cfg.TouchEvery) {
		return
	}
	started := m.work.Go(ctx, backgroundTimeout, func(ctx context.Context) {
		if err := m.store.Touch(ctx, s.key, expires); err != nil {
			m.touches.forget(s.key.ID)
		}
	})
	if !started {
		m.touches.forget(s.key.ID)
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

// touches remembers to when this process extended which session, so that requests
// of one session, all of which saw the old expiry, touch it once.
type touches struct {
	mu sync.Mutex
	to map[string]time.Time
}

// begin reports whether an extension of id to expires is due, and notes it.
func (t *touches) begin(id string, expires time.Time, every time.Duration) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if last, ok := t.to[id]; ok && expires.Sub(last) < every {
		return false
	}
	if t.to == nil || len(t.to) >= maxTouches {
		t.to = make(map[string]time.Time) // forgetting costs a spare touch, nothing else
	}
	t.to[id] = expires
	return true
}

func (t *touches) forget(id string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.to, id)
}
