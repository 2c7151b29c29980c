package middleware

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
)

// sealFixed is encrypt without chance: seeds must be the same in all of the fuzzer's
// processes.
func (s *stateSealer) sealFixed(purpose string, plain []byte) []byte {
	salt := make([]byte, saltLen)
	aead := s.aead(purpose, salt)
	return aead.Seal(salt, make([]byte, aead.NonceSize()), plain, s.realm)
}

// FuzzState opens damaged states: none is believed.
func FuzzState(f *testing.F) {
	s := newStateSealer("realm", "secret", "key")
	b := new(binding)
	now := time.Unix(1790000000, 0)
	sealed := s.sealFixed("state", plainState([]byte{stateVersion, 2, 0}, now, "/x"))
	good := base64.RawURLEncoding.EncodeToString(append(s.sign(b.current[:], sealed), sealed...))
	for _, v := range []string{
		good, good[1:], good + "A", good[:len(good)-1],
		good[:50] + "\r\n" + good[50:], // a decoder that skips line breaks makes it another state
		"", strings.Repeat("A", 100), strings.Repeat("A", maxStateLength), strings.Repeat("A", maxStateLength+1), b.encode(),
	} {
		f.Add(v)
	}
	f.Fuzz(func(t *testing.T, value string) {
		st, _, err := s.open(value, b, now)
		if err == nil && value != good {
			t.Fatalf("state %q was believed: %+v", value, st)
		}
		if err != nil && value == good {
			t.Fatalf("good state: %v", err)
		}
	})
}

// plainState is what stands behind the seal of a state. head is version, attempt and
// flags.
func plainState(head []byte, issued time.Time, path string) []byte {
	if len(head) < 3 {
		return head
	}
	plain := binary.BigEndian.AppendUint32(bytes.Clone(head[:3]), uint32(issued.Unix()))
	return append(plain, path...)
}

// FuzzStatePlain goes behind the seal, whose key follows from public values where there
// is no API secret: any bytes, sealed as a state should be, come back with a token. If
// the state was not signed for this browser, nobody is signed in and nobody is asked; if
// it was, the browser still goes nowhere else. parked is what stands in the cookie for
// long return paths; if path is "hash", the state refers to it. age is in seconds.
func FuzzStatePlain(f *testing.F) {
	for _, path := range []string{
		"", "/", "/x?y=1", "//evil.example", `/\evil.example`, "https://evil.example/", "/auth/logout", "/a\r\nSet-Cookie: x=1",
		"/%2e%2e/", "\x00", "/" + strings.Repeat("a", maxReturnPath-1), "/" + strings.Repeat("a", maxReturnPath), "/bücher", "/\xff",
	} {
		for flags := byte(0); flags < 4; flags++ {
			f.Add(true, []byte{stateVersion, 0, flags}, int32(0), path, "")
			f.Add(false, []byte{stateVersion, 255, flags}, int32(1), path, path)
		}
		f.Add(true, []byte{stateVersion, 3, flagParked}, int32(60), "hash", path)
	}
	for _, age := range []int32{-181, -113, 0, 893, 907, 1 << 30, -1 << 31} { // TestStatesAreBelievedOnlyIf is exact
		f.Add(true, []byte{stateVersion, 0, 0}, age, "/", "")
	}
	f.Add(true, []byte{0, 0, 0}, int32(0), "/", "")
	f.Add(true, []byte{2, 0, 255}, int32(0), "/", "")
	f.Add(true, []byte{stateVersion}, int32(0), "", "")
	f.Fuzz(func(t *testing.T, signed bool, head []byte, age int32, path, parked string) {
		a := newFuzzApp(t)
		defer a.Close()
		b := newBinding()
		if path == "hash" {
			path = pathHash(parked)
		}
		plain := plainState(head, time.Now().Add(-time.Duration(age)*time.Second), path)
		sealed := a.states.encrypt("state", plain)
		signature := make([]byte, signatureLen)
		if signed {
			signature = a.states.sign(b.current[:], sealed)
		}
		value := base64.RawURLEncoding.EncodeToString(append(signature, sealed...))
		cookies := a.site.cookieName(purposeBinding) + "=" + b.encode() + "; " +
			a.site.cookieName(purposeParked) + "=" + base64.RawURLEncoding.EncodeToString(a.states.encrypt("return path", []byte(parked)))
		r := httptest.NewRequest("GET", "/auth/callback?token=5f3c1c5e-0000-4000-8000-0123456789ab&state="+value, nil)
		r.Header = http.Header{"Cookie": {cookies}}
		w := a.serve(t, a.Handler(), r)

		const slack = 6 // seconds of which age may be off: serve wants an answer within five
		genuine := signed && len(value) <= maxStateLength && len(head) >= 3 && head[0] == stateVersion &&
			age >= -120-slack && age <= 900+slack
		if !genuine && (a.startsSession(w) || a.asked.Load() != 0 || a.written.Load() != 0) {
			t.Errorf("%x was believed (signed: %t): %d, API asked %d times, %d writes", plain, signed, w.Code, a.asked.Load(), a.written.Load())
		}
		if age > -120+slack && age < 900-slack && genuine != a.startsSession(w) {
			t.Errorf("%x (signed: %t) starts a session: %t", plain, signed, a.startsSession(w))
		}
		if !a.startsSession(w) {
			return
		}
		// Where the visitor goes on is what the state says, if a stranger could have
		// asked for it as well, or the landing page.
		if head[2]&flagParked != 0 {
			if path == pathHash(parked) {
				path = parked
			} else {
				path = ""
			}
		}
		want := a.site.url(a.returnPathOr(path))
		if got := w.Header().Get("Location"); got != want || w.Code != http.StatusSeeOther {
			t.Errorf("%d to %q, want %q", w.Code, got, want)
		}
	})
}

