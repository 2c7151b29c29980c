package session

import (
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"sync/atomic"
	"time"
)

// Session is one opened session, as it was when it was read. It is immutable and
// may be shared between requests: a change makes a new Session. It does not hold the
// session token.
type Session struct {
	manager   *Manager // nil: detached or draft
	isDraft   bool
	mark      uint8 // see Record.Mark
	name      name
	version   nonce     // of the record as read: what an update must still find
	key       recordKey // to seal the next version with
	record    record
	principal any
	values    atomic.Pointer[map[string]string]

	touchAt int64 // when use should extend it, in milliseconds since 1970

	// Of the near cache: how long its copy may be trusted, when it should be read
	// again all the same (see near.clock), and when it expires unless it is touched
	// (in milliseconds since 1970).
	lease          *lease
	until, expires int64
}

// ID returns the public handle of s, for lists and logs: it opens nothing.
func (s *Session) ID() string { return base64.RawURLEncoding.EncodeToString(s.name.id()) }

// UserID returns the id given to [Manager.Start].
func (s *Session) UserID() string { return s.record.user }

// Principal returns what the open function of [New] made of the data.
func (s *Session) Principal() any { return s.principal }

// Created returns when the user signed in, to the second.
func (s *Session) Created() time.Time { return time.Unix(s.record.created, 0) }

// Deadline returns the absolute limit of s, a whole second.
func (s *Session) Deadline() time.Time { return time.Unix(s.record.deadline, 0) }

// Marked reports whether the user's account has changed since it was last read for s,
// see [Manager.MarkUser].
func (s *Session) Marked() bool { return s.mark != 0 }

// Manager returns the manager that keeps s, or nil if s is [Detached].
func (s *Session) Manager() *Manager { return s.manager }

// Detached returns a session without a store, for handler tests: [Put] keeps
// values in the context only.
func Detached(principal any) *Session { return &Session{principal: principal} }

// Format prints the public handle, whatever the verb: a Session holds the key of
// its record.
func (s *Session) Format(f fmt.State, _ rune) { io.WriteString(f, s.text()) }

// LogValue logs the public handle.
func (s *Session) LogValue() slog.Value { return slog.StringValue(s.text()) }

func (s *Session) text() string {
	if s == nil {
		return "session(nil)"
	}
	return "session(" + s.ID() + ")"
}

// unseal makes s of what the store had under its name.
func (s *Session) unseal(sealed []byte) error {
	plain, err := s.key.open(s.manager.cfg.Name, &s.name, sealed)
	if err != nil {
		return err
	}
	s.version = nonceOf(sealed)
	return s.setRecord(string(plain), nil)
}

// seal makes of plain what the store is to have under the name of s.
func (s *Session) seal(plain []byte) []byte {
	sealed := s.key.seal(s.manager.cfg.Name, &s.name, plain)
	s.version = nonceOf(sealed)
	return sealed
}

// setRecord decodes plain into s, which is new. The principal is taken over from
// previous if its data is the same.
func (s *Session) setRecord(plain string, previous *Session) (err error) {
	if s.record, err = parseRecord(plain); err != nil {
		return err
	}
	if previous != nil && previous.record.data == s.record.data {
		s.principal = previous.principal
		return nil
	}
	s.principal, err = s.manager.open(s.record.user, s.record.data)
	return err
}

// decoded returns the application's values, decoded once. The map must not be
// changed.
func (s *Session) decoded() (map[string]string, error) {
	if values := s.values.Load(); values != nil {
		return *values, nil
	}
	values, err := parseValues(s.record.values)
	if err != nil {
		return nil, fmt.Errorf("session: values: %w", err)
	}
	s.values.Store(&values)
	return values, nil
}

// withValues returns a detached or draft session like s, with these values.
func (s *Session) withValues(values map[string]string) *Session {
	changed := &Session{isDraft: s.isDraft, principal: s.principal}
	changed.values.Store(&values)
	return changed
}
