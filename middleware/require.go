package middleware

import (
	"context"
	"errors"
	"log/slog"
	"net/http"

	"github.com/idxauth/idxauth/session"
)

// RequireLogin lets signed-in users through to next, which reads them with [User].
// A stranger who opens a page goes to the hosted login page and returns to the same
// URL; other requests of strangers get 401 with a problem+json body. If the store
// cannot say who is there, the answer is 503 and no cookie changes.
//
// It needs nothing around it, and costs nothing where it is wrapped twice.
// Middleware that answers CORS preflights belongs outside of it: a preflight
// carries no cookie, so to RequireLogin it is a stranger's.
func (a *Auth) RequireLogin(next http.Handler) http.Handler {
	return a.require(next, nil)
}

// Require is RequireLogin for users who satisfy all rules, checked in order. A user
// who fails one gets a 403, never a login; only [RecentLogin] asks for one.
//
//	admins := auth.Require(middleware.HasRole("admin"), middleware.EmailVerified())
//	http.Handle("/admin/", admins(handler))
func (a *Auth) Require(rules ...Rule) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return a.require(next, rules)
	}
}

// Protect wraps a function that takes the user as an argument.
func (a *Auth) Protect(next func(w http.ResponseWriter, r *http.Request, user *Identity), rules ...Rule) http.Handler {
	return a.require(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next(w, r, User(r.Context()))
	}), rules)
}

// require decides who gets in.
func (a *Auth) require(next http.Handler, rules []Rule) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r, err := a.identify(r, a.current)
		if err != nil {
			a.turnAway(w, r, err)
			return
		}
		if err := a.checkRules(r, rules); err != nil {
			a.turnAway(w, r, err)
			return
		}
		markUserPage(w.Header())
		next.ServeHTTP(w, r) // the one way in
	})
}

// LoadUser lets everybody through; [User] is nil for strangers, and for everybody
// while the store does not answer. Public pages never wait for LoginRadius: somebody
// whose copy of the account is too old to be used ([Config].StaleFor) is a stranger to
// them until it has been read again, in the background of the first such request.
func (a *Auth) LoadUser(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r, err := a.identify(r, a.usableOrLater)
		switch {
		case err == nil:
			markUserPage(w.Header())
		case isStranger(err):
			addVary(w.Header())
		default:
			a.report(r, a.problem(err))
			addVary(w.Header())
		}
		if err != nil && session.FromContext(r.Context()) != nil {
			// Of another Auth around this one: to next, who trusts this one, a stranger.
			r = r.WithContext(session.NewContext(r.Context(), nil))
		}
		next.ServeHTTP(w, r)
	})
}

// identify returns r with its user in the context, if the session is one that usable
// takes. The error is [session.ErrNotFound] for strangers; with any other, nobody knows.
func (a *Auth) identify(r *http.Request, usable func(context.Context, *session.Session) (*session.Session, error)) (*http.Request, error) {
	ctx := r.Context()
	if s := session.FromContext(ctx); s != nil && a.owns(s) && User(ctx) != nil {
		if a.appUser != nil {
			r = r.WithContext(a.withAppUser(ctx))
		}
		return r, nil // an outer wrapper, or WithUser in a test, has done it
	}
	s, err := a.sessions.Load(r)
	if err != nil {
		return r, err
	}
	if s, err = usable(ctx, s); err != nil {
		return r, err
	}
	return r.WithContext(a.withSession(ctx, s)), nil
}

// turnAway answers a request that is not let in: unauthenticated starts a login,
// forbidden and unknown never do.
func (a *Auth) turnAway(w http.ResponseWriter, r *http.Request, err error) {
	switch {
	case isStranger(err) && isNavigation(r):
		// Everyday, like the refusals of strangers; but where logins go round, or a cookie
		// was planted beside ours, the error says which it is.
		a.log.limited(r.Context(), slog.LevelDebug, "idxauth: login starts", reasonOf(err),
			slog.String("path", r.URL.Path), slog.Any("error", err))
		a.startLogin(w, r, login{path: a.site.requestedPath(r)})
	case reasonOf(err) == LoginTooOld && isNavigation(r):
		a.startOver(w, r, login{path: a.site.requestedPath(r), fresh: true})
	default:
		a.serveProblem(w, r, err)
	}
}

func isStranger(err error) bool { return errors.Is(err, session.ErrNotFound) }
