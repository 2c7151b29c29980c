package middleware

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/idxauth/idxauth/idx"
)

// profileWait is how long a visitor who comes back from the hosted profile page waits
// for what was changed there. It is read in any case.
const profileWait = 2 * time.Second

// serveProfile goes to the hosted profile page, which has its own session and its
// own login. The way back is a plain address: nothing is signed in by it.
func (a *Auth) serveProfile(w http.ResponseWriter, r *http.Request) {
	back := a.site.url(a.site.mount + "/" + routeProfileBack)
	if to := r.URL.Query().Get("return_to"); to != "" {
		back += "?return_to=" + url.QueryEscape(a.returnPathOr(to))
	}
	redirect(w, http.StatusFound, a.provider.URL(idx.ActionProfile, back))
}

// serveProfileBack is where the hosted profile page leads back to. Whoever has changed a
// name there wants to see it on the next page.
func (a *Auth) serveProfileBack(w http.ResponseWriter, r *http.Request) {
	if isVisit(r) {
		a.lookAgain(r)
	}
	redirect(w, http.StatusSeeOther, a.site.url(a.returnPathOr(r.URL.Query().Get("return_to"))))
}

// lookAgain reads the visitor's account, if there was no such call a moment ago: any
// site can send browsers here. What fails is left to the usual re-reads.
func (a *Auth) lookAgain(r *http.Request) {
	s, err := a.sessions.Load(r)
	if err != nil || !a.rereadAsked.first(s.ID(), time.Now(), rereadPause) {
		return
	}
	user, ok := s.Principal().(*Identity)
	if !ok || !a.canReread(user) {
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), profileWait)
	defer cancel()
	a.reread(ctx, s)
}
