package middleware

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/idxauth/idxauth/idx"
)

// The routes below [Config].Path.
const (
	routeLogin          = "login"
	routeRegister       = "register"
	routeForgotPassword = "forgot-password"
	routeProfile        = "profile"
	routeProfileBack    = "profile/back"
	routeCallback       = "callback"
	routeLogout         = "logout"
	routeDevices        = "devices"
	routeWebhook        = "webhook"
)

// Handler serves the routes of the login. Mount it so that it sees everything below
// [Config].Path, with or without that prefix:
//
//	http.Handle("/auth/", auth.Handler())
//
//	GET       /auth/login?return_to=            start a login
//	GET       /auth/register?return_to=         the same, beginning with registration
//	GET       /auth/forgot-password?return_to=  the same, beginning with a new password
//	GET       /auth/profile?return_to=          the hosted profile page
//	GET       /auth/profile/back                back from there, with what has changed
//	GET       /auth/callback                    where the hosted page sends the browser
//	GET, POST /auth/logout                      end the session; GET asks first
//	GET, POST /auth/devices                     the user's sessions, with [Config].Devices
//	POST      /auth/webhook                     for LoginRadius, with [Config].Webhooks
//
// With fresh=1 a login is one for [RecentLogin]: the visitor is signed out of the
// hosted page first, so that it has to ask.
func (a *Auth) Handler() http.Handler {
	start := func(action idx.Action) http.Handler { return only(a.serveStart(action), "GET", "HEAD") }
	routes := map[string]http.Handler{
		routeLogin:          start(idx.ActionLogin),
		routeRegister:       start(idx.ActionRegister),
		routeForgotPassword: start(idx.ActionForgotPassword),
		routeProfile:        only(http.HandlerFunc(a.serveProfile), "GET", "HEAD"),
		routeProfileBack:    only(http.HandlerFunc(a.serveProfileBack), "GET", "HEAD"),
		// GET alone: link scanners send HEAD, and would use up the state.
		routeCallback: only(http.HandlerFunc(a.serveCallback), "GET"),
		routeLogout:   only(http.HandlerFunc(a.serveLogout), "GET", "HEAD", "POST"),
	}
	if a.hasDevices {
		routes[routeDevices] = only(a.RequireLogin(http.HandlerFunc(a.serveDevices)), "GET", "HEAD", "POST")
	}
	if a.webhooks != nil {
		routes[routeWebhook] = only(http.HandlerFunc(a.serveWebhook), "POST")
	}
	for attempt := 1; attempt <= maxRestarts; attempt++ {
		routes[routeCallback+"/"+strconv.Itoa(attempt)] = routes[routeCallback]
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header()["Cache-Control"] = noStore
		if h, ok := routes[a.route(r.URL.Path)]; ok {
			h.ServeHTTP(w, r)
			return
		}
		http.NotFound(w, r)
	})
}

// route returns what follows the mount point, whichever part of it the routers in
// front have cut off.
func (a *Auth) route(p string) string {
	for _, prefix := range [...]string{a.site.mount, strings.TrimPrefix(a.site.mount, a.site.base)} {
		if rest, ok := strings.CutPrefix(p, prefix+"/"); ok {
			return rest
		}
	}
	return strings.TrimPrefix(p, "/")
}

// only refuses other methods. They are compared exactly, here and not in the
// router, which would serve HEAD by a GET pattern.
func only(next http.Handler, methods ...string) http.Handler {
	allow := []string{strings.Join(methods, ", ")}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, method := range methods {
			if r.Method == method {
				next.ServeHTTP(w, r)
				return
			}
		}
		w.Header()["Allow"] = allow
		http.Error(w, http.StatusText(http.StatusMethodNotAllowed), http.StatusMethodNotAllowed)
	})
}
