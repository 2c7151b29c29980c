package middleware

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/idxauth/idxauth/idx"
)

// maxRestarts is how often a login that went wrong on its way back starts over
// before the visitor is told.
const maxRestarts = 3

// What the login route is told by its parameter fresh, in clear. Whoever makes a
// visitor follow such a link makes his login harder, never easier: the state carries
// the demand back, and a token that was seen before does not satisfy it.
const (
	freshAsked     = "1" // a silent login does not do: sign out of the hosted page first
	freshSignedOut = "2" // that is done
)

// login is one to be started.
type login struct {
	action  idx.Action // "" is a plain login
	path    string     // where the visitor goes on
	fresh   bool       // a token that was seen before does not do
	attempt int        // how often it was started over ...
	cause   error      // ... and why, the last time
}

// Login starts a login that ends on returnTo, a path and query of this site, or on
// the landing page where returnTo is empty or leads elsewhere. It answers the
// request: call it before anything is written.
func (a *Auth) Login(w http.ResponseWriter, r *http.Request, returnTo string) {
	a.startLogin(w, r, login{path: a.returnPathOr(returnTo)})
}

func (a *Auth) returnPathOr(raw string) string {
	if p, ok := a.site.returnPath(raw); ok {
		return p
	}
	return a.site.landing
}

// startLogin sends the browser to the hosted page. It writes nothing to the store:
// all that the login remembers is in the return URL and in the browser.
func (a *Auth) startLogin(w http.ResponseWriter, r *http.Request, l login) {
	now := time.Now()
	b := a.readBinding(r)
	if l.attempt > maxRestarts {
		a.serveProblem(w, r, &refusal{reason: TooManyAttempts, err: l.cause, detail: tooManyDetail(l.cause)})
		return
	}
	if b != nil && b.goesRound(now) {
		a.serveProblem(w, r, refuse(TooManyAttempts, fmt.Errorf("%d logins in a row, and no session cookie came back", b.rounds)))
		return
	}
	if b == nil {
		b = newBinding()
		a.writeBinding(w, b)
	}
	st := state{issued: now, attempt: l.attempt, fresh: l.fresh, path: l.path}
	if len(st.path) > maxPathInState {
		st.path, st.parked = a.park(w, l.path), true
	}
	action := l.action
	if action == "" {
		action = idx.ActionLogin
	}
	back := a.callbackURL(l.attempt) + "?state=" + a.states.seal(st, b)
	redirect(w, http.StatusFound, a.provider.URL(action, back))
}

// tooManyDetail names the reason why the login kept failing.
func tooManyDetail(cause error) string {
	words, ok := wordings[reasonOf(cause)]
	if cause == nil || !ok {
		return ""
	}
	return words.detail + " It was tried several times. Please allow cookies for this site, or delete them and try again."
}

// callbackURL is where the hosted page sends the browser. From the second attempt on
// the count stands in the path, where it survives when both the query and the
// cookies are lost on the way.
func (a *Auth) callbackURL(attempt int) string {
	address := a.site.origin + a.site.mount + "/" + routeCallback
	if attempt > 0 {
		address += "/" + strconv.Itoa(attempt)
	}
	return address
}

// readAttempt reads a count that stands in clear.
func readAttempt(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		return 0
	}
	return max(0, min(n, maxRestarts))
}

// startOver goes to the hosted page by way of its logout: with a session of its own
// it would answer with the same token, in silence.
func (a *Auth) startOver(w http.ResponseWriter, r *http.Request, l login) {
	if l.attempt > maxRestarts {
		a.startLogin(w, r, l) // says so
		return
	}
	back := a.loginPath(l.path)
	if l.fresh {
		back += "&fresh=" + freshSignedOut
	}
	if l.attempt > 0 {
		back += "&attempt=" + strconv.Itoa(l.attempt)
	}
	redirect(w, http.StatusFound, a.provider.URL(idx.ActionLogout, a.site.origin+back))
}

func (a *Auth) loginPath(returnPath string) string {
	return a.site.mount + "/" + routeLogin + "?return_to=" + url.QueryEscape(returnPath)
}

// serveStart is a route that goes to the hosted page and comes back signed in.
func (a *Auth) serveStart(action idx.Action) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if !isVisit(r) {
			a.serveProblem(w, r, refuse(LoginRequired, nil))
			return
		}
		query := r.URL.Query()
		fresh := query.Get("fresh")
		l := login{
			action:  action,
			path:    a.returnPathOr(query.Get("return_to")),
			fresh:   fresh != "",
			attempt: readAttempt(query.Get("attempt")), // in clear, like fresh: it can only make a login harder
		}
		if l.fresh && fresh != freshSignedOut {
			a.startOver(w, r, l)
			return
		}
		a.startLogin(w, r, l)
	}
}
