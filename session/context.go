package session

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

type contextKey struct{}

// carrier is the context that carries a session. It is a context of its own, not a
// value in one, so that carrying a session costs one allocation; and it holds the
// session by pointer, so that what one handler puts the next one reads.
type carrier struct {
	context.Context
	current atomic.Pointer[Session]

	writing sync.Mutex // orders the writes of one request, so that current never goes back
	failed  *failure   // the last write that the store did not answer
}

type failure struct {
	err error
	at  time.Time
}

// write lets change turn the current session into its next version, one at a time.
// While the store does not answer, those that queued up behind a write share its
// failure: each of them would wait as long again.
func (c *carrier) write(change func(s *Session) (*Session, error)) (*Session, error) {
	arrived := time.Now()
	c.writing.Lock()
	defer c.writing.Unlock()
	if c.failed != nil && c.failed.at.After(arrived) {
		return nil, c.failed.err
	}
	s, err := change(c.current.Load())
	if errors.Is(err, ErrUnavailable) {
		c.failed = &failure{err, time.Now()}
	}
	if err == nil {
		c.current.Store(s)
	}
	return s, err
}

func (c *carrier) Value(key any) any {
	if key == (contextKey{}) {
		return c
	}
	return c.Context.Value(key)
}

// NewContext returns a context that carries s, for [FromContext] and the value
// functions.
func NewContext(ctx context.Context, s *Session) context.Context {
	c := &carrier{Context: ctx}
	c.current.Store(s)
	return c
}

// FromContext returns the session that ctx carries, or nil. It is the session as
// it is after what [Put] and [Manager.Update] changed with that context.
func FromContext(ctx context.Context) *Session {
	c := carrierOf(ctx)
	if c == nil {
		return nil
	}
	if s := c.current.Load(); s != nil && !s.isDraft {
		return s
	}
	return nil
}

func carrierOf(ctx context.Context) *carrier {
	c, _ := ctx.Value(contextKey{}).(*carrier)
	return c
}
