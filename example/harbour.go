package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"maps"
	"slices"
	"sync"

	"github.com/idxauth/idxauth/idx"
	"github.com/idxauth/idxauth/middleware"
	"github.com/idxauth/idxauth/session"
)

// skipper is a user as this application knows one. The berth and the ship are ours; name
// and address are LoginRadius', of when they were last seen.
type skipper struct {
	ID, UID     string // UID: of the account at LoginRadius
	Name, Email string
	Berth       int
	Ship        string // "" once it is scrapped
}

// harbour keeps the skippers. It stands for a database, and forgets all of them when the
// program ends.
type harbour struct {
	mu     sync.Mutex
	berths int
	byID   map[string]*skipper
}

func newHarbour() *harbour { return &harbour{byID: make(map[string]*skipper)} }

// onLogin finds or makes the skipper, and keeps the id in the session that begins.
func (h *harbour) onLogin(ctx context.Context, user *middleware.Identity) error {
	return session.Put(ctx, "skipper", h.enter(user).ID)
}

// onRefresh hears that LoginRadius has a new name or address.
func (h *harbour) onRefresh(_ context.Context, _, user *middleware.Identity) { h.enter(user) }

// onWebhook forgets who has left LoginRadius.
func (h *harbour) onWebhook(_ context.Context, hook *idx.Webhook) {
	if hook.Event == idx.EventDeleteAccount {
		h.remove(hook.UID)
	}
}

// load is what handlers get from middleware.AppUser[skipper].
func (h *harbour) load(ctx context.Context, user *middleware.Identity) (any, error) {
	id, _, err := session.Get[string](ctx, "skipper")
	if err != nil {
		return nil, err
	}
	if s, ok := h.skipper(id); ok {
		return s, nil
	}
	return h.enter(user), nil // the session in Redis has outlived the program that knew the id
}

func (h *harbour) skipper(id string) (s skipper, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if found := h.byID[id]; found != nil {
		return *found, true
	}
	return skipper{}, false
}

// enter returns the skipper of an account, who gets a berth with the first login.
func (h *harbour) enter(user *middleware.Identity) skipper {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := h.find(user.UID)
	if s == nil {
		ships := [...]string{"Kittiwake", "Petrel", "Fulmar", "Gannet", "Shearwater"}
		s = &skipper{ID: rand.Text(), UID: user.UID, Berth: h.berths + 1, Ship: ships[h.berths%len(ships)]}
		h.berths++
		h.byID[s.ID] = s
	}
	s.Name, s.Email = cmp.Or(user.FullName, user.FirstName, user.Email), user.Email
	return *s
}

// all returns the skippers by their berths.
func (h *harbour) all() []skipper {
	h.mu.Lock()
	defer h.mu.Unlock()
	var list []skipper
	for s := range maps.Values(h.byID) {
		list = append(list, *s)
	}
	slices.SortFunc(list, func(a, b skipper) int { return cmp.Compare(a.Berth, b.Berth) })
	return list
}

func (h *harbour) scrapShip(id string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if s := h.byID[id]; s != nil {
		s.Ship = ""
	}
}

func (h *harbour) remove(uid string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if s := h.find(uid); s != nil {
		delete(h.byID, s.ID)
	}
}

// find is called with the lock.
func (h *harbour) find(uid string) *skipper {
	for _, s := range h.byID {
		if s.UID == uid {
			return s
		}
	}
	return nil
}
