package session

import (
	"bytes"
	"encoding/base64"
	"errors"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// What is parsed here comes from strangers: the rules are tested from inside, the
// rest of the package as its users meet it.

var cookieHeaders = []string{
	"", "s=", "s=v", " s=v ", "s = v", "s=v;", ";s=v", "s=v; t=w", "t=w; s=v", "s", "=v", "s=v=w", "s==",
	`s="v"`, `s="v`, `s="`, `s=""`, `s="v;w"`, `s=v"w`, `s=v\w`, "s=v w", "s=v,w", "s=\x7f", "s=\x00", "s=ü",
	"S=v", "ss=v", "s=a; s=b", "s=a;s=b", `s="a"; s=a`, "s=\x01; s=v", "s\t=v", "\ts=v\t", "s=v\r\n", "s@=v",
	"\rs", "\ns=v", "t=w; s=v; $Version=1; u", strings.Repeat("a=b; ", 2999) + "s=v", strings.Repeat("a=b; ", 3000) + "s=v",
}

func FuzzCookieValue(f *testing.F) {
	for _, h := range cookieHeaders {
		f.Add(h, "t=w")
		f.Add("t=w", h)
	}
	f.Fuzz(func(t *testing.T, line1, line2 string) {
		h := http.Header{"Cookie": {line1, line2}}
		want := (&http.Request{Header: h}).CookiesNamed("s")
		got, err := cookieValue(h, "s")
		if len(want) != 1 {
			if !errors.Is(err, ErrNoCookie) {
				t.Errorf("%q: got %q, %v; net/http sees %d cookies", h["Cookie"], got, err, len(want))
			}
			return
		}
		if err != nil || got != want[0].Value {
			t.Errorf("%q: got %q, %v, want %q", h["Cookie"], got, err, want[0].Value)
		}
	})
}

func FuzzSplitCookie(f *testing.F) {
	token := base64.RawURLEncoding.EncodeToString(bytes.Repeat([]byte{0xfb}, 32))
	for _, v := range []string{
		"", "ab" + token, "ab" + token[:42] + "=", "ab" + token[:42] + "\n", "ab" + token[:41] + "\r\n",
		"ab" + strings.Repeat("A", 43), "ab" + strings.Repeat("A", 42) + "B", "a+" + token, "ab" + token + "A", "\nb" + token,
	} {
		f.Add(v)
	}
	f.Fuzz(func(t *testing.T, value string) {
		tag, s, ok := splitCookie(value)
		if !ok || !isOurs(tag, s) {
			return
		}
		// What is accepted has one spelling only.
		b, err := base64.RawURLEncoding.DecodeString(string(s))
		if again := tag + base64.RawURLEncoding.EncodeToString(b); again != value || err != nil {
			t.Errorf("%q reads as %q (%v)", value, again, err)
		}
		n := s.name(tag)
		k := n.key("app")
		if *nameOf(k) != n {
			t.Errorf("%q has key %+v, which names %q", value, k, *nameOf(k))
		}
		if k.Tag != tag || len(k.ID) != hashLen {
			t.Errorf("%q has key %+v", value, k)
		}
	})
}

func FuzzRedisValue(f *testing.F) {
	expires := time.Now().Add(time.Hour).Truncate(time.Millisecond)
	for _, r := range []Record{
		{Expires: expires},
		{Expires: expires, Data: []byte("data")},
		{Expires: expires, Data: []byte("data"), Label: []byte("label")},
		{Expires: expires, Label: bytes.Repeat([]byte{0xff}, maxLabel)},
	} {
		value := valueOf(r)
		got, err := found{value: value}.record()
		if err != nil || !bytes.Equal(got.Data, r.Data) || !got.Expires.Equal(expires) || got.Mark != 0 {
			f.Errorf("%q reads as %+v, %v, want %+v", value, got, err, r)
		}
		f.Add(value)
		f.Add(append([]byte{value[0] | 0x78}, value[1:]...)) // marked
		f.Add(append([]byte{0xff}, value[1:]...))
	}
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, value []byte) {
		r, err := found{value: value}.record()
		if err != nil {
			if !errors.Is(err, ErrNotFound) {
				t.Errorf("%q: %v, want ErrNotFound", value, err)
			}
			return
		}
		// But for flags and label, it is what would be written of what was read.
		again := valueOf(Record{Data: r.Data, Expires: r.Expires})
		again[0] |= value[0] & 0xf8
		if !bytes.HasPrefix(value, again) || r.Mark != value[0]>>3&maxMark || r.Expires.Year() > 2300 {
			t.Errorf("%q reads as %+v", value, r)
		}
		if label := len(value) - len(again); (label > 0) != (value[0]&0x80 != 0) || label > maxLabel+1 {
			t.Errorf("%q has %d bytes behind its data", value, label)
		}
	})
}

func FuzzLabel(f *testing.F) {
	n := nameOf(Key{Tag: "aB", ID: "0123456789abcdef"})
	f.Add("ada", "Firefox on Linux", "192.0.2.0/24")
	f.Add("ada", strings.Repeat("\xff", 1000), strings.Repeat("é", 1000))
	f.Fuzz(func(t *testing.T, user, deviceName, network string) {
		d := Device{deviceName, network}
		label := sealDevice("app", user, n, d, 1790000000)
		if len(label) > maxLabel {
			t.Errorf("label of %d bytes for %q", len(label), d)
		}
		got, created := openDevice("app", user, n, label)
		want := Device{cut(deviceName, maxDeviceName), cut(network, maxDeviceNetwork)}
		if got != want || d != (Device{}) && created.Unix() != 1790000000 {
			t.Errorf("%q reads as %q, %v", d, got, created)
		}
		if got, created := openDevice("app", user+"2", n, label); got != (Device{}) || !created.IsZero() {
			t.Errorf("another user reads %q, %v", got, created)
		}
	})
}

