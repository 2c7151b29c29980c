package middleware

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/idxauth/idxauth/session"
)

// userSessions is what a webhook does to all sessions of a user.
type userSessions interface {
	RevokeUser(ctx context.Context, userID string, keep *session.Session) (int, error)

	// MarkUser has the account of each session read again before it is next used.
	MarkUser(ctx context.Context, userID string) (int, error)

	// Purge ends the sessions and removes whatever else is kept about the user.
	Purge(ctx context.Context, userID string) (int, error)
}

// marks stands in for session.Manager's MarkUser and Purge and for Session.Marked: it
// marks in this process only.
type marks struct {
	*session.Manager
	ids  sync.Map    // of marked sessions
	used atomic.Bool // saves the others the look-up
}

func newMarks(sessions *session.Manager) *marks { return &marks{Manager: sessions} }

func (m *marks) MarkUser(ctx context.Context, userID string) (int, error) {
	live, err := m.List(ctx, userID)
	for _, info := range live {
		m.ids.Store(info.ID, nil)
		m.used.Store(true)
	}
	return len(live), err
}

func (m *marks) Purge(ctx context.Context, userID string) (int, error) {
	return m.RevokeUser(ctx, userID, nil)
}

// isMarked reports whether the account of s has to be read again.
func (m *marks) isMarked(s *session.Session) bool {
	if !m.used.Load() {
		return false
	}
	_, ok := m.ids.Load(s.ID())
	return ok
}

// updated ends that.
func (m *marks) updated(s *session.Session) { m.ids.Delete(s.ID()) }
