package middleware

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"net/http"
	"strings"
	"time"
)

// state is what a login remembers while the visitor is on the hosted page. It
// travels in the return URL, so that strangers cost the store nothing and any
// number of tabs can log in at once.
type state struct {
	issued  time.Time
	attempt int    // how often this login was started over
	fresh   bool   // a token that was seen before does not do
	path    string // where the visitor goes on
	parked  bool   // path is in a cookie of its own; the state has its hash
}

const (
	purposeParked = "return"

	// The hosted page may cap queries at 2,048 bytes; sealed, encoded and with the
	// rest of the URL, 512 bytes stay below it.
	maxPathInState = 512
	maxStateLength = 2048

	stateVersion = 1
	signatureLen = 16
	saltLen      = 16

	flagParked = 1
	flagFresh  = 2
)

var (
	errStateMissing  = errors.New("no state")
	errStateMismatch = errors.New("state is damaged or of another browser")
	errStateExpired  = errors.New("state is too old")
)

// stateSealer makes states. A state is encrypted, so that the hosted page, its
// analytics and everybody's logs see no path, and it is signed with the secret of
// the browser's binding, which alone makes it count.
//
// The key of the encryption is the application's: a tab that lost a race for the
// cookie still comes home to its page, after another round, although its signature
// is void. Without an API secret the key follows from public values and hides the
// path only from those who do not care to compute it.
type stateSealer struct {
	realm []byte
	key   []byte
}

func newStateSealer(realm, apiSecret, apiKey string) *stateSealer {
	secret := apiSecret
	if secret == "" {
		secret = apiKey
	}
	key, err := hkdf.Key(sha256.New, []byte(secret), []byte(realm), "idxauth state", sha256.Size)
	if err != nil {
		panic(err) // a length that SHA-256 cannot give; ours is constant
	}
	return &stateSealer{realm: []byte(realm), key: key}
}

// seal returns st, signed for b.
func (s *stateSealer) seal(st state, b *binding) string {
	plain := make([]byte, 0, 7+len(st.path))
	plain = append(plain, stateVersion, byte(st.attempt), 0)
	if st.parked {
		plain[2] |= flagParked
	}
	if st.fresh {
		plain[2] |= flagFresh
	}
	plain = binary.BigEndian.AppendUint32(plain, uint32(st.issued.Unix()))
	plain = append(plain, st.path...)
	sealed := s.encrypt("state", plain)
	return base64.RawURLEncoding.EncodeToString(append(s.sign(b.current[:], sealed), sealed...))
}

// open returns what is in a state, and whether it may be believed: err is nil only
// if it was signed for b and is young enough. What an unbelievable state holds is
// good for starting over, where it has no more power than a link to the login page.
// renewed reports that the secret was replaced since it was signed.
func (s *stateSealer) open(value string, b *binding, now time.Time) (st state, renewed bool, err error) {
	if value == "" {
		return state{}, false, errStateMissing
	}
	if len(value) > maxStateLength {
		return state{}, false, errStateMismatch
	}
	raw, ok := decodeBase64(value)
	if !ok || len(raw) < signatureLen {
		return state{}, false, errStateMismatch
	}
	signature, sealed := raw[:signatureLen], raw[signatureLen:]
	plain, ok := s.decrypt("state", sealed)
	if !ok || len(plain) < 7 || plain[0] != stateVersion {
		return state{}, false, errStateMismatch
	}
	st = state{
		attempt: int(plain[1]),
		parked:  plain[2]&flagParked != 0,
		fresh:   plain[2]&flagFresh != 0,
		issued:  time.Unix(int64(binary.BigEndian.Uint32(plain[3:])), 0),
		path:    string(plain[7:]),
	}
	signed := false
	if b != nil {
		for i, secret := range b.secrets(now) {
			if hmac.Equal(signature, s.sign(secret, sealed)) {
				signed, renewed = true, i > 0
			}
		}
	}
	switch age := now.Sub(st.issued); {
	case !signed:
		return st, false, errStateMismatch
	case age > loginWindow, age < -clockSkew:
		return st, renewed, errStateExpired
	}
	return st, renewed, nil
}

func (s *stateSealer) sign(secret, sealed []byte) []byte {
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte("idxauth state\x00"))
	mac.Write(s.realm)
	mac.Write([]byte{0})
	mac.Write(sealed)
	return mac.Sum(nil)[:signatureLen]
}

// encrypt seals plain under a key of its own: the application's key lives long, and
// random nonces of AES-GCM must not repeat under one key.
func (s *stateSealer) encrypt(purpose string, plain []byte) []byte {
	salt := make([]byte, saltLen, saltLen+len(plain)+16)
	rand.Read(salt)
	aead := s.aead(purpose, salt)
	return aead.Seal(salt, make([]byte, aead.NonceSize()), plain, s.realm)
}

func (s *stateSealer) decrypt(purpose string, sealed []byte) ([]byte, bool) {
	if len(sealed) < saltLen {
		return nil, false
	}
	aead := s.aead(purpose, sealed[:saltLen])
	plain, err := aead.Open(nil, make([]byte, aead.NonceSize()), sealed[saltLen:], s.realm)
	return plain, err == nil
}

func (s *stateSealer) aead(purpose string, salt []byte) cipher.AEAD {
	mac := hmac.New(sha256.New, s.key)
	mac.Write([]byte(purpose))
	mac.Write([]byte{0})
	mac.Write(salt)
	block, err := aes.NewCipher(mac.Sum(nil))
	if err != nil {
		panic(err) // a key length that AES does not know; ours is constant
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic(err) // likewise
	}
	return aead
}

// park keeps a return path that is too long for the state in a cookie of its own,
// and returns what stands for it in the state.
func (a *Auth) park(w http.ResponseWriter, returnPath string) string {
	value := base64.RawURLEncoding.EncodeToString(a.states.encrypt("return path", []byte(returnPath)))
	http.SetCookie(w, a.site.cookie(purposeParked, value, loginWindow))
	return pathHash(returnPath)
}

// parkedPath returns the path that park kept, if it is still the one meant by hash
// and not one of a later tab.
func (a *Auth) parkedPath(r *http.Request, hash string) (string, bool) {
	value, ok := onlyCookie(r, a.site.cookieName(purposeParked))
	if !ok {
		return "", false
	}
	sealed, ok := decodeBase64(value)
	if !ok {
		return "", false
	}
	plain, ok := a.states.decrypt("return path", sealed)
	if !ok || pathHash(string(plain)) != hash {
		return "", false
	}
	return string(plain), true
}

func pathHash(p string) string {
	sum := sha256.Sum256([]byte(p))
	return string(sum[:16])
}

// hashName returns the name under which a secret value is claimed.
func hashName(kind, value string) string {
	sum := sha256.Sum256([]byte("idxauth " + kind + "\x00" + value))
	var b strings.Builder
	b.WriteString(kind)
	b.WriteByte(':')
	b.WriteString(base64.RawURLEncoding.EncodeToString(sum[:16]))
	return b.String()
}
