package session

import (
	"context"
	"encoding/base64"
	"slices"
	"time"
)

// Info describes one session of a user's list.
type Info struct {
	ID       string    // public handle, see [Session.ID]
	Expires  time.Time // when it ends unless it is used
	Deadline time.Time // when it ends in any case
}

// List returns the live sessions of a user, the one with the earliest deadline
// first.
func (m *Manager) List(ctx context.Context, userID string) ([]Info, error) {
	entries, err := m.store.List(ctx, userKey(m.cfg.Name, userID))
	if err != nil {
		return nil, unavailable("list", err)
	}
	infos := make([]Info, len(entries))
	for i, e := range entries {
		infos[i] = Info{
			ID:       base64.RawURLEncoding.EncodeToString([]byte(e.ID)),
			Expires:  e.Expires,
			Deadline: e.Deadline,
		}
	}
	return infos, nil
}

// Revoke ends one session of a user by its public handle; an unknown one is no
// error, and neither is one of another user, which stays.
func (m *Manager) Revoke(ctx context.Context, userID, id string) error {
	raw, err := base64.RawURLEncoding.DecodeString(id)
	if err != nil || len(raw) != hashLen {
		return nil
	}
	ctx = context.WithoutCancel(ctx)
	user := userKey(m.cfg.Name, userID)
	// Handles are public, and users share tags: the index says whose it is.
	entries, err := m.store.List(ctx, user)
	if err != nil {
		return unavailable("revoke", err)
	}
	if !slices.ContainsFunc(entries, func(e Entry) bool { return e.ID == string(raw) }) {
		return nil
	}
	k := Key{Space: user.Space, Tag: user.Tag, ID: string(raw)}
	err = m.store.Delete(ctx, k, user.ID)
	m.near.drop(nameOf(k))
	if err != nil {
		return unavailable("revoke", err)
	}
	return nil
}

// RevokeUser ends all sessions of a user, except keep if it is not nil, in one
// step, and returns how many.
func (m *Manager) RevokeUser(ctx context.Context, userID string, keep *Session) (int, error) {
	keepID := ""
	if keep != nil {
		keepID = string(keep.name.id())
	}
	user := userKey(m.cfg.Name, userID)
	ids, err := m.store.DeleteUser(context.WithoutCancel(ctx), user, keepID)
	for _, id := range ids {
		m.near.drop(nameOf(Key{user.Space, user.Tag, id}))
	}
	if err != nil {
		return 0, unavailable("revoke user", err)
	}
	return len(ids), nil
}
