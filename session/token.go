package session

import (
	"crypto/sha256"
	"encoding/base64"
)

// The cookie's value is the slot tag followed by the session token. The tag is 12
// bits of a hash of the user id: it names the Redis slot in which the user's
// sessions and their index live, so that both change in one step, on a cluster too.
const (
	tagLen    = 2
	tokenLen  = 43 // 32 bytes in base64url, as scs makes them
	cookieLen = tagLen + tokenLen
	hashLen   = 16 // bytes of a hash that name a session or a user
)

// Every hash has a purpose of its own in front, so that none can stand for another:
// who knows a session's id (Redis does) learns nothing about the key of its record.
// Purpose and token together fit one block of SHA-256.
const (
	purposeID   = "session-id/1"
	purposeKey  = "record-key/1"
	purposeUser = "idxauth-session-user/1 "

	purposeLabel = "idxauth-session-label/1 "
)

// secret is the session token as it stands in the cookie. It is known to the browser
// and, until its session is found, to us; never to the store, nor to anything that
// outlives the request.
type secret string

// name says which session, within an application: the slot tag and a hash of the
// token. It holds no secret.
type name [tagLen + hashLen]byte

// key returns where the store has the record.
func (n *name) key(space string) Key {
	both := string(n[:]) // one string for both
	return Key{Space: space, Tag: both[:tagLen], ID: both[tagLen:]}
}

// nameOf is the way back from [name.key].
func nameOf(k Key) *name {
	var n name
	copy(n[:], k.Tag)
	copy(n[tagLen:], k.ID)
	return &n
}

// id is the part of n that tells sessions apart.
func (n *name) id() []byte { return n[tagLen:] }

// splitCookie splits a cookie value of the right length. Its parts need not be what
// we made: see isOurs.
func splitCookie(value string) (tag string, s secret, ok bool) {
	if len(value) != cookieLen {
		return "", "", false
	}
	return value[:tagLen], secret(value[tagLen:]), true
}

// isOurs reports whether a tag and a token are such as we make. Nothing else is
// looked up in the store.
func isOurs(tag string, s secret) bool {
	return isBase64URL(tag[0]) && isBase64URL(tag[1]) && s.isToken()
}

// strict refuses a last character with stray bits, of which scs makes none.
var strict = base64.RawURLEncoding.Strict()

// isToken reports whether s is 32 bytes as scs encodes them.
func (s secret) isToken() bool {
	var b [32]byte
	if len(s) != tokenLen {
		return false
	}
	// The decoder skips line breaks, hence the count.
	n, err := strict.Decode(b[:], []byte(s))
	return err == nil && n == len(b)
}

func isBase64URL(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_'
}

// name returns the name of the session of s.
func (s secret) name(tag string) (n name) {
	id := s.hash(purposeID)
	copy(n[:], tag)
	copy(n[tagLen:], id[:hashLen])
	return n
}

// recordKey returns the key that the session's record is sealed with.
func (s secret) recordKey() recordKey { return s.hash(purposeKey) }

// hash hashes s for one purpose, each of which has the same length.
func (s secret) hash(purpose string) [sha256.Size]byte {
	var b [len(purposeKey) + tokenLen]byte
	copy(b[:], purpose)
	copy(b[len(purposeKey):], s)
	return sha256.Sum256(b[:])
}

// userKey names the index of a user's sessions, and the tag that its sessions
// share. Both come from one hash, but not from the same part of it.
func userKey(space, userID string) Key {
	sum := sha256.Sum256([]byte(purposeUser + space + "\x00" + userID))
	tag := base64.RawURLEncoding.EncodeToString(sum[hashLen : hashLen+3])[:tagLen]
	return Key{Space: space, Tag: tag, ID: string(sum[:hashLen])}
}
