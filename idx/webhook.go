package idx

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"time"
)

// Webhook is what LoginRadius reports about an account, once [Client.ParseWebhook]
// has seen that it comes from there. It prints as its kind of event and nothing else,
// with the limits that [Token] names.
//
// A webhook can come late, twice, out of order or not at all: LoginRadius sends each
// once and does not ask what became of it. Nor is it fresh because it is authentic:
// whoever has seen one can send it again, unaltered. So refuse an ID that was seen
// before and a Time that is long past, and take the rest as a reason to look, with
// [Client.Account], or to end sessions; never as leave to let somebody in.
type Webhook struct {
	ID    string    // HookId: unique to one event, so a second one is a repetition
	Event Event     // spelled as the constants are; an unknown one as it came
	Time  time.Time // when it happened, UTC
	UID   string    // the account it happened to; "" if the webhook names none

	// Profile is the account as the webhook shows it, without its Raw; nil if it
	// shows none that is readable, and for events about custom objects. It may lack
	// what [Client.Account] returns, the roles above all, and its flags may not fit
	// the event: in LoginRadius' samples the account that is deleted has IsDeleted
	// false, and the one that is blocked has it true.
	Profile *Profile
}

// Format implements [fmt.Formatter], which wins over every verb and flag: webhooks
// are logged as they come, and the profile is nothing for a log.
func (w Webhook) Format(f fmt.State, verb rune) { io.WriteString(f, w.text()) }

// LogValue implements [slog.LogValuer].
func (w Webhook) LogValue() slog.Value { return slog.StringValue(w.text()) }

func (w Webhook) text() string {
	if !w.Event.isKnown() {
		return "idx.Webhook(other)" // its text is anybody's
	}
	return "idx.Webhook(" + string(w.Event) + ")"
}

// maxWebhookBytes bounds a webhook's body. LoginRadius' longest sample has 13
// kilobytes; custom fields can add to that.
const maxWebhookBytes = 256 << 10

// ParseWebhook reads a webhook from r, whose body it consumes, up to 256 KiB. Before
// it looks at what the body says, it checks the signature header: the HMAC-SHA256 of
// the raw body in hex of either case, with one of [Config].WebhookSecrets as the key
// (LoginRadius, "Webhook Security").
//
// The error is [ErrNoSecret] if there is no secret to check with,
// [ErrWebhookSignature] if the request was not signed with one, [ErrWebhookTooLarge]
// if the body is too long, and [ErrWebhookMalformed] if the request is no POST, its
// body breaks off, or something was signed that is no webhook. No error shows
// anything of the body.
func (c *Client) ParseWebhook(r *http.Request) (*Webhook, error) {
	hook, err := c.app.webhook(r)
	if err != nil {
		return nil, fmt.Errorf("idx: webhook: %w", err)
	}
	return hook, nil
}

func (a *app) webhook(r *http.Request) (*Webhook, error) {
	if len(a.creds.webhook) == 0 {
		return nil, ErrNoSecret
	}
	if r.Method != http.MethodPost {
		return nil, fmt.Errorf("%w: method is not POST", ErrWebhookMalformed)
	}
	signature, ok := webhookSignature(r.Header)
	if !ok {
		return nil, ErrWebhookSignature // the body is not worth reading
	}
	body, err := webhookBody(r)
	if err != nil {
		return nil, err
	}
	if !a.signed(body, signature) {
		return nil, ErrWebhookSignature
	}
	return decodeWebhook(body)
}

// webhookSignature returns the bytes of the one signature in header.
func webhookSignature(header http.Header) ([]byte, bool) {
	values := header.Values("Signature")
	if len(values) != 1 || len(values[0]) != hex.EncodedLen(sha256.Size) {
		return nil, false
	}
	signature, err := hex.DecodeString(values[0])
	return signature, err == nil
}

func webhookBody(r *http.Request) ([]byte, error) {
	if r.ContentLength > maxWebhookBytes {
		return nil, ErrWebhookTooLarge
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxWebhookBytes+1))
	switch {
	case len(body) > maxWebhookBytes:
		return nil, ErrWebhookTooLarge
	case err != nil:
		return nil, fmt.Errorf("%w: body breaks off", ErrWebhookMalformed)
	}
	return body, nil
}

// signed reports whether signature is that of body under one of the secrets.
func (a *app) signed(body, signature []byte) bool {
	for _, secret := range a.creds.webhook {
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write(body)
		if hmac.Equal(mac.Sum(nil), signature) {
			return true
		}
	}
	return false
}

// decodeWebhook reads an authentic body.
func decodeWebhook(body []byte) (*Webhook, error) {
	obj, err := parseObject(body)
	if err != nil {
		return nil, fmt.Errorf("%w: body is %w", ErrWebhookMalformed, err)
	}
	r := &reader{obj: obj}
	hook := &Webhook{
		ID:    r.id("HookId"),
		Event: eventNamed(r.id("HookName")),
		Time:  r.time("Time"),
	}
	if hook.Time.IsZero() {
		r.fail("Time is not a date") // nobody could tell how old it is
	}
	hook.readData(r)
	if err := r.failure(ErrWebhookMalformed); err != nil {
		return nil, err
	}
	return hook, nil
}

// readData is strict about whose account it is, if that is said, and lenient about
// the rest: that something happened to an account matters more than the profile.
func (w *Webhook) readData(r *reader) {
	obj, err := parseObject(r.value("Data"))
	if err != nil {
		return
	}
	// RemoveEmail has the profile one level deeper.
	if inner, err := parseObject((&reader{obj: obj}).value("UserProfile")); err == nil {
		obj = inner
	}
	data := &reader{obj: obj}
	uid, _ := stringValue(data.value("Uid"))
	if data.err != nil {
		r.fail("data has " + data.err.Error())
		return
	}
	if !isID(uid) {
		return
	}
	w.UID = uid
	if w.Event.isAboutObject() {
		return
	}
	if profile, err := decodeProfile(obj); err == nil {
		profile.Raw = nil // nothing of a body with a password's hash survives
		w.Profile = profile
	}
}
