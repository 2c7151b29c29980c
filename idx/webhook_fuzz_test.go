package idx_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/idxauth/idxauth/idx"
)

// FuzzParseWebhook sends bodies with the given signature, or with the right one if
// that is empty.
func FuzzParseWebhook(f *testing.F) {
	for _, body := range []string{
		smallHook, "", "null", "[]", smallHook + "x",
		hookOf("removeemail", `{"UserProfile":{"Uid":"u","Password":"hash"},"RemovedEmail":"a@b.test"}`),
		hookOf("deletecustomobject", `{"Uid":"u","IsDeleted":true}`),
		hookOf("novelty", `"text"`),
		hookOf("login", `{"Uid":"u","UID":"v","UserProfile":null}`),
		hookOf("blockaccount", `{"Uid":"u","I\u017fActive":true,"IsActive":false,"Pa\u017fsword":"hash"}`),
		`{"HookId":"i","HookName":"setpin","Data":{"Uid":"u","LoginLockedType":"None"},"Time":"2023-04-04T08:53:50.186Z"}`,
		`{"HookId":"i","HookName":"login","Time":"0001-01-01T00:00:00Z"}`,
	} {
		f.Add("", []byte(body))
		f.Add(sign("wrong", body), []byte(body))
	}
	f.Fuzz(func(t *testing.T, signature string, body []byte) {
		right := sign(testSecret, string(body))
		authentic := signature == "" || strings.EqualFold(signature, right)
		if signature == "" {
			signature = right
		}
		hook, err := mustNew(t, idx.Config{APISecret: testSecret}).ParseWebhook(hookRequest(string(body), signature))
		if err != nil {
			want := idx.ErrWebhookMalformed
			switch {
			case !authentic && len(body) <= 256<<10:
				want = idx.ErrWebhookSignature
			case len(body) > 256<<10:
				return // which is looked at first is nobody's business
			}
			if hook != nil || !errors.Is(err, want) {
				t.Errorf("webhook %v, error %v, want error %v", hook, err, want)
			}
			return
		}
		if !authentic {
			t.Fatalf("webhook %v of a forged request", hook)
		}
		if hook.ID == "" || hook.Event == "" || hook.Time.IsZero() || hook.Time.Location() != time.UTC {
			t.Errorf("webhook %#v has gaps", *hook)
		}
		for _, id := range []string{hook.ID, string(hook.Event), hook.UID} {
			if len(id) > 256 || strings.ContainsFunc(id, unicode.IsControl) {
				t.Errorf("webhook has the id %q", id)
			}
		}
		if p := hook.Profile; p != nil && (p.UID != hook.UID || p.UID == "" || p.Raw != nil) {
			t.Errorf("webhook about %q has the profile %+v", hook.UID, p)
		}
		if text := fmt.Sprintf("%+v", hook); !strings.HasPrefix(text, "idx.Webhook(") || len(text) > 50 {
			t.Errorf("webhook prints as %s", text)
		}
	})
}
