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
// It costs one round trip. If the session was not extended for
// [Config].TouchEvery, it is now, in the background.
func (m *Manager) Load(r *http.Request) (*Session, error) {
	value, err := cookieValue(r.Header, m.engine.Cookie.Name)
	if err != nil {
		return nil, err
	}
	tag, secret, ok := parseCookie(value)
	if !ok {
		return nil, ErrNoCookie
	}
	s, err := m.read(r.Context(), secret.key(m.cfg.Name, tag), &secret)
	if err != nil {
		return nil, err
	}
	m.touch(r.Context(), s)
	return s, nil
}

// read loads and opens the record under k.
func (m *Manager) read(ctx context.Context, k Key, secret *secret) (*Session, error) {
	stored, err := m.store.Load(ctx, k)
	if errors.Is(err, ErrNotFound) {
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, unavailable("load", err)
	}
	s, err := m.unseal(k, secret, stored)
	if err != nil {
		m.discard(ctx, k, err)
		return nil, ErrNotFound
	}
	// The store's clock is not asked: the limit is in the sealed record, where
	// neither a late write nor a restored backup can move it. The record is left to
	// its expiry: our own clock may be the one that is wrong.
	if !time.Now().Before(s.Deadline()) {
		return nil, ErrNotFound
	}
	return s, nil
}

// unseal opens what the store had under k.
func (m *Manager) unseal(k Key, secret *secret, stored Record) (*Session, error) {
	plain, err := secret.open(k, stored.Data)
	if err != nil {
		return nil, err
	}
	s := &Session{
		manager: m,
		key:     k,
		secret:  *secret,
		sealed:  stored.Data,
		expires: stored.Expires,
	}
	return s, s.setRecord(plain, nil)
}

// setRecord decodes plain into s, which is new. The principal is taken over from
// previous if its data is the same.
func (s *Session) setRecord(plain []byte, previous *Session) (err error) {
	s.plain = plain
	if s.record, err = parseRecord(plain); err != nil {
		return err
	}
	if previous != nil && string(previous.record.data) == string(s.record.data) {
		s.user, s.principal = previous.user, previous.principal
		return nil
	}
	s.user = string(s.record.user)
	s.principal, err = s.manager.open(s.record.data)
	return err
}

// discard removes a record that cannot be read: tampered with, or of another
// format. It is no session, and no failure either.
func (m *Manager) discard(ctx context.Context, k Key, cause error) {
	m.log.WarnContext(ctx, "session: unreadable record removed", "reason", reason(cause))
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
