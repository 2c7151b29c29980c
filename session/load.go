package session

import (
	"context"
	"errors"
	"net/http"
	"time"
)

// Load returns the session that r's cookie names. The error is ErrNotFound for
// strangers (wrapped as [ErrNoCookie] if r carries no usable cookie, in which
// case the store was not asked), and ErrUnavailable if the store cannot say.
//
// It costs nothing while the near cache has the session, else one round trip. If
// the session was not extended for [Config].TouchEvery, it is now, in the
// background.
func (m *Manager) Load(r *http.Request) (*Session, error) {
	value, err := cookieValue(r.Header, m.engine.Cookie.Name)
	if err != nil {
		return nil, err
	}
	tag, secret, ok := splitCookie(value)
	if !ok {
		return nil, ErrNoCookie
	}
	name, now := secret.name(tag), time.Now()
	s, known := m.near.get(&name, now)
	if !known {
		if !isOurs(tag, secret) {
			return nil, ErrNoCookie
		}
		key := secret.recordKey()
		s, err = m.read(r.Context(), &name, &key)
		if errors.Is(err, ErrUnavailable) {
			if s = m.near.getAged(&name, now); s != nil {
				err = nil
			}
		}
		if err != nil {
			return nil, err
		}
	}
	// The store's clock is not asked: the limit is in the sealed record, where
	// neither a late write nor a restored backup can move it. The record is left to
	// its expiry: our own clock may be the one that is wrong.
	if s == nil || now.Unix() >= s.record.deadline {
		return nil, ErrNotFound
	}
	if now.UnixMilli() >= s.touchAt {
		m.touch(r.Context(), s, now)
	}
	return s, nil
}

// read loads and opens the record of the session called n, and lets the near cache
// have it.
func (m *Manager) read(ctx context.Context, n *name, key *recordKey) (*Session, error) {
	m.inspect.Do(func() { m.inspectStore(ctx) })
	fill := m.near.begin(n)
	stored, lease, err := m.load(ctx, n)
	if errors.Is(err, ErrNotFound) {
		fill.remember(nil, lease, time.Now())
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, unavailable("load", err)
	}
	s := &Session{manager: m, name: *n, key: *key, mark: stored.Mark}
	if err := s.unseal(stored.Data); err != nil {
		m.discard(ctx, n, err)
		return nil, ErrNotFound
	}
	s.touchAt = m.touchAt(stored.Expires, s.Deadline())
	fill.remember(s, lease, stored.Expires)
	return s, nil
}

// load asks the store, through the near cache's watch if there is one.
func (m *Manager) load(ctx context.Context, n *name) (Record, *lease, error) {
	if m.watch != nil {
		return m.watch.load(ctx, n)
	}
	stored, err := m.store.Load(ctx, n.key(m.cfg.Name))
	return stored, nil, err
}

// inspectStore is for the first read: [New] does no I/O.
func (m *Manager) inspectStore(ctx context.Context) {
	if i, ok := m.store.(inspector); ok {
		m.work.Go(ctx, backgroundTimeout, func(ctx context.Context) { i.inspect(ctx, m.log) })
	}
}

// discard removes a record that cannot be read: tampered with, or of another
// format. It is no session, and no failure either.
func (m *Manager) discard(ctx context.Context, n *name, cause error) {
	m.log.WarnContext(ctx, "session: unreadable record removed", "reason", reason(cause))
	k := n.key(m.cfg.Name)
	m.work.Go(ctx, backgroundTimeout, func(ctx context.Context) {
		m.store.Delete(ctx, k, "") // if this fails, the next request finds it again
	})
}

// reason says what was wrong in fixed words: the error of an open function may
// quote the data.
func reason(err error) string {
	for _, known := range []error{errSeal, errVersion, errFormat} {
		if errors.Is(err, known) {
			return known.Error()
		}
	}
	return "principal not understood"
}
