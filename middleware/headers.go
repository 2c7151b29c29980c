package middleware

import (
	"net/http"
	"slices"
)

// Values for header maps, shared by all responses. Their capacity is their length,
// so that a handler's Add copies them.
var (
	noStore     = []string{"no-store"}
	userPage    = []string{"private, no-store"}
	varyCookie  = []string{"Cookie"}
	contentHTML = []string{"text/html; charset=utf-8"}
)

// markUserPage keeps caches from showing one user's page to another. A handler
// that knows better sets its own Cache-Control.
func markUserPage(h http.Header) {
	if h["Cache-Control"] == nil {
		h["Cache-Control"] = userPage
	}
	addVary(h)
}

// addVary says that the answer depends on who asks.
func addVary(h http.Header) {
	switch have := h["Vary"]; {
	case have == nil:
		h["Vary"] = varyCookie
	case !slices.Contains(have, "Cookie"):
		h["Vary"] = append(slices.Clip(have), "Cookie")
	}
}

// redirect sends the browser to an absolute address that we made ourselves.
// [http.Redirect] would rewrite it, and writes a body that repeats it.
func redirect(w http.ResponseWriter, status int, address string) {
	h := w.Header()
	h["Cache-Control"] = noStore
	addVary(h)
	h["Location"] = []string{address}
	w.WriteHeader(status)
}
