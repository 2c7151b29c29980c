package idxtest

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
)

// idSource makes ids from a counter: the same calls in the same order give the
// same ids, and each looks random.
type idSource struct{ n int }

func (s *idSource) next(kind string) [32]byte {
	s.n++
	return sha256.Sum256(fmt.Appendf(nil, "idxtest %s %d", kind, s.n))
}

// guid returns a random-looking (version 4) GUID.
func (s *idSource) guid(kind string) string {
	b := s.next(kind)
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[0:4], b[4:6], b[6:8], b[8:10], b[10:16])
}

// jwe returns what looks like an encrypted JWT: a compact JWE with alg "dir",
// hence an empty second segment, of more than 700 characters.
func (s *idSource) jwe(kind string) string {
	random := rand.NewChaCha8(s.next(kind))
	segment := func(n int) string {
		b := make([]byte, n)
		random.Read(b)
		return base64.RawURLEncoding.EncodeToString(b)
	}
	header := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"dir","enc":"A256GCM","typ":"JWT"}`))
	return header + ".." + segment(12) + "." + segment(520) + "." + segment(16)
}

// uidOf returns the account id of a user: 32 hexadecimal digits that depend on
// the e-mail address only, so that tests can rely on it.
func uidOf(email string) string {
	sum := sha256.Sum256([]byte("idxtest uid " + lowerASCII(email)))
	return hex.EncodeToString(sum[:16])
}
