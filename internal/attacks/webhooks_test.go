package attacks_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/idxauth/idxauth/idx"
	"github.com/idxauth/idxauth/idx/idxtest"
	"github.com/idxauth/idxauth/internal/redistest"
	"github.com/idxauth/idxauth/middleware"
)

func withWebhooks(c *middleware.Config) { c.Webhooks = true }

// hook is the body of a webhook about user.
func hook(event idx.Event, user idxtest.User, id string, at time.Time, more string) string {
	return fmt.Sprintf(`{"HookName":%q,"HookId":%q,"Time":%q,"Data":{"Uid":%q,"IsActive":true%s}}`,
		event, id, at.UTC().Format("2006-01-02T15:04:05Z"), user.UID, more)
}

func signature(body string, secret idx.Secret) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(body))
	return hex.EncodeToString(mac.Sum(nil))
}

// deliver posts a body to the webhook route, with these headers.
func (a *app) deliver(method, body string, headers http.Header) *answer {
	a.t.Helper()
	req, err := http.NewRequest(method, a.origin+"/auth/webhook", strings.NewReader(body))
	if err != nil {
		a.t.Fatal(err)
	}
	req.Header = headers
	return a.browser().do(req)
}

// N1. Somebody who does not know the secret ends sessions of others.
func TestN1ForgedWebhook(t *testing.T) {
	const old = idx.Secret("the-secret-before")
	a := newApp(t, withWebhooks, func(c *middleware.Config) { c.IDX.WebhookSecrets = []idx.Secret{c.IDX.APISecret, old} })
	secret := a.hub.Config().APISecret
	b := a.browser()
	b.enter(idxtest.Ada)
	body := hook(idx.EventBlockAccount, idxtest.Ada, "hook-1", time.Now(), "")
	good := signature(body, secret)
	flipped := []byte(good)
	flipped[10] ^= 1
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	z.Write([]byte(body))
	z.Close()
	type message struct {
		method, body string
		headers      http.Header
	}
	for name, m := range map[string]message{
		"no signature":        {"POST", body, http.Header{}},
		"empty signature":     {"POST", body, http.Header{"Signature": {""}}},
		"another secret":      {"POST", body, http.Header{"Signature": {signature(body, "guess")}}},
		"empty secret":        {"POST", body, http.Header{"Signature": {signature(body, "")}}},
		"the public key":      {"POST", body, http.Header{"Signature": {signature(body, idx.Secret(a.hub.Config().APIKey))}}},
		"one bit":             {"POST", body, http.Header{"Signature": {string(flipped)}}},
		"truncated":           {"POST", body, http.Header{"Signature": {good[:62]}}},
		"longer":              {"POST", body, http.Header{"Signature": {good + "00"}}},
		"two":                 {"POST", body, http.Header{"Signature": {signature(body, "guess"), good}}},
		"two in one":          {"POST", body, http.Header{"Signature": {good + ", " + good}}},
		"with a scheme":       {"POST", body, http.Header{"Signature": {"sha256=" + good}}},
		"of another body":     {"POST", body + " ", http.Header{"Signature": {good}}},
		"another header":      {"POST", body, http.Header{"X-Signature": {good}}},
		"method":              {"GET", body, http.Header{"Signature": {good}}},
		"method override":     {"PUT", body, http.Header{"Signature": {good}, "X-Http-Method-Override": {"POST"}}},
		"compressed":          {"POST", zipped.String(), http.Header{"Signature": {good}, "Content-Encoding": {"gzip"}}},
		"too large":           {"POST", body + strings.Repeat(" ", 300<<10), http.Header{"Signature": {good}}},
		"too large, signed":   {"POST", body + strings.Repeat(" ", 300<<10), http.Header{"Signature": {signature(body+strings.Repeat(" ", 300<<10), secret)}}},
		"signed, no webhook":  {"POST", "{}", http.Header{"Signature": {signature("{}", secret)}}},
		"signed, two answers": {"POST", body + body, http.Header{"Signature": {signature(body+body, secret)}}},
	} {
		if got := a.deliver(m.method, m.body, m.headers); got.StatusCode < 400 || got.StatusCode >= 500 || strings.Contains(got.body, "login\":") {
			t.Errorf("%s: %s %q", name, got.Status, got.body)
		}
		b.wantUser(idxtest.Ada)
	}
	for i, sig := range []string{good, strings.ToUpper(good), signature(body, old)} {
		fresh := a.browser()
		fresh.enter(idxtest.Ada)
		honest := strings.Replace(body, "hook-1", fmt.Sprint("honest-", i), 1)
		switch sig {
		case good:
			sig = signature(honest, secret)
		case strings.ToUpper(good):
			sig = strings.ToUpper(signature(honest, secret))
		default:
			sig = signature(honest, old)
		}
		a.deliver("POST", honest, http.Header{"Signature": {sig}}).want(t, 200, "")
		fresh.wantStranger()
	}
	// Without a secret there is no route, and asking for one is an error.
	newApp(t, func(c *middleware.Config) { c.Webhooks = false }).deliver("POST", body, http.Header{"Signature": {good}}).want(t, 404, "")
	if _, err := middleware.New(middleware.Config{IDX: idx.Config{AppName: "a", APIKey: "k"}, BaseURL: a.origin, Store: a.store, Webhooks: true}); err == nil {
		t.Error("webhooks without a secret were accepted")
	}
}

