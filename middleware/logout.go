package middleware

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"log/slog"
	"net/http"
	"time"

	"github.com/idxauth/idxauth/idx"
)

const (
	invalidateTimeout = 10 * time.Second // retries included; nobody waits for it
	logoutRetries     = time.Minute
	logoutRetryEvery  = time.Second
)

// serveLogout ends the session on a POST from our own pages. A GET asks first, as
// images, previews and other sites can make a browser send one.
func (a *Auth) serveLogout(w http.ResponseWriter, r *http.Request) {
	// Of the body nothing is read. Nor is it wrapped: for one that is not its own, net/http
	// would wait for up to 256 KiB of it before it answers, from whoever announced a
	// gigabyte and sends nothing.
	switch {
	case r.Method == http.MethodPost:
		if err := a.csrf.Check(r); err != nil {
			a.serveProblem(w, r, refuse(CrossSiteRequest, err))
			return
		}
		a.Logout(w, r)
	case isOwnClick(r):
		a.Logout(w, r)
	default:
		a.servePage(w, r, http.StatusOK, logoutPage(a.site.mount+"/"+routeLogout, a.site.landing))
	}
}

// isOwnClick reports that the browser itself says: a person followed a link on one
// of this site's pages, in the main window, and it is not looking ahead.
func isOwnClick(r *http.Request) bool {
	return r.Method == http.MethodGet &&
		r.Header.Get("Sec-Fetch-Site") == "same-origin" &&
		r.Header.Get("Sec-Fetch-Mode") == "navigate" &&
		r.Header.Get("Sec-Fetch-Dest") == "document" &&
		!isPrefetch(r)
}

// Logout ends the session of r, here first, then at the API in the background, and
// sends the browser to the hosted page's logout, which returns to the landing page.
// It answers the request and waits for nothing but the store. The caller makes sure
// that the request is the user's own will; the mounted logout route does.
func (a *Auth) Logout(w http.ResponseWriter, r *http.Request) {
	if err := a.endSession(r); err != nil {
		problem := &refusal{reason: LogoutUnconfirmed, err: err}
		cookies := r.Header["Cookie"]
		if !a.logouts.Go(r.Context(), logoutRetries, func(ctx context.Context) { a.keepEnding(ctx, cookies) }) {
			problem.detail = "This browser has forgotten your session. The server could not confirm that it has ended: it may last until its own limits. Sign out once more to leave the sign-in page too."
		}
		a.forget(w, r)
		a.serveProblem(w, r, problem)
		return
	}
	a.forget(w, r)
	hosted := a.provider.URL(idx.ActionLogout, a.site.url(a.site.landing))
	if wantsPage(r) || r.Header.Get("Sec-Fetch-Mode") == "" {
		redirect(w, http.StatusSeeOther, hosted)
		return
	}
	// A script cannot follow a redirect to the hosted page; it sets location itself.
	h := w.Header()
	h["Cache-Control"] = noStore
	h.Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(map[string]string{"logout": hosted})
}

// endSession deletes the record, so that the cookie is worth nothing from then on.
func (a *Auth) endSession(r *http.Request) error {
	s, err := a.sessions.Load(r)
	if isStranger(err) {
		return nil
	}
	if err != nil {
		return err
	}
	ctx := context.WithoutCancel(r.Context()) // a visitor who leaves has still signed out
	if err := a.sessions.End(ctx, s); err != nil {
		return err
	}
	user, ok := s.Principal().(*Identity)
	if !ok {
		return nil
	}
	a.invalidate(ctx, user)
	if a.hooks.OnLogout != nil {
		a.hooks.OnLogout(a.withSession(ctx, s), user)
	}
	return nil
}

// invalidate ends the access token at the API. The session is over whether it
// succeeds or not.
func (a *Auth) invalidate(ctx context.Context, user *Identity) {
	if user.AccessToken() == "" {
		return
	}
	started := a.tokens.Go(ctx, invalidateTimeout, func(ctx context.Context) {
		if err := a.provider.Invalidate(ctx, user.AccessToken()); err != nil {
			a.log.limited(ctx, slog.LevelWarn, "idxauth: access token not invalidated; it expires by itself", "", slog.Any("error", err))
		}
	})
	if !started {
		a.log.limited(ctx, slog.LevelWarn, "idxauth: access token not invalidated: too much work in the background; it expires by itself", "")
	}
}

// keepEnding tries again to end a session whose browser has forgotten it already.
func (a *Auth) keepEnding(ctx context.Context, cookies []string) {
	r := (&http.Request{Header: http.Header{"Cookie": cookies}}).WithContext(ctx)
	tick := time.NewTicker(logoutRetryEvery)
	defer tick.Stop()
	for {
		select {
		case <-r.Context().Done():
			a.log.limited(r.Context(), slog.LevelError, "idxauth: a session could not be ended at logout; it lasts until its own limits", "")
			return
		case <-tick.C:
			if a.endSession(r) == nil {
				return
			}
		}
	}
}

// forget takes the session cookie from the browser, and makes the logins void that
// were not begun lately.
func (a *Auth) forget(w http.ResponseWriter, r *http.Request) {
	a.sessions.ClearCookie(w)
	if b := a.readBinding(r); b != nil {
		b.renew(time.Now())
		rand.Read(b.browser[:]) // to tokens, another browser: the last user's are no good in it
		b.rounds = 0
		a.writeBinding(w, b)
	}
}
