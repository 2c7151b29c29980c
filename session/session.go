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
// may be shared between requests: a change makes a new Session.
type Session struct {
	manager   *Manager // nil: detached or draft
	isDraft   bool
	key       Key
	secret    secret
	sealed    []byte // as read: what an update must still find
	plain     []byte // the opened record, to which the fields of record refer
	record    record
	user      string
	principal any
	expires   time.Time // when the store drops it unless it is touched
	values    atomic.Pointer[map[string][]byte]
}

// ID returns the public handle of s, for lists and logs: it opens nothing.
func (s *Session) ID() string { return base64.RawURLEncoding.EncodeToString([]byte(s.key.ID)) }

// UserID returns the id given to [Manager.Start].
func (s *Session) UserID() string { return s.user }

// Principal returns what the open function of [New] made of the data.
func (s *Session) Principal() any { return s.principal }

// Created returns when the user signed in.
func (s *Session) Created() time.Time { return time.UnixMilli(s.record.created) }

// Deadline returns the absolute limit of s.
func (s *Session) Deadline() time.Time { return time.UnixMilli(s.record.deadline) }

// Manager returns the manager that keeps s, or nil if s is [Detached].
func (s *Session) Manager() *Manager { return s.manager }

// Detached returns a session without a store, for handler tests: [Put] keeps
// values in the context only.
func Detached(principal any) *Session { return &Session{principal: principal} }

// Format prints the public handle, whatever the verb: a Session holds its token.
func (s *Session) Format(f fmt.State, _ rune) { io.WriteString(f, s.text()) }

// LogValue logs the public handle.
func (s *Session) LogValue() slog.Value { return slog.StringValue(s.text()) }

func (s *Session) text() string {
	if s == nil {
		return "session(nil)"
	}
	return "session(" + s.ID() + ")"
}

// decoded returns the application's values, decoded once. The map must not be
// changed.
func (s *Session) decoded() (map[string][]byte, error) {
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
func (s *Session) withValues(values map[string][]byte) *Session {
	changed := &Session{isDraft: s.isDraft, principal: s.principal}
	changed.values.Store(&values)
	return changed
}
