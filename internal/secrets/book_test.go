package secrets

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html"
	"net/url"
	"strconv"
	"strings"
	"sync"
)

// kind is what a secret is good for.
type kind string

const (
	accessToken   kind = "access token"
	apiSecret     kind = "API secret"
	webhookSecret kind = "webhook secret"
	redisPassword kind = "password of Redis"
	sessionToken  kind = "session token"
	bindingCookie kind = "binding cookie"
	loginState    kind = "state"
	password      kind = "password"
	passwordHash  kind = "hash of a password"
	profileData   kind = "profile data" // e-mail address, phone number
	userID        kind = "user id"
)

// secret is one value that must not come out.
type secret struct {
	kind  kind
	value string
}

// piece is how many bytes of a secret in a row are a leak. Half of a GUID is worth more
// to somebody who guesses than these.
const piece = 12

// book knows all secrets of a run. They are entered as they come into being; what was
// said before is searched for them as well.
type book struct {
	mu     sync.Mutex
	known  map[string]bool
	pieces map[int]map[string]*secret // by length
}

func newBook() *book {
	return &book{known: make(map[string]bool), pieces: make(map[int]map[string]*secret)}
}

// enter makes value a secret, in the forms in which text can hold it.
func (b *book) enter(k kind, value string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if value == "" || b.known[string(k)+value] {
		return
	}
	b.known[string(k)+value] = true
	s := &secret{k, value}
	raws := []string{value}
	for _, coding := range []*base64.Encoding{base64.RawURLEncoding, base64.RawStdEncoding} {
		if inner, err := coding.DecodeString(value); err == nil && k != password {
			raws = append(raws, string(inner)) // what a cookie's value stands for
		}
	}
	for i, raw := range raws {
		if i == 0 || len(raw) >= 2*piece {
			b.addForms(s, raw)
		}
	}
}

func (b *book) addForms(s *secret, raw string) {
	quoted, _ := json.Marshal(raw)
	percent := new(strings.Builder)
	numbers := new(strings.Builder)
	for _, c := range []byte(raw) {
		fmt.Fprintf(percent, "%%%02x", c)
		numbers.WriteString(strconv.Itoa(int(c)) + " ")
	}
	runes := new(strings.Builder)
	for _, r := range raw {
		fmt.Fprintf(runes, "%d ", r)
	}
	b.add(s, piece, raw, url.QueryEscape(raw), url.PathEscape(raw), html.EscapeString(raw),
		strings.Trim(string(quoted), `"`), strings.Trim(strconv.Quote(raw), `"`))
	// Three letters of these stand for one of the secret, or fewer.
	b.add(s, 2*piece, hex.EncodeToString([]byte(raw)))
	b.add(s, 3*piece, percent.String())
	b.add(s, 4*piece, numbers.String(), runes.String(), strings.ReplaceAll(numbers.String(), " ", ","))
	// In base64 a text looks in three ways, by what precedes it.
	for before := range 3 {
		encoded := base64.RawStdEncoding.EncodeToString(append(make([]byte, before), raw...))
		if len(encoded) < 8 {
			continue
		}
		encoded = encoded[4*((before+2)/3) : len(encoded)-1]
		b.add(s, piece*4/3, encoded, strings.NewReplacer("+", "-", "/", "_").Replace(encoded))
	}
}

// add enters all pieces of n bytes of the forms, without regard to case; of shorter
// ones, the whole.
func (b *book) add(s *secret, n int, forms ...string) {
	for _, form := range forms {
		form = lower(form)
		n := min(n, len(form))
		if n < 8 {
			continue // would be found everywhere
		}
		if b.pieces[n] == nil {
			b.pieces[n] = make(map[string]*secret)
		}
		for i := range len(form) - n + 1 {
			if one := form[i : i+n]; !isDull(one) {
				b.pieces[n][one] = s
			}
		}
	}
}

// find returns the secrets of which text holds a piece, and where the first one is.
func (b *book) find(text string) map[*secret]int {
	b.mu.Lock()
	defer b.mu.Unlock()
	text = lower(text)
	var found map[*secret]int
	for n, pieces := range b.pieces {
		for i := range len(text) - n + 1 {
			s := pieces[text[i:i+n]]
			if s == nil {
				continue
			}
			if found == nil {
				found = make(map[*secret]int)
			}
			if at, again := found[s]; !again || i < at {
				found[s] = i
			}
		}
	}
	return found
}

// lower changes ASCII letters alone: much of what is searched is no text.
func lower(s string) string {
	b := []byte(s)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}

// isDull reports that s has so few different bytes that it says nothing: an empty part
// of a binding is all zeros.
func isDull(s string) bool {
	var seen [256]bool
	different := 0
	for i := range len(s) {
		if !seen[s[i]] {
			seen[s[i]] = true
			different++
		}
	}
	return different < 4
}

func (b *book) size() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.known)
}

// entered returns how many secrets of a kind there are.
func (b *book) entered(k kind) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := 0
	for known := range b.known {
		if strings.HasPrefix(known, string(k)) {
			n++
		}
	}
	return n
}
