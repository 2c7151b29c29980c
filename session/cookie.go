package session

import (
	"net/http"
	"net/textproto"
	"strings"
)

// maxCookies is net/http's own limit: with more it sees none.
const maxCookies = 3000

// cookieValue returns the value of the only cookie called name. Two are none: one
// of them may come from a sister host, and nothing tells which. It reads as
// [http.Request.Cookies] does, without building all the others.
func cookieValue(h http.Header, name string) (value string, err error) {
	count, found := 0, false
	for _, line := range h["Cookie"] {
		for rest, more := line, true; more; count++ {
			var part string
			part, rest, more = strings.Cut(rest, ";")
			v, ok := cookieNamed(part, name)
			switch {
			case !ok:
			case found:
				err = errTwoCookies
			default:
				value, found = v, true
			}
		}
	}
	if !found || count > maxCookies {
		return "", ErrNoCookie
	}
	return value, err
}

// cookieNamed returns the value of a name=value pair if it is valid and has that
// name.
func cookieNamed(part, name string) (value string, ok bool) {
	for part != "" && isSpace(part[0]) {
		part = part[1:]
	}
	if !strings.HasPrefix(part, name) {
		return "", false
	}
	blank, value, _ := strings.Cut(textproto.TrimString(part[len(name):]), "=")
	if textproto.TrimString(blank) != "" {
		return "", false // another name, which begins like this one
	}
	if n := len(value); n > 1 && value[0] == '"' && value[n-1] == '"' {
		value = value[1 : n-1]
	}
	for i := range len(value) {
		if c := value[i]; c < 0x20 || c >= 0x7f || c == '"' || c == ';' || c == '\\' {
			return "", false
		}
	}
	return value, true
}

// isSpace is about what [textproto.TrimString] trims.
func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

// headerOnly lets scs write a cookie without the response.
type headerOnly struct {
	http.ResponseWriter
	header http.Header
}

func (w headerOnly) Header() http.Header { return w.header }

// addCookie puts the cookie that write makes on w. scs adds a Cache-Control of its
// own, which shared caches are free to ignore; a response that sets the session
// cookie must be stored by nobody.
func addCookie(w http.ResponseWriter, write func(http.ResponseWriter)) {
	cookie := headerOnly{w, make(http.Header)}
	write(cookie)
	h := w.Header()
	h["Set-Cookie"] = append(h["Set-Cookie"], cookie.header["Set-Cookie"]...)
	if !strings.Contains(h.Get("Cache-Control"), "no-store") {
		h.Set("Cache-Control", "no-store")
	}
}
