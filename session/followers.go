package session

import (
	"context"
	"errors"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/idxauth/idxauth/internal/background"
)

const (
	// pollEvery is how often the store is asked about a session of which no stream
	// tells.
	pollEvery = 2 * time.Second

	// glanceEvery is how often leases are looked at: one that is over means that the
	// stream was interrupted.
	glanceEvery = 500 * time.Millisecond

	// followBatch is about how many sessions the store is asked at once, before what
	// has changed meanwhile has its turn.
	followBatch = 64

	// expirySlack is by how much the store's clock may be ahead when it drops what
	// has expired.
	expirySlack = time.Second
)

// followers are the contexts of [Follow] of one Manager. They share one goroutine,
// which is there while anybody follows.
type followers struct {
	manager *Manager
	always  *lease // not nil if the store itself tells of everything that ends
	life    context.Context
	cancel  context.CancelFunc
	running sync.WaitGroup
	wake    chan struct{}
	count   atomic.Int64 // of sessions

	mu       sync.Mutex
	sessions map[name]*followed
	due      []*followed // to ask about
	sweepAt  time.Time   // when the next of the others is to be looked at
	isUp     bool        // the goroutine
	closed   bool
}

// followed is one session, with all that follow it.
type followed struct {
	session   *Session // of when the first one came
	followers map[*follower]struct{}
	isDue     bool // in followers.due

	// What the store said last.
	asked   time.Time
	silent  bool      // nothing, that is
	expires time.Time // unless it is used
	lease   *lease    // nil if no stream tells of changes
}

type follower struct{ end context.CancelCauseFunc }

// announcer is a store that tells itself when a record is gone.
type announcer interface {
	announce(space string, gone func(n *name)) (stop func())
}

func (f *followers) init(m *Manager) {
	f.manager = m
	f.wake = make(chan struct{}, 1)
	f.sessions = make(map[name]*followed)
	f.life, f.cancel = context.WithCancel(context.Background())
	if a, ok := m.store.(announcer); ok {
		f.always = new(lease)
		f.always.until.Store(math.MaxInt64)
		context.AfterFunc(f.life, a.announce(m.cfg.Name, f.changed))
	}
}

func (f *followers) add(s *Session, who *follower) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		who.end(ErrClosed)
		return
	}
	e := f.sessions[s.name]
	if e == nil {
		e = &followed{session: s, followers: make(map[*follower]struct{})}
		f.sessions[s.name] = e
		f.count.Add(1)
		// After it was entered: what changes from here on is told. So if the near
		// cache still has the session, there is nothing to ask.
		now := time.Now()
		if known, fresh := f.manager.near.get(&s.name, now); fresh && known != nil {
			e.asked, e.expires, e.lease = now, time.UnixMilli(known.expires), known.lease
			f.lookAgain(e, now)
		} else {
			f.queue(e)
		}
		f.poke()
	}
	e.followers[who] = struct{}{}
	if !f.isUp {
		f.isUp = true
		f.running.Go(f.run)
	}
}

func (f *followers) remove(n name, who *follower) {
	f.mu.Lock()
	defer f.mu.Unlock()
	e := f.sessions[n]
	if e == nil {
		return
	}
	delete(e.followers, who)
	if len(e.followers) == 0 {
		f.forget(e)
		f.poke() // it may have been the last one
	}
}

// forget is called with the lock.
func (f *followers) forget(e *followed) {
	if f.sessions[e.session.name] == e {
		delete(f.sessions, e.session.name)
		f.count.Add(-1)
	}
}

