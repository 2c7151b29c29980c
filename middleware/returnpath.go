package middleware

import (
	"net/http"
	"net/url"
	"path"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxReturnPath is the longest return path, in bytes, that a login remembers.
const maxReturnPath = 2048

// returnPath judges a path and query that somebody wants the browser to be sent
// to, and returns it as a public path: below the base path, on our own origin
// whatever a browser makes of it. Whoever asks may be an attacker: the value comes
// from a link, or from the request line of a protected page.
func (s *site) returnPath(raw string) (string, bool) {
	if len(raw) == 0 || len(raw) > maxReturnPath || raw[0] != '/' || !utf8.ValidString(raw) || hasHiddenRune(raw) {
		return "", false
	}
	p := raw
	if !s.belowBase(p) {
		// A proxy in front has cut the base path off, or the value is relative to it.
		p = s.base + p
	}
	if strings.HasPrefix(p[len(s.base):], "//") { // what a proxy that cuts the base path off would pass on
		return "", false
	}
	pathPart, _, _ := strings.Cut(p, "#")
	pathPart, _, _ = strings.Cut(pathPart, "?")
	if !validEscapes(pathPart) {
		return "", false
	}
	// Proxies, routers and applications may each decode once more than they should:
	// the path must stay harmless however often that happens.
	for round := 0; ; round++ {
		if strings.HasPrefix(pathPart, "//") || strings.Contains(pathPart, `\`) ||
			hasHiddenRune(pathPart) || hasDotSegment(pathPart) || s.isOwnRoute(pathPart) {
			return "", false
		}
		decoded := unescapeOnce(pathPart)
		if decoded == pathPart {
			break
		}
		if round == 3 {
			return "", false
		}
		pathPart = decoded
	}
	u, err := url.Parse(p)
	if err != nil || u.Scheme != "" || u.Host != "" || u.User != nil || u.Opaque != "" {
		return "", false
	}
	return p, true
}

func (s *site) belowBase(p string) bool {
	rest, ok := strings.CutPrefix(p, s.base)
	return ok && (rest == "" || strings.IndexByte("/?#", rest[0]) >= 0)
}

// isOwnRoute tells the routes on which a login must not end: it would start anew,
// or end at once.
func (s *site) isOwnRoute(p string) bool {
	// Routers clean and some match without case; so this does both.
	route, ok := strings.CutPrefix(strings.ToLower(path.Clean(p)), strings.ToLower(s.mount)+"/")
	if !ok {
		return false
	}
	// What is decoded once more may end its path where it did not before, and some
	// servers take parameters off a segment.
	if i := strings.IndexAny(route, "/?#;"); i >= 0 {
		route = route[:i]
	}
	switch route {
	case routeLogin, routeRegister, routeForgotPassword, routeCallback, routeLogout:
		return true
	}
	return false
}

// hasHiddenRune reports whether s has control, format or line-separating
// characters, which browsers drop or which split headers and logs.
func hasHiddenRune(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool {
		return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp)
	})
}

func hasDotSegment(p string) bool {
	for segment := range strings.SplitSeq(p, "/") {
		if segment == "." || segment == ".." {
			return true
		}
	}
	return false
}

func validEscapes(p string) bool {
	for i := 0; i < len(p); i++ {
		if p[i] == '%' && !isEscape(p[i:]) {
			return false
		}
	}
	return true
}

// unescapeOnce decodes every escape once and leaves alone what is none.
func unescapeOnce(p string) string {
	if !strings.Contains(p, "%") {
		return p
	}
	var b strings.Builder
	for i := 0; i < len(p); i++ {
		if p[i] == '%' && isEscape(p[i:]) {
			b.WriteByte(unhex(p[i+1])<<4 | unhex(p[i+2]))
			i += 2
			continue
		}
		b.WriteByte(p[i])
	}
	return b.String()
}

func isEscape(s string) bool { return len(s) >= 3 && isHex(s[1]) && isHex(s[2]) }

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

func unhex(c byte) byte {
	switch {
	case c <= '9':
		return c - '0'
	case c <= 'F':
		return c - 'A' + 10
	default:
		return c - 'a' + 10
	}
}

// requestedPath returns the return path of the page that r asks for. It is taken
// from the request line as it came: URL.Path is decoded already, and URL.String
// and Host can name another host (an absolute-form or //host request line).
func (s *site) requestedPath(r *http.Request) string {
	if p, ok := s.returnPath(r.RequestURI); ok {
		return p
	}
	return s.landing
}

// url returns the absolute address of a return path. Only here is a path from
// outside put behind our origin; browsers get it absolute, so that nothing in it
// can be read as a host.
func (s *site) url(returnPath string) string {
	var b strings.Builder
	b.WriteString(s.origin)
	for i := 0; i < len(returnPath); i++ {
		if c := returnPath[i]; c <= ' ' || c >= utf8.RuneSelf || c == '"' || c == '<' || c == '>' {
			const upperHex = "0123456789ABCDEF"
			b.WriteByte('%')
			b.WriteByte(upperHex[c>>4])
			b.WriteByte(upperHex[c&15])
			continue
		}
		b.WriteByte(returnPath[i])
	}
	return b.String()
}
