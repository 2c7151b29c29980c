package session

import (
	"context"
	"encoding/base64"
)

// Revoke ends one session of a user by its public handle, in one step; an unknown one
// is no error, and neither is one of another user, which stays.
func (m *Manager) Revoke(ctx context.Context, userID, id string) error {
	raw, err := base64.RawURLEncoding.DecodeString(id)
	if err != nil || len(raw) != hashLen {
		return nil
	}
	user := userKey(m.cfg.Name, userID)
	err = m.store.DeleteListed(context.WithoutCancel(ctx), user, string(raw))
	m.changed(user, string(raw))
	if err != nil {
		return unavailable("revoke", err)
	}
	return nil
}

// RevokeUser ends all sessions of a user, except keep if it is not nil, and returns
// how many; with an error, how many have ended by then. No login that was complete
// before the call survives it. It costs one step for each 500 sessions.
func (m *Manager) RevokeUser(ctx context.Context, userID string, keep *Session) (int, error) {
	keepID := ""
	if keep != nil {
		keepID = string(keep.name.id())
	}
	user := userKey(m.cfg.Name, userID)
	ids, err := m.store.DeleteUser(context.WithoutCancel(ctx), user, keepID)
	m.allChanged(user, ids...)
	if err != nil {
		return len(ids), unavailable("revoke user", err)
	}
	return len(ids), nil
}

// Purge is for when a user is to be deleted: it ends all sessions and removes whatever
// else the store has under the user, which is the index of the sessions, and returns
// how many sessions there were. Block the account first, or the user can sign in again.
//
// What remains are other names given to [Manager.Claim], until they expire; those of
// package middleware are hashes that tell nothing about the user.
func (m *Manager) Purge(ctx context.Context, userID string) (int, error) {
	n, err := m.RevokeUser(ctx, userID, nil) // an index without sessions is none
	if err != nil {
		return n, err
	}
	_, err = m.Swap(ctx, m.UserClaim(userID), nil, nil, 0)
	return n, err
}

// MarkUser marks all sessions of a user, whose account has changed: their next
// requests, on every instance, find the session [Session.Marked]. Who then reads the
// account again clears the mark with [Manager.Update]; values that are put leave it.
// It returns how many sessions were marked, and a session that begins later is not
// marked. It costs one step to remove what was claimed under [Manager.UserClaim], and
// one for each 500 sessions.
func (m *Manager) MarkUser(ctx context.Context, userID string) (int, error) {
	if _, err := m.Swap(ctx, m.UserClaim(userID), nil, nil, 0); err != nil {
		return 0, err
	}
	user := userKey(m.cfg.Name, userID)
	ids, err := m.store.Mark(context.WithoutCancel(ctx), user)
	m.allChanged(user, ids...)
	if err != nil {
		return len(ids), unavailable("mark user", err)
	}
	return len(ids), nil
}

// changed makes this instance forget what it knows of sessions of a user.
func (m *Manager) changed(user Key, ids ...string) {
	for _, id := range ids {
		m.drop(nameOf(Key{user.Space, user.Tag, id}))
	}
}

// allChanged is changed for all sessions of a user, those of which the store could not
// tell because an answer got lost included.
func (m *Manager) allChanged(user Key, ids ...string) {
	m.changed(user, ids...)
	m.near.dropTag(user.Tag)
}

// UserClaim returns a name for [Manager.Claim] that belongs to the user: for what is known
// of the user's account, and no longer true when [Manager.MarkUser] or [Manager.Purge] is
// called. They remove it.
func (m *Manager) UserClaim(userID string) string {
	user := userKey(m.cfg.Name, userID)
	return "user:" + user.Tag + base64.RawURLEncoding.EncodeToString([]byte(user.ID))
}