// changed is told that something has happened to the record of n.
func (f *followers) changed(n *name) {
	if f.count.Load() == 0 {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if e := f.sessions[*n]; e != nil {
		f.queue(e)
		f.poke()
	}
}

func (f *followers) queue(e *followed) {
	if !e.isDue {
		e.isDue = true
		f.due = append(f.due, e)
	}
}

func (f *followers) poke() {
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// close ends all contexts and waits for the goroutine.
func (f *followers) close() {
	f.mu.Lock()
	f.closed = true
	all := make([]*followed, 0, len(f.sessions))
	for _, e := range f.sessions {
		all = append(all, e)
		f.forget(e)
	}
	f.mu.Unlock()
	for _, e := range all {
		f.end(e, ErrClosed)
	}
	f.cancel()
	f.poke()
	f.running.Wait()
}

// end is called without the lock, with an e that was forgotten.
func (f *followers) end(e *followed, cause error) {
	f.mu.Lock()
	all := e.followers
	e.followers = nil
	f.mu.Unlock()
	for who := range all {
		who.end(cause)
	}
}

// run is the goroutine. It ends when nobody is left.
func (f *followers) run() {
	defer background.Recover()
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		batch, rest, ok := f.next()
		if !ok {
			return
		}
		if len(batch) > 0 {
			f.ask(batch)
			continue
		}
		timer.Reset(rest)
		select {
		case <-f.wake:
		case <-timer.C:
		}
	}
}

// next returns whom to ask about now, or how long there is nothing to do. It is not ok
// if there is nobody.
func (f *followers) next() (batch []*followed, rest time.Duration, ok bool) {
	f.mu.Lock()
	now := time.Now()
	var ended []*followed
	if !now.Before(f.sweepAt) {
		ended = f.sweep(now)
	}
	n := min(len(f.due), followBatch)
	batch, f.due = f.due[:n:n], f.due[n:]
	for _, e := range batch {
		e.isDue = false
	}
	if f.isUp = len(f.sessions) > 0; !f.isUp {
		f.due = nil
	}
	rest, ok = f.sweepAt.Sub(now), f.isUp
	f.mu.Unlock()
	for _, e := range ended {
		f.end(e, ErrExpired)
	}
	return batch, rest, ok
}

// sweep looks at all sessions: it returns those that have reached their deadline, for
// which nobody need be asked, and queues those that it is time to ask about.
func (f *followers) sweep(now time.Time) (ended []*followed) {
	f.sweepAt = now.Add(maxAge)
	for _, e := range f.sessions {
		switch {
		case !now.Before(e.session.Deadline()):
			f.forget(e)
			ended = append(ended, e)
		case !now.Before(f.askAt(e, now)):
			f.queue(e)
		default:
			f.lookAgain(e, now)
		}
	}
	return ended
}

// askAt returns when the store is to be asked about e if nothing happens.
func (f *followers) askAt(e *followed, now time.Time) time.Time {
	every := pollEvery
	if e.lease != nil {
		if !f.covers(e.lease, now) {
			return now // the stream was interrupted: nobody knows since when
		}
		every = maxAge // as for the near cache, a backstop
	}
	at := e.asked.Add(every)
	if !e.silent && e.expires.Before(at) {
		return e.expires
	}
	return at
}

// lookAgain sees to it that e is looked at in time.
func (f *followers) lookAgain(e *followed, now time.Time) {
	at := f.askAt(e, now)
	if deadline := e.session.Deadline(); deadline.Before(at) {
		at = deadline
	}
	if glance := now.Add(glanceEvery); e.lease != nil && e.lease != f.always && glance.Before(at) {
		at = glance
	}
	if at.Before(f.sweepAt) {
		f.sweepAt = at
	}
}

// covers reports whether everything that changes under l is told of.
func (f *followers) covers(l *lease, now time.Time) bool {
	switch {
	case l == nil:
		return false
	case l == f.always:
		return true
	}
	return f.manager.near.clock(now) < l.until.Load()
}

// ask asks the store about all of batch, at the same time so that the reads go
// together.
func (f *followers) ask(batch []*followed) {
	var asking sync.WaitGroup
	for _, e := range batch {
		asking.Go(func() {
			defer background.Recover()
			f.check(e)
		})
	}
	asking.Wait()
}

// check asks the store about e, and ends what follows it if it is gone.
func (f *followers) check(e *followed) {
	m, s := f.manager, e.session
	stored, lease, err := m.load(f.life, &s.name)
	now := time.Now()
	if err == nil {
		_, err = s.key.open(m.cfg.Name, &s.name, stored.Data)
	}
	if f.always != nil {
		lease = f.always
	}
	if !f.covers(lease, now) {
		lease = nil
	}
	f.mu.Lock()
	var cause error
	switch {
	case err == nil && now.Before(stored.Expires):
		e.expires, e.lease, e.silent = stored.Expires, lease, false
	case err == nil, errors.Is(err, ErrNotFound) && !e.expires.IsZero() && now.Add(expirySlack).After(e.expires):
		cause = ErrExpired
	case errors.Is(err, ErrNotFound), errors.Is(err, errSeal):
		cause = ErrRevoked
	default:
		e.lease, e.silent = nil, true
	}
	e.asked = now
	if cause != nil {
		f.forget(e)
	} else {
		f.lookAgain(e, now)
	}
	f.mu.Unlock()
	if cause != nil {
		f.end(e, cause)
	}
}
