package main

import (
	"net/http"

	"github.com/idxauth/idxauth/idx/idxtest"
	"github.com/idxauth/idxauth/middleware"
	"github.com/idxauth/idxauth/session"
)

// person is a skipper as administrators see one.
type person struct {
	skipper
	Sessions []session.Info
	IsSelf   bool
	Ending   int // how many sessions the button ends: all but the one that asks

	CanBlock, IsBlocked bool // with the emulator; a real tenant has its console for it
}

// admin lists everybody this process has seen, with their sessions on all instances.
func (a *app) admin(w http.ResponseWriter, r *http.Request) {
	var people []person
	for _, s := range a.harbour.all() {
		sessions, err := a.auth.Sessions().List(r.Context(), s.UID)
		if err != nil {
			failed(w, r, err)
			return
		}
		p := person{skipper: s, Sessions: sessions, Ending: len(sessions)}
		if p.IsSelf = s.UID == middleware.User(r.Context()).UID; p.IsSelf {
			p.Ending--
		}
		if p.CanBlock = a.hub != nil && !p.IsSelf; p.CanBlock {
			p.IsBlocked = a.hub.User(s.UID).Blocked
		}
		people = append(people, p)
	}
	render(w, r, http.StatusOK, "admin", page{Title: "Administration", People: people})
}

// endSessions ends all sessions of a user, on every instance; pages that follow theirs
// end within seconds. The administrator's own session, which asks, stays.
func (a *app) endSessions(w http.ResponseWriter, r *http.Request) {
	uid := r.PostFormValue("uid")
	if _, err := a.auth.Sessions().RevokeUser(r.Context(), uid, session.FromContext(r.Context())); err != nil {
		failed(w, r, err)
		return
	}
	http.Redirect(w, r, "/admin", http.StatusSeeOther)
}

// block does in the emulator what an operator does in LoginRadius' console. Nothing here
// ends sessions: the webhook does, which the emulator sends as LoginRadius would.
func (a *app) block(w http.ResponseWriter, r *http.Request) {
	uid := r.PostFormValue("uid")
	for _, s := range a.harbour.all() {
		if s.UID == uid {
			a.hub.UpdateUser(uid, func(u *idxtest.User) { u.Blocked = r.PostFormValue("blocked") == "true" })
			a.hub.WaitWebhooks() // so that the list shows what came of it
		}
	}
	http.Redirect(w, r, "/admin", http.StatusSeeOther)
}