// FuzzParked reads cookies for long return paths: what was not sealed by us, for this
// purpose, is none.
func FuzzParked(f *testing.F) {
	a := newFuzzApp(f)
	f.Cleanup(func() { a.Close() })
	long := "/" + strings.Repeat("a", 600)
	hash := pathHash(long)
	good := base64.RawURLEncoding.EncodeToString(a.states.sealFixed("return path", []byte(long)))
	state := base64.RawURLEncoding.EncodeToString(a.states.sealFixed("state", []byte(long))) // of another purpose
	for _, v := range []string{good, "", good[:len(good)-1], good + "A", good[:40] + "\n" + good[40:], state, newBinding().encode(), strings.Repeat("A", 4000)} {
		f.Add(v)
	}
	f.Fuzz(func(t *testing.T, value string) {
		r := &http.Request{Header: http.Header{"Cookie": {a.site.cookieName(purposeParked) + "=" + value}}}
		got, ok := a.parkedPath(r, hash)
		if ok && (got != long || strings.Trim(value, ` "`) != good && !strings.HasPrefix(strings.Trim(value, " "), good+";")) {
			t.Errorf("cookie %q holds %q", value, got)
		}
		if value == good && !ok {
			t.Error("our own cookie is not read")
		}
		if other, ok := a.parkedPath(r, pathHash("/other")); ok {
			t.Errorf("a state of another tab gets %q", other)
		}
	})
}

// FuzzBinding reads cookies: what is accepted is written back unchanged, and starts and
// ends a login whatever it counts.
func FuzzBinding(f *testing.F) {
	b := newBinding()
	b.since, b.rounds, b.until = 1<<32-1, 255, 1<<32-1
	f.Add(b.encode())
	f.Add(newBinding().encode())
	f.Add("")
	a := newFuzzApp(f)
	f.Cleanup(func() { a.Close() })
	f.Fuzz(func(t *testing.T, value string) {
		b, ok := decodeBinding(value)
		if !ok {
			return
		}
		if b.encode() != value {
			t.Fatalf("binding %q became %q", value, b.encode())
		}
		r := httptest.NewRequest("GET", "/auth/login", nil)
		r.Header.Set("Cookie", a.site.cookieName(purposeBinding)+"="+value)
		wentRound := b.goesRound(time.Now())
		w := a.serve(t, a.Handler(), r)
		if w.Code != http.StatusFound && !wentRound && !b.goesRound(time.Now()) {
			t.Errorf("binding %q: login answered %d", value, w.Code)
		}
		now := time.Now()
		b.completed(now, false)
		if b.rounds == 0 || b.rounds > maxRounds {
			t.Errorf("binding %q counts %d", value, b.rounds)
		}
		b.renew(now)
		if again, ok := decodeBinding(b.encode()); !ok || *again != *b {
			t.Errorf("binding %+v reads as %+v", b, again)
		}
	})
}