func FuzzParseRecord(f *testing.F) {
	values := encodeValues(map[string]string{"a": "1", "b": `"x"`})
	for _, r := range []record{
		{created: 1, deadline: 2, user: "u"},
		{created: 1790000000, deadline: 1790600000, user: "ada", data: "data", values: values},
	} {
		b, err := r.appendTo(nil)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
		f.Add(append(b, "a field of a later release"...))
		f.Add(b[:len(b)-1])
	}
	f.Add([]byte{2, 1, 1, 1, 'u', 0, 0})
	f.Add([]byte{1, 1, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 'u'})
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := parseRecord(string(b))
		if err != nil {
			return
		}
		again, err := r.appendTo(nil)
		if err != nil {
			t.Fatalf("%x: %v", b, err)
		}
		// Numbers may have longer spellings, and later fields are dropped.
		back, err := parseRecord(string(again))
		if err != nil || back != r {
			t.Errorf("%x: got %+v, %v, want %+v", b, back, err, r)
		}
		if values, err := parseValues(r.values); err == nil {
			back, err := parseValues(encodeValues(values))
			if err != nil || !maps.Equal(back, values) {
				t.Errorf("%x: got %v, %v, want %v", r.values, back, err, values)
			}
		}
	})
}

func TestRecordSize(t *testing.T) {
	r := record{created: 1, deadline: 2, user: "u", data: strings.Repeat("x", maxPlain)}
	if _, err := r.appendTo(nil); err == nil {
		t.Error("a record beyond the limit was encoded")
	}
	r.data = r.data[:maxPlain-10]
	if _, err := r.appendTo(nil); err != nil {
		t.Errorf("a record within the limit: %v", err)
	}
}

// FuzzOpen lets strangers write what is kept under a key they know.
func FuzzOpen(f *testing.F) {
	ada := newVisitor("ada")
	n, key := ada.secret.name(ada.tag), ada.secret.recordKey()
	sealed := ada.seal([]byte("plain"))
	f.Add(sealed)
	f.Add(sealed[:nonceLen])
	f.Add(append(slices.Clone(sealed), 0))
	f.Fuzz(func(t *testing.T, b []byte) {
		plain, err := key.open("app", &n, b)
		if (err == nil) != bytes.Equal(b, sealed) || err == nil && string(plain) != "plain" {
			t.Errorf("%x opens as %q, %v", b, plain, err)
		}
	})
}

func TestSealIsBoundToItsPlace(t *testing.T) {
	s, other := secret("a"), secret("b")
	n, key := s.name("ab"), s.recordKey()
	otherTag, otherName, otherKey := s.name("ba"), other.name("ab"), other.recordKey()
	sealed := key.seal("app", &n, []byte("plain"))
	if plain, err := key.open("app", &n, sealed); err != nil || string(plain) != "plain" {
		t.Fatalf("got %q, %v", plain, err)
	}
	for what, open := range map[string]func() ([]byte, error){
		"another token": func() ([]byte, error) { return otherKey.open("app", &n, sealed) },
		"another space": func() ([]byte, error) { return key.open("app2", &n, sealed) },
		"another tag":   func() ([]byte, error) { return key.open("app", &otherTag, sealed) },
		"another id":    func() ([]byte, error) { return key.open("app", &otherName, sealed) },
	} {
		if plain, err := open(); err == nil {
			t.Errorf("%s: opens as %q", what, plain)
		}
	}
}

func TestNoncesAndHashesDiffer(t *testing.T) {
	s := secret("a")
	n, key := s.name("ab"), s.recordKey()
	nonces := make(map[nonce]bool)
	for range 10_000 {
		nonces[nonceOf(key.seal("app", &n, nil))] = true
	}
	if len(nonces) != 10_000 {
		t.Errorf("%d nonces for 10,000 seals", len(nonces))
	}
	if s.hash(purposeID) == s.hash(purposeKey) {
		t.Error("the id of a session is its key")
	}
	if a, b := userKey("a", "b"), userKey("ab", ""); a.ID == b.ID {
		t.Error("two users have one index")
	}
}

// Whatever one character becomes, the value names another session, or none.
func TestEveryCharacterOfTheCookieCounts(t *testing.T) {
	value := []byte("ab" + base64.RawURLEncoding.EncodeToString(bytes.Repeat([]byte{0x5a}, 32)))
	tag, s, ok := splitCookie(string(value))
	if !ok || !isOurs(tag, s) {
		t.Fatal("not accepted")
	}
	want := s.name(tag)
	for i := range value {
		changed := bytes.Clone(value)
		for changed[i] == value[i] {
			changed[i] = byte(rand.N(256))
		}
		tag, s, _ := splitCookie(string(changed))
		if s.name(tag) == want {
			t.Errorf("%q reads as %q", changed, value)
		}
	}
}

func TestRecordOfALaterRelease(t *testing.T) {
	now := time.Now().Unix()
	r := record{created: now, deadline: now + 1, user: "ada", data: "data"}
	b, _ := r.appendTo(nil)
	b = append(b, 3, 'n', 'e', 'w')
	if got, err := parseRecord(string(b)); err != nil || got.data != "data" {
		t.Errorf("with a further field: got %v, %v", got, err)
	}
	b[0] = recordVersion + 1
	if _, err := parseRecord(string(b)); err != errVersion {
		t.Errorf("of another version: got %v", err)
	}
}
