package session

import (
	"context"
	"encoding/base64"
	"time"
)

// Info describes one session of a user's list.
type Info struct {
	ID     string // public handle, see [Session.ID]
	Device Device // as given to [Manager.Start]; zero if it was not, or cannot be read

	// Created is when the user signed in, to the second. Zero if no Device was
	// given, with which it is kept.
	Created time.Time

	// LastSeen is when the session was last used, as far as that extended its idle
	// limit: up to [Config].TouchEvery too early. Zero if that is not known: without
	// an idle limit, and when the Deadline is nearer than Config.Idle.
	LastSeen time.Time

	Expires  time.Time // when it ends unless it is used
	Deadline time.Time // when it ends in any case

	Current bool // the session that the context carries
}

// List returns the live sessions of a user, the one with the earliest deadline
// first. It costs one round trip for each 500 sessions. A session that starts or ends
// meanwhile may be in the list or not; all others are, once.
func (m *Manager) List(ctx context.Context, userID string) ([]Info, error) {
	user := userKey(m.cfg.Name, userID)
	entries, err := m.store.List(ctx, user)
	if err != nil {
		return nil, unavailable("list", err)
	}
	current := FromContext(ctx)
	infos := make([]Info, 0, len(entries))
	for _, e := range entries {
		if len(e.ID) != hashLen {
			continue // not of our making, though it may begin like one that is
		}
		n := nameOf(Key{user.Space, user.Tag, e.ID})
		device, created := openDevice(m.cfg.Name, userID, n, e.Label)
		infos = append(infos, Info{
			ID:       base64.RawURLEncoding.EncodeToString([]byte(e.ID)),
			Device:   device,
			Created:  created,
			LastSeen: m.lastSeen(e),
			Expires:  e.Expires,
			Deadline: e.Deadline,
			Current:  current != nil && current.manager == m && current.name == *n,
		})
	}
	return infos, nil
}

func (m *Manager) lastSeen(e Entry) time.Time {
	if m.cfg.Idle == 0 || !e.Expires.Before(e.Deadline) {
		return time.Time{}
	}
	return e.Expires.Add(-m.cfg.Idle)
}