// N2. A genuine webhook is sent again, late or out of order; or it promises rights.
func TestN2ReplayedWebhook(t *testing.T) {
	server := redistest.Start(t)
	a := newApp(t, withWebhooks, onRedis(server))
	secret := a.hub.Config().APISecret
	send := func(body string) *answer {
		t.Helper()
		return a.deliver("POST", body, http.Header{"Signature": {signature(body, secret)}})
	}
	b := a.browser()
	b.enter(idxtest.Grace)
	block := hook(idx.EventBlockAccount, idxtest.Grace, "hook-1", time.Now(), "")
	send(block).want(t, 200, "")
	b.wantStranger()
	b.enter(idxtest.Grace) // the account was set free again
	n := a.neighbour(withWebhooks, onRedis(server))
	for range 3 {
		send(block).want(t, 200, "")
		b.wantUser(idxtest.Grace)
	}
	replay, _ := http.NewRequest("POST", "/auth/webhook", strings.NewReader(block))
	replay.Header.Set("Signature", signature(block, secret))
	n.mux.ServeHTTP(discard{http.Header{}}, replay)
	b.wantUser(idxtest.Grace)
	for name, at := range map[string]time.Time{"an hour old": time.Now().Add(-time.Hour), "from the future": time.Now().Add(time.Hour), "of the year 1": {}} {
		send(hook(idx.EventBlockAccount, idxtest.Grace, "id "+name, at, "")).want(t, 400, "")
		b.wantUser(idxtest.Grace)
	}
	// What it says of the account is not believed: not the roles, not that it is active.
	for i, event := range []idx.Event{idx.EventAssignRoles, idx.EventUpdateProfile, idx.EventEmailVerification, "SomethingNew"} {
		send(hook(event, idxtest.Grace, fmt.Sprint("grant-", i), time.Now(), `,"Roles":["admin"],"EmailVerified":true`)).want(t, 200, "")
		if got := b.open("/admin"); got.StatusCode != 403 {
			t.Errorf("after %s: %s", event, got.Status)
		}
	}
	a.hub.UpdateUser(idxtest.Grace.Email, func(u *idxtest.User) { u.Blocked = true })
	send(hook(idx.EventUpdateProfile, idxtest.Grace, "unblock", time.Now(), `,"IsDeleted":false`))
	if got := b.open("/dashboard/"); got.StatusCode == 200 {
		t.Errorf("a blocked account is active because a webhook says so: %q", got.body)
	}
}

// discard is a ResponseWriter whose answer nobody reads.
type discard struct{ header http.Header }

func (d discard) Header() http.Header         { return d.header }
func (d discard) Write(p []byte) (int, error) { return len(p), nil }
func (d discard) WriteHeader(int)             {}

// N3. LoginRadius puts the hash of the password into webhooks. It is in no log, answer, hook
// or store.
func TestN3WebhookPasswordHash(t *testing.T) {
	const hash = "$2a$10$marked-password-hash"
	server := redistest.Start(t)
	printed := new(logBuffer) // the hook runs with the server
	a := newApp(t, withWebhooks, onRedis(server), func(c *middleware.Config) { c.Hooks.OnWebhook = printsHook(printed) })
	secret := a.hub.Config().APISecret
	b := a.browser()
	b.enter(idxtest.Ada)
	more := fmt.Sprintf(`,"Password":%q,"PasswordHash":%q,"LastName":%q`, hash, hash, hash)
	bodies := []string{
		hook(idx.EventUpdateProfile, idxtest.Ada, "1", time.Now(), more),
		hook(idx.Event(hash), idxtest.Ada, hash, time.Now(), more),             // an event of that name
		hook(idx.EventUpdateProfile, idxtest.Ada, "2", time.Now(), more)[:150], // cut off
		hook(idx.EventUpdateProfile, idxtest.Ada, "3", time.Unix(0, 0), more),  // old
		strings.Replace(hook(idx.EventLogin, idxtest.Ada, "4", time.Now(), more), `"Uid"`, `"Uid":"x","uid"`, 1),
	}
	statuses := ""
	for _, body := range bodies {
		for _, sig := range []string{signature(body, secret), signature(body, "guess")} {
			got := a.deliver("POST", body, http.Header{"Signature": {sig}})
			statuses += fmt.Sprint(got.StatusCode, " ")
			if strings.Contains(got.body+fmt.Sprint(got.Header), hash) {
				t.Errorf("the answer shows it: %q", got.body)
			}
		}
	}
	b.wantUser(idxtest.Ada)
	if !strings.Contains(statuses, "200") || !strings.Contains(statuses, "400") || !strings.Contains(statuses, "401") || printed.String() == "" {
		t.Errorf("the webhooks were answered %s, and the hook printed %q: not all was tried", statuses, printed.String())
	}
	dump := ""
	for _, key := range keys(t, server) {
		dump += key + server.Patient().Get(t.Context(), key).Val()
	}
	for where, text := range map[string]string{"the log": a.log.String(), "a printed hook": printed.String(), "Redis": dump} {
		if strings.Contains(text, "marked-password-hash") {
			t.Errorf("it is in %s: %s", where, text)
		}
	}
}

func printsHook(w io.Writer) func(context.Context, *idx.Webhook) {
	return func(_ context.Context, hook *idx.Webhook) {
		fmt.Fprintf(w, "%v %+v %#v %s\n", hook, *hook, hook, *hook)
	}
}
