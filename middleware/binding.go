package middleware

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"net/http"
	"strings"
	"time"
)

// A binding ties a browser to the logins that it starts. It lives in one cookie
// that no script can read. IDX has no state of its own and hands a live access
// token over in the query, so without it any page could sign a visitor in as
// somebody else.
type binding struct {
	browser  [16]byte // names this browser for as long as it keeps the cookie
	current  [32]byte // signs the states of logins that start now
	previous [32]byte // signed those that started before the last login or logout ...
	until    int64    // ... and counts until then (Unix seconds)
	since    int64    // when the first of rounds was completed (Unix seconds)
	rounds   uint8    // how many logins in a row ended without the browser showing its session
}

const (
	purposeBinding = "login"
	bindingSize    = 16 + 32 + 32 + 4 + 4 + 1

	// An access token lives for 90 days at most, and a token that was accepted from
	// one browser is refused from another; so a browser stays known that long.
	bindingLife = 90 * 24 * time.Hour

	loginWindow = 15 * time.Minute // from the start of a login to its callback
	clockSkew   = 2 * time.Minute  // between instances

	maxRounds    = 3
	roundsWindow = time.Minute
)

func newBinding() *binding {
	b := new(binding)
	rand.Read(b.browser[:])
	rand.Read(b.current[:])
	return b
}

// renew replaces the current secret. The previous one stays good for logins that
// other tabs have under way.
func (b *binding) renew(now time.Time) {
	b.previous, b.until = b.current, now.Add(loginWindow).Unix()
	rand.Read(b.current[:])
}

// completed counts a login. Logins that keep completing without the browser ever
// showing the session they made (two cookies of one name, a full store) would go
// round for ever. They are counted from the first one on and for a minute, so that a
// visitor who loses a session now and then never adds up to a loop.
func (b *binding) completed(now time.Time, hadSession bool) {
	if hadSession || !b.inWindow(now) {
		b.rounds, b.since = 0, now.Unix()
	}
	b.rounds = min(b.rounds, maxRounds-1) + 1 // what a cookie says may be more than we ever count to
}

func (b *binding) goesRound(now time.Time) bool {
	return b.rounds >= maxRounds && b.inWindow(now)
}

func (b *binding) inWindow(now time.Time) bool {
	return now.Unix()-b.since <= int64(roundsWindow/time.Second)
}

// secrets returns what states may be signed with at the moment.
func (b *binding) secrets(now time.Time) [][]byte {
	if now.Unix() < b.until {
		return [][]byte{b.current[:], b.previous[:]}
	}
	return [][]byte{b.current[:]}
}

// fingerprint names the browser where others may read it.
func (b *binding) fingerprint() [16]byte {
	sum := sha256.Sum256(append([]byte("idxauth browser\x00"), b.browser[:]...))
	return [16]byte(sum[:16])
}

func (b *binding) encode() string {
	buf := make([]byte, 0, bindingSize)
	buf = append(buf, b.browser[:]...)
	buf = append(buf, b.current[:]...)
	buf = append(buf, b.previous[:]...)
	buf = binary.BigEndian.AppendUint32(buf, uint32(b.until))
	buf = binary.BigEndian.AppendUint32(buf, uint32(b.since))
	buf = append(buf, b.rounds)
	return base64.RawURLEncoding.EncodeToString(buf)
}

func decodeBinding(value string) (*binding, bool) {
	buf, ok := decodeBase64(value)
	if !ok || len(buf) != bindingSize {
		return nil, false
	}
	b := new(binding)
	buf = buf[copy(b.browser[:], buf):]
	buf = buf[copy(b.current[:], buf):]
	buf = buf[copy(b.previous[:], buf):]
	b.until = int64(binary.BigEndian.Uint32(buf))
	b.since = int64(binary.BigEndian.Uint32(buf[4:]))
	b.rounds = buf[8]
	return b, true
}

// decodeBase64 reads exactly what we encode. The decoder alone skips line breaks, and
// then a used state would pass for a new one.
func decodeBase64(value string) ([]byte, bool) {
	if strings.ContainsAny(value, "\r\n") {
		return nil, false
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(value)
	return b, err == nil
}

// readBinding returns the browser's binding, or nil if it has none.
func (a *Auth) readBinding(r *http.Request) *binding {
	value, ok := onlyCookie(r, a.site.cookieName(purposeBinding))
	if !ok {
		return nil
	}
	b, _ := decodeBinding(value)
	return b
}

func (a *Auth) writeBinding(w http.ResponseWriter, b *binding) {
	http.SetCookie(w, a.site.cookie(purposeBinding, b.encode(), bindingLife))
}

// onlyCookie returns the value of a cookie. Of two with one name, one was planted
// and nobody can tell which (RFC 6265, 8.6): then there is none.
func onlyCookie(r *http.Request, name string) (string, bool) {
	cookies := r.CookiesNamed(name)
	if len(cookies) != 1 {
		return "", false
	}
	return cookies[0].Value, true
}
