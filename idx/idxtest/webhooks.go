package idxtest

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/idxauth/idxauth/idx"
)

// Webhook is one that was sent.
type Webhook struct {
	Event  idx.Event
	UID    string // of the account it is about
	Status int    // of the answer; 0 if there was none
}

// WebhookFault is a way in which webhooks go wrong. Nothing in LoginRadius' documents
// promises that they do not.
type WebhookFault string

// The ways to go wrong.
const (
	WebhookLost      WebhookFault = "lost"      // not sent
	WebhookTwice     WebhookFault = "twice"     // sent again, unaltered
	WebhookSwapped   WebhookFault = "swapped"   // every other one is held until the next was delivered, or until WaitWebhooks
	WebhookOld       WebhookFault = "old"       // an hour old, by its Time
	WebhookForged    WebhookFault = "forged"    // signed with a secret that is not the tenant's
	WebhookMalformed WebhookFault = "malformed" // signed as it should be, but cut off in the middle
)

// SetWebhook sends webhooks to url from now on, to nowhere if it is empty: short for
// [Server.Set] with [Settings].WebhookURL.
func (s *Server) SetWebhook(url string) {
	s.Set(func(set *Settings) { set.WebhookURL = url })
}

// SendWebhook sends a webhook about the user with the given e-mail address (or UID),
// who does not change. It is for events that nothing in the emulator causes, and
// for those that come too late. It panics if there is no such user or no
// [Settings].WebhookURL.
func (s *Server) SendWebhook(event idx.Event, email string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.tenant.mustFind(email)
	if s.tenant.settings.WebhookURL == "" {
		panic("idxtest: SendWebhook without a WebhookURL")
	}
	s.tenant.report(event, a)
}

// WaitWebhooks returns when all webhooks so far have been delivered, or have failed,
// which takes 5 s at most for each. Its result is what was sent to anywhere, oldest
// first: the last 10,000.
func (s *Server) WaitWebhooks() []Webhook {
	return s.tenant.hooks.wait()
}

// report sends a webhook in the background, if there is somewhere to send it.
func (t *tenant) report(event idx.Event, a *account) {
	set := &t.settings
	if set.WebhookURL == "" {
		return
	}
	at, secret := t.clock.now(), apiSecret
	if set.WebhookFault == WebhookOld {
		at = at.Add(-time.Hour)
	}
	body := t.webhookBody(event, a, at)
	if set.WebhookFault == WebhookMalformed {
		body = body[:len(body)/2]
	}
	if set.WebhookFault == WebhookForged {
		secret = t.ids.guid("forged secret")
	}
	t.hooks.send(delivery{
		url: set.WebhookURL, transport: set.WebhookTransport, body: body, signature: sign(body, secret),
		hook: Webhook{Event: event, UID: a.UID},
	}, set.WebhookFault)
}

// sign returns the signature header of a webhook.
func sign(body []byte, secret string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body)
	return fmt.Sprintf("%X", mac.Sum(nil))
}

// webhookBody has the keys in the order of LoginRadius' samples.
func (t *tenant) webhookBody(event idx.Event, a *account, at time.Time) []byte {
	body, err := json.Marshal(struct {
		HookName, Time, HookId string
		Data                   map[string]any
	}{
		HookName: strings.ToLower(string(event)),
		Time:     at.Format("2006-01-02T15:04:05Z"),
		HookId:   t.ids.guid("hook"),
		Data:     t.webhookData(event, a),
	})
	if err != nil {
		panic(err) // our own maps and strings
	}
	return body
}

// webhookData is what LoginRadius' samples show for the event.
func (t *tenant) webhookData(event idx.Event, a *account) map[string]any {
	switch event {
	case idx.EventCreateCustomObject, idx.EventUpdateCustomObject, idx.EventDeleteCustomObject:
		// IsActive and IsDeleted are those of the object.
		return map[string]any{
			"Id": a.profileID[:24], "IsActive": true, "IsDeleted": false, "Uid": a.UID,
			"DateCreated": t.date(a.created), "DateModified": t.date(t.clock.now()), "CustomObject": map[string]any{"a": "b"},
		}
	case idx.EventRemoveEmail:
		return map[string]any{"UserProfile": t.webhookProfile(event, a), "RemovedEmail": "removed@example.com"}
	}
	return t.webhookProfile(event, a)
}

// webhookProfile is not quite the API's profile.
func (t *tenant) webhookProfile(event idx.Event, a *account) map[string]any {
	profile := t.managed(a)
	delete(profile, "Roles")
	profile["LoginLockedType"] = 0
	if a.lastLogin.IsZero() {
		profile["LastLoginDate"] = "0001-01-01T00:00:00Z"
	}
	if event == idx.EventDeleteAccount {
		profile["IsDeleted"] = false // the state before
	}
	return profile
}
