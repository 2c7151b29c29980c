package middleware

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"log/slog"
	"strings"
	"testing"
	"time"
)

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
		if err != nil || again.UID != u.UID || encodeIdentity(again) != encodeIdentity(u) {
			t.Fatalf("%+v became %+v (%v)", u, again, err)
		}
	})
}

// FuzzWebhook sends bodies that are signed as they should be, or not: every answer is
// one of ours, the log has nothing of them, and nobody is signed out who is not named.
// {now} is the time. An empty signature is the right one.
func FuzzWebhook(f *testing.F) {
	const secret = "d2a1b7c4-93e8-4c60-8f1e-7b5a0d4c6e19"
	for _, event := range []string{"login", "blockaccount", "deleteaccount", "assignroles", "removeemail", "createcustomobject", "novelty", ""} {
		body := `{"HookName":"` + event + `","HookId":"hook-identity","Time":"{now}","Data":{"Uid":"user-identity","Password":"password-hash","IsActive":false}}`
		f.Add("", body)
		f.Add(strings.Repeat("0", 64), body)
	}
	f.Add("", `{"HookId":"hook-identity","HookName":"login","Time":"0001-01-01T00:00:00Z"}`)
	f.Add("", `{"HookId":"hook-identity","HookName":"a\nlevel=ERROR","Time":"{now}","Data":{"UserProfile":{"Uid":"../x"}}}`)
	f.Add("", "")
	f.Add("x", "null")
	f.Fuzz(func(t *testing.T, signature, body string) {
		body = strings.ReplaceAll(body, "{now}", time.Now().UTC().Format(time.RFC3339))
		var log bytes.Buffer
		a := newFuzzApp(t, func(c *Config) {
			c.IDX.APISecret = secret
			c.Provider = nil // the real client; nothing here calls the API
			c.Webhooks = true
			c.Logger = slog.New(slog.NewTextHandler(&log, nil))
		})
		defer a.Close()
		_, named := a.signedIn(t, "user-identity")
		_, grace := a.signedIn(t, "grace")
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write([]byte(body))
		right := hex.EncodeToString(mac.Sum(nil))
		if signature == "" {
			signature = right
		}
		r := parse("POST", "/auth/webhook", "Signature: "+signature, body)
		if r == nil {
			return
		}
		a.written.Store(0)
		w := a.serve(t, a.Handler(), r)
		switch {
		case strings.EqualFold(r.Header.Get("Signature"), right):
			if w.Code != 200 && w.Code != 400 {
				t.Errorf("answered %d to %q", w.Code, body)
			}
		case w.Code < 400 || a.written.Load() != 0 || !a.isLive(named):
			t.Errorf("forged: answered %d to %q, with %d writes to the store", w.Code, body, a.written.Load())
		}
		if !a.isLive(grace) && !strings.Contains(body, "grace") && !strings.Contains(body, `\u`) {
			t.Errorf("%q has signed somebody else out", body)
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