// FuzzClaim lets somebody write to the store what is kept about a token that was seen
// before: it makes no login of another browser's token, and none younger than it is.
func FuzzClaim(f *testing.F) {
	b := new(binding) // the same in all of the fuzzer's processes
	browser := b.fingerprint()
	at := func(ms uint64) []byte { return binary.BigEndian.AppendUint64(bytes.Clone(browser[:]), ms) }
	for _, held := range [][]byte{
		{}, browser[:], at(1790000000000), at(0), at(1 << 62), at(1 << 63), at(1<<64 - 1), append(at(0), 0), bytes.Repeat([]byte{0}, 24),
	} {
		f.Add(held, false)
		f.Add(held, true)
	}
	f.Fuzz(func(t *testing.T, held []byte, fresh bool) {
		a := newFuzzApp(t)
		defer a.Close()
		a.held = append([]byte{}, held...) // not nil, even if empty
		value := a.states.seal(state{issued: time.Now(), path: "/x", fresh: fresh}, b)
		r := httptest.NewRequest("GET", "/auth/callback?token=5f3c1c5e-0000-4000-8000-0123456789ab&state="+value, nil)
		r.Header.Set("Cookie", a.site.cookieName(purposeBinding)+"="+b.encode())
		w := a.serve(t, a.Handler(), r)
		known := len(held) == 24 && bytes.Equal(held[:16], browser[:])
		if a.startsSession(w) != (known && !fresh) {
			t.Errorf("held %x, fresh %t: session %t", held, fresh, a.startsSession(w))
		}
		if !a.startsSession(w) {
			return
		}
		r = httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Cookie", cookiesOf(w))
		s, err := a.sessions.Load(r)
		if err != nil {
			t.Fatal(err)
		}
		if at := s.Principal().(*Identity).AuthTime; at.After(time.Now()) {
			t.Errorf("held %x: signed in at %v, which is to come", held, at)
		}
	})
}

// FuzzDeepLink asks for a protected page by a request line and a Host of the visitor's
// choice, and signs in: the way leads to that very page, or to the landing page, and
// never to another origin.
func FuzzDeepLink(f *testing.F) {
	for _, tt := range returnPaths {
		f.Add(tt.in, "app.example")
	}
	for _, target := range []string{"https://evil.example/x", "http://app.example/x", "*", "evil.example:443", "//evil.example/x", "/%2Fevil.example"} {
		f.Add(target, "evil.example")
	}
	f.Fuzz(func(t *testing.T, target, host string) {
		a := newFuzzApp(t)
		defer a.Close()
		u, err := url.ParseRequestURI(target)
		if err != nil {
			u = &url.URL{Path: target}
		}
		r := &http.Request{Method: "GET", URL: u, RequestURI: target, Host: host, Header: http.Header{"Accept": {"text/html"}}}
		w := a.serve(t, a.RequireLogin(whoIsThere), r)
		if w.Code != http.StatusFound {
			t.Fatalf("a stranger who visits %q gets %d, want a login", target, w.Code)
		}
		hosted, err := url.Parse(w.Header().Get("Location"))
		if err != nil {
			t.Fatal(err)
		}
		back, err := url.Parse(hosted.Query().Get("return_url"))
		if err != nil || back.Path != "/auth/callback" {
			t.Fatalf("the hosted page leads back to %v (%v)", back, err)
		}
		r = httptest.NewRequest("GET", back.RequestURI()+"&token=5f3c1c5e-0000-4000-8000-0123456789ab", nil)
		r.Header.Set("Cookie", cookiesOf(w))
		w = a.serve(t, a.Handler(), r)
		want := fuzzOrigin + "/landing"
		if p, ok := a.site.returnPath(target); ok {
			want = a.site.url(p)
		}
		if got := w.Header().Get("Location"); got != want || w.Code != http.StatusSeeOther {
			t.Errorf("%q: %d to %q, want %q", target, w.Code, got, want)
		}
	})
}
