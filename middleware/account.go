package middleware

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/idxauth/idxauth/idx"
	"github.com/idxauth/idxauth/session"
)

// askWait is how long a visitor waits for the account to be read out of turn: one who
// comes back from the hosted profile page, or whose address may be confirmed by now.
const askWait = 2 * time.Second

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

// lookAgain reads the visitor's account. What fails is left to the usual re-reads.
func (a *Auth) lookAgain(r *http.Request) {
	s, err := a.sessions.Load(r)
	if err != nil || !a.mayAsk(s) {
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), askWait)
	defer cancel()
	a.reread(ctx, s, true)
}

// askAgain returns user as LoginRadius has it now, or as it is if that cannot be said
// in time. The error matches [session.ErrNotFound] if the session is over.
func (a *Auth) askAgain(ctx context.Context, user *Identity) (*Identity, error) {
	s := session.FromContext(ctx)
	if s == nil || s.Manager() != a.sessions || !a.mayAsk(s) {
		return user, nil
	}
	ctx, cancel := context.WithTimeout(ctx, askWait)
	defer cancel()
	fresh, err := a.Refresh(ctx)
	switch {
	case err == nil:
		return fresh, nil
	case isStranger(err):
		return nil, err
	default:
		return user, nil
	}
}

// mayAsk reports whether the account of s can be read out of turn, and was not a moment
// ago: visitors, and sites that send them, can ask for it as often as they like, in as
// many sessions as they have.
func (a *Auth) mayAsk(s *session.Session) bool {
	user, ok := s.Principal().(*Identity)
	return ok && a.canReread(user) && a.rereadAsked.first(s.UserID(), time.Now(), rereadPause)
}
