package middleware

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/idxauth/idxauth/idx"
	"github.com/idxauth/idxauth/session"
)

// noProvider is a hosted login that must never be asked.
type noProvider struct{ t *testing.T }

func (p noProvider) URL(action idx.Action, returnURL string) string {
	return "https://hub.example/auth.aspx?action=" + string(action)
}
func (p noProvider) Profile(context.Context, idx.Token) (*idx.Profile, error) {
	p.t.Fatal("the API was asked for a profile")
	return nil, nil
}
func (p noProvider) Validate(context.Context, idx.Token) (time.Time, error) {
	p.t.Fatal("the API was asked for an expiry")
	return time.Time{}, nil
}
func (p noProvider) Invalidate(context.Context, idx.Token) error {
	p.t.Fatal("the API was asked to end a token")
	return nil
}

// FuzzCallback sends strangers' queries and cookies to the callback: nobody is
// signed in, nobody is asked, and every answer is one of ours.
func FuzzCallback(f *testing.F) {
	f.Add("token=5f3c1c5e-0000-4000-8000-0123456789ab&state=abc", "")
	f.Add("token=a&token=b", "x-login=abc")
	f.Add("token=%zz;state", "=;=;;")
	f.Add("action_completed=register", "")
	f.Add("state=&token=", "a=b; a=b")
	f.Fuzz(func(t *testing.T, query, cookie string) {
		a := Must(New(Config{
			IDX: idx.Config{AppName: "my-app"}, Provider: noProvider{t}, BaseURL: "https://app.example",
			Store: session.NewMemory(), Logger: slog.New(slog.DiscardHandler),
		}))
		defer a.Close()
		r := httptest.NewRequest("GET", "https://app.example/auth/callback", nil)
		r.URL.RawQuery = query
		binding := a.site.cookieName(purposeBinding) + "=" + newBinding().encode()
		r.Header["Cookie"] = []string{cookie, binding}
		w := httptest.NewRecorder()
		a.Handler().ServeHTTP(w, r)
		for _, c := range w.Result().Cookies() {
			if strings.HasSuffix(c.Name, "-session") {
				t.Fatalf("query %q signed somebody in", query)
			}
		}
		switch w.Code {
		case http.StatusFound:
			if !strings.HasPrefix(w.Header().Get("Location"), "https://hub.example/auth.aspx?action=log") {
				t.Fatalf("query %q leads to %q", query, w.Header().Get("Location"))
			}
		case http.StatusOK, http.StatusBadRequest:
		default:
			t.Fatalf("query %q: status %d", query, w.Code)
		}
		if w.Header().Get("Cache-Control") != "no-store" {
			t.Fatalf("query %q: Cache-Control %q", query, w.Header().Get("Cache-Control"))
		}
	})
}

// FuzzState opens damaged states: none is believed.
func FuzzState(f *testing.F) {
	s := newStateSealer("realm", "secret", "key")
	b := newBinding()
	now := time.Now()
	good := s.seal(state{issued: now, path: "/x", attempt: 2}, b)
	f.Add(good)
	f.Add(good[1:])
	f.Add(good[:50] + "\r\n" + good[50:]) // a decoder that skips line breaks makes it another state
	f.Add("")
	f.Add(strings.Repeat("A", 100))
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

// FuzzBinding reads cookies: what is accepted is written back unchanged.
func FuzzBinding(f *testing.F) {
	f.Add(newBinding().encode())
	f.Add("")
	f.Fuzz(func(t *testing.T, value string) {
		if b, ok := decodeBinding(value); ok && b.encode() != value {
			t.Fatalf("binding %q became %q", value, b.encode())
		}
	})
}

// FuzzIdentity reads records: what can be read is written back to the same identity.
func FuzzIdentity(f *testing.F) {
	f.Add(encodeIdentity(fullIdentity()))
	f.Add("\x01\x01\x01u")
	f.Add("\x01\xff\xff\x03\xff\xff\xff\xff\x7f")
	f.Fuzz(func(t *testing.T, data string) {
		u, err := decodeIdentity("u", data)
		if err != nil {
			return
		}
		again, err := decodeIdentity(u.UID, encodeIdentity(u))
		if err != nil || again.UID != u.UID || again.Email != u.Email || len(again.CustomFields) != len(u.CustomFields) {
			t.Fatalf("%+v became %+v (%v)", u, again, err)
		}
	})
}

// FuzzWebhook sends bodies that are signed as they should be: every answer is one of
// ours, and the log has nothing of them.
func FuzzWebhook(f *testing.F) {
	const secret = "d2a1b7c4-93e8-4c60-8f1e-7b5a0d4c6e19"
	now := time.Now().UTC().Format(time.RFC3339)
	for _, event := range []string{"login", "blockaccount", "deleteaccount", "assignroles", "removeemail", "createcustomobject", "novelty", ""} {
		f.Add(`{"HookName":"` + event + `","HookId":"hook-identity","Time":"` + now + `","Data":{"Uid":"user-identity","Password":"password-hash","IsActive":false}}`)
	}
	f.Add(`{"HookId":"hook-identity","HookName":"login","Time":"0001-01-01T00:00:00Z"}`)
	f.Add(`{"HookId":"hook-identity","HookName":"a\nlevel=ERROR","Time":"` + now + `","Data":{"UserProfile":{"Uid":"../x"}}}`)
	f.Add("")
	f.Add("null")
	f.Fuzz(func(t *testing.T, body string) {
		var log bytes.Buffer
		a := Must(New(Config{
			IDX:     idx.Config{AppName: "my-app", APIKey: "5f6c3f0e-2b0d-4f5b-9a37-0c1d8e6b7a42", APISecret: secret},
			BaseURL: "https://app.example", Webhooks: true,
			Store: session.NewMemory(), Logger: slog.New(slog.NewTextHandler(&log, nil)),
		}))
		defer a.Close()
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write([]byte(body))
		r := httptest.NewRequest("POST", "https://app.example/auth/webhook", strings.NewReader(body))
		r.Header.Set("Signature", hex.EncodeToString(mac.Sum(nil)))
		w := httptest.NewRecorder()
		a.Handler().ServeHTTP(w, r)
		if w.Code != 200 && w.Code != 400 {
			t.Errorf("answered %d to %q", w.Code, body)
		}
		if strings.Count(log.String(), "\n") > 1 {
			t.Errorf("several lines: %s", &log)
		}
		for _, word := range []string{"identity", "password-hash", "novelty", "level=ERROR"} {
			if strings.Contains(log.String()+w.Body.String(), word) {
				t.Errorf("%q of the body is shown: %s%s", word, &log, w.Body)
			}
		}
	})
}
