package middleware

import (
	"net/http"
	"strings"
)

// isNavigation reports whether r is a person's browser opening a page, the only
// request that can be answered with a login. A redirect to another site is no use
// to scripts, images, previews and sockets, and some would follow it.
func isNavigation(r *http.Request) bool {
	if r.Method != http.MethodGet && r.Method != http.MethodHead || isUpgrade(r) || isPrefetch(r) {
		return false
	}
	if r.Header.Get("Sec-Fetch-Mode") != "" {
		return isTopLevel(r)
	}
	return acceptsHTML(r) && r.Header.Get("X-Requested-With") == ""
}

// isTopLevel goes by what browsers say (W3C Fetch Metadata): a page in the
// address bar, not in a frame.
func isTopLevel(r *http.Request) bool {
	dest := r.Header.Get("Sec-Fetch-Dest")
	return r.Header.Get("Sec-Fetch-Mode") == "navigate" && (dest == "document" || dest == "")
}

// isVisit is isNavigation for our own routes, which have no other use: there a
// client that says nothing about itself is taken at its word.
func isVisit(r *http.Request) bool {
	if isUpgrade(r) || isPrefetch(r) {
		return false
	}
	return r.Header.Get("Sec-Fetch-Mode") == "" || isTopLevel(r)
}

func isUpgrade(r *http.Request) bool {
	return r.Header.Get("Upgrade") != ""
}

// isPrefetch tells a browser that looks ahead. Sec-Purpose is the standard
// (Fetch, 2.2.5); the others are what older ones send.
func isPrefetch(r *http.Request) bool {
	for _, name := range [...]string{"Sec-Purpose", "Purpose", "X-Purpose", "X-Moz"} {
		if v := r.Header.Get(name); v != "" && (strings.Contains(v, "prefetch") || strings.Contains(v, "prerender") || v == "preview") {
			return true
		}
	}
	return false
}

// wantsPage reports whether the answer is for a person to look at.
func wantsPage(r *http.Request) bool {
	if mode := r.Header.Get("Sec-Fetch-Mode"); mode != "" {
		return mode == "navigate"
	}
	return acceptsHTML(r) && r.Header.Get("X-Requested-With") == ""
}

func acceptsHTML(r *http.Request) bool {
	for _, accept := range r.Header["Accept"] {
		if strings.Contains(accept, "text/html") {
			return true
		}
	}
	return false
}
