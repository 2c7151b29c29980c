package middleware_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/idxauth/idxauth/idx"
	"github.com/idxauth/idxauth/idx/idxtest"
	"github.com/idxauth/idxauth/middleware"
	"github.com/idxauth/idxauth/session"
)

func webhooks(c *middleware.Config) { c.Webhooks = true }

// hooked counts the webhooks of which the application is told.
type hooked struct {
	mu     sync.Mutex
	events []idx.Event
}

func (h *hooked) config(c *middleware.Config) {
	c.Webhooks = true
	c.Hooks.OnWebhook = func(_ context.Context, hook *idx.Webhook) {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.events = append(h.events, hook.Event)
	}
}

func (h *hooked) take() []idx.Event {
	h.mu.Lock()
	defer h.mu.Unlock()
	events := h.events
	h.events = nil
	return events
}

// wire carries the emulator's webhooks and keeps copies, to be sent again.
type wire struct{ copies notes[sentHook] }

type sentHook struct {
	body      []byte
	signature string
}

func (w *wire) RoundTrip(req *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, err
	}
	w.copies.add(sentHook{body, req.Header.Get("Signature")})
	req.Body = io.NopCloser(bytes.NewReader(body))
	return http.DefaultTransport.RoundTrip(req)
}

func (a *app) receivesWebhooks() *wire {
	w := new(wire)
	a.hub.Set(func(s *idxtest.Settings) { s.WebhookURL, s.WebhookTransport = a.origin+"/auth/webhook", w })
	return w
}

// send posts a webhook to the app.
func (a *app) send(body []byte, signature string) *answer {
	a.t.Helper()
	b := a.browser()
	req := b.request("POST", "/auth/webhook", "Signature", signature, "Accept", "", "Sec-Fetch-Mode", "", "Sec-Fetch-Dest", "")
	req.Body, req.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	return b.step(req)
}

func (a *app) signed(body string) *answer {
	a.t.Helper()
	mac := hmac.New(sha256.New, []byte(a.hub.Config().APISecret))
	mac.Write([]byte(body))
	return a.send([]byte(body), hex.EncodeToString(mac.Sum(nil)))
}

func TestWebhooksNeedASecret(t *testing.T) {
	for name, change := range map[string]func(*middleware.Config){
		"no secret": withoutSecret,
		"a provider without webhooks": func(c *middleware.Config) {
			c.Provider = struct{ middleware.Provider }{}
		},
	} {
		cfg := validConfig()
		cfg.IDX.APISecret = "a2b5b1a4-7d1a-4d6e-9a43-2d5a4c6c2a11"
		cfg.Webhooks = true
		change(&cfg)
		if _, err := middleware.New(cfg); err == nil || !strings.Contains(err.Error(), "Webhooks") {
			t.Errorf("%s: %v", name, err)
		}
	}
	a := newApp(t) // not asked for
	a.send(nil, "").want(t, 404, "")
}

// What each event does to a user with two devices, and to another user.
func TestWebhookEvents(t *testing.T) {
	const out, reread, nothing = "out", "read again", "nothing"
	effects := map[idx.Event]string{
		idx.EventBlockAccount: out, idx.EventDeleteAccount: out,
		idx.EventResetPassword: out, idx.EventChangePassword: out, idx.EventSetPassword: out,
		idx.EventLogin: nothing, idx.EventRegister: nothing, idx.EventCreateTraditionalAccount: nothing,
		idx.EventCreateCustomObject: nothing, idx.EventUpdateCustomObject: nothing, idx.EventDeleteCustomObject: nothing,
	}
	for _, event := range []idx.Event{idx.EventUpdateProfile, idx.EventUpdateUID, idx.EventSetUsername, idx.EventSetPIN,
		idx.EventResetPIN, idx.EventChangePIN, idx.EventEmailVerification, idx.EventInvalidateEmailVerification,
		idx.EventAddEmail, idx.EventRemoveEmail, idx.EventUpdatePhoneID, idx.EventVerifyPhoneNumber,
		idx.EventInvalidatePhoneVerification, idx.EventRemovePhoneID, idx.EventAssignRoles, idx.EventUnassignRoles,
		idx.EventRemoveRoleContext, idx.EventLinkAccount, idx.EventUnlinkAccount, idx.EventConsentProfileUpdate, "Novelty"} {
		effects[event] = reread
	}
	told := new(hooked)
	a := newApp(t, told.config)
	grace := a.browser()
	grace.signIn("/dashboard/", idxtest.Grace)
	a.hub.SetWebhook(a.origin + "/auth/webhook")
	for event, want := range effects {
		t.Run(string(event), func(t *testing.T) {
			laptop, phone := a.browser(), a.browser()
			laptop.signIn("/dashboard/", idxtest.Ada)
			phone.signIn("/dashboard/", idxtest.Ada)
			a.hub.WaitWebhooks()
			told.take()
			calls := len(a.hub.Requests())
			a.hub.SendWebhook(event, idxtest.Ada.Email)
			sent := a.hub.WaitWebhooks()
			if last := sent[len(sent)-1]; last.Status != 200 {
				t.Errorf("answered %d", last.Status)
			}
			if got := told.take(); !slices.Equal(got, []idx.Event{event}) && event != "Novelty" {
				t.Errorf("the application was told of %q", got)
			}
			got := nothing
			if b := laptop.step(laptop.request("GET", "/dashboard/")); b.StatusCode == 302 {
				got = out
			}
			if n := len(a.hub.Requests()) - calls; n == 1 && got == nothing {
				got = reread
			}
			if got != want {
				t.Errorf("effect: %s, want %s", got, want)
			}
			if b := phone.step(phone.request("GET", "/dashboard/")); (b.StatusCode == 302) != (want == out) {
				t.Errorf("the other device: %s", b.Status)
			}
			grace.open("/dashboard/").want(t, 200, "user "+idxtest.Grace.Email)
		})
	}
}

// A change is there at the next request, whatever the webhook shows: here, roles that it
// does not have.
func TestWebhookRolesAtTheNextRequest(t *testing.T) {
	a := newApp(t, webhooks)
	a.receivesWebhooks()
	b := a.browser()
	b.signIn("/dashboard/", idxtest.Grace)
	b.open("/admin").want(t, 403, "role_missing")
	a.hub.UpdateUser(idxtest.Grace.Email, func(u *idxtest.User) { u.Roles = []string{"admin"} })
	a.hub.WaitWebhooks()
	b.open("/admin").want(t, 200, "user")
	a.hub.UpdateUser(idxtest.Grace.Email, func(u *idxtest.User) { u.Roles = nil })
	a.hub.WaitWebhooks()
	b.open("/admin").want(t, 403, "role_missing")
	calls := len(a.hub.Requests())
	b.open("/admin").want(t, 403, "role_missing")
	if n := len(a.hub.Requests()) - calls; n != 0 {
		t.Errorf("%d calls without a change", n)
	}
}

// Twice, again later, on the other instance: one effect.
func TestWebhookReplay(t *testing.T) {
	told := new(hooked)
	a := newApp(t, told.config)
	wire := a.receivesWebhooks()
	b := a.browser()
	b.signIn("/dashboard/", idxtest.Ada)
	a.hub.WaitWebhooks()
	told.take()

	a.hub.Set(func(s *idxtest.Settings) { s.WebhookFault = idxtest.WebhookTwice })
	a.hub.SendWebhook(idx.EventResetPassword, idxtest.Ada.Email)
	sent := a.hub.WaitWebhooks()
	a.hub.Set(func(s *idxtest.Settings) { s.WebhookFault = "" })
	if last := sent[len(sent)-2:]; last[0].Status != 200 || last[1].Status != 200 {
		t.Errorf("answers: %v", last)
	}
	if got := told.take(); len(got) != 1 {
		t.Errorf("the application was told of %v", got)
	}
	b.open("/dashboard/").want(t, 200, "user") // in silence
	old := slices.DeleteFunc(wire.copies.all(), func(h sentHook) bool { return !bytes.Contains(h.body, []byte("resetpassword")) })
	if len(old) != 2 {
		t.Fatalf("%d webhooks about the password, want it twice", len(old))
	}
	a.send(old[0].body, old[0].signature).want(t, 200, "")
	b.step(b.request("GET", "/dashboard/")).want(t, 200, "user") // nobody is signed out by old news
}

func TestWebhookReplayAtAnotherInstance(t *testing.T) {
	told := new(hooked)
	store := session.NewMemory()
	a := newApp(t, told.config, func(c *middleware.Config) { c.Store = store })
	cfg := middleware.Config{IDX: a.hub.Config(), BaseURL: a.origin, Store: store}
	told.config(&cfg)
	other := middleware.Must(middleware.New(cfg))
	defer other.Close()
	wire := a.receivesWebhooks()
	a.hub.SendWebhook(idx.EventResetPassword, idxtest.Ada.Email)
	a.hub.WaitWebhooks()
	sent := wire.copies.all()[0]
	r, err := http.NewRequest("POST", "/auth/webhook", bytes.NewReader(sent.body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Signature", sent.signature)
	w := httptest.NewRecorder()
	if other.Handler().ServeHTTP(w, r); w.Code != 200 {
		t.Errorf("answered %d", w.Code)
	}
	if got := told.take(); len(got) != 1 {
		t.Errorf("the application was told of %v", got)
	}
}

func TestWebhooksThatAreRefused(t *testing.T) {
	told := new(hooked)
	a := newApp(t, told.config)
	a.receivesWebhooks()
	b := a.browser()
	b.signIn("/dashboard/", idxtest.Ada)
	a.hub.WaitWebhooks()
	told.take()
	for fault, want := range map[idxtest.WebhookFault]int{
		idxtest.WebhookForged: 401, idxtest.WebhookOld: 400, idxtest.WebhookMalformed: 400,
	} {
		a.hub.Set(func(s *idxtest.Settings) { s.WebhookFault = fault })
		a.hub.SendWebhook(idx.EventBlockAccount, idxtest.Ada.Email)
		sent := a.hub.WaitWebhooks()
		if last := sent[len(sent)-1]; last.Status != want {
			t.Errorf("%s: answered %d, want %d", fault, last.Status, want)
		}
	}
	at := func(d time.Duration) string {
		return fmt.Sprintf(`{"HookName":"blockaccount","HookId":%q,"Time":%q,"Data":{"Uid":%q}}`,
			d, time.Now().Add(d).UTC().Format(time.RFC3339), idxtest.Ada.UID)
	}
	for _, tt := range []struct {
		name, body string
		status     int
		reason     string
	}{
		{"an hour ahead", at(time.Hour), 400, "webhook_too_old"},
		{"31 minutes ago", at(-31 * time.Minute), 400, "webhook_too_old"},
		{"no webhook", `{"a":"b"}`, 400, "webhook_malformed"},
		{"no JSON", `hello`, 400, "webhook_malformed"},
		{"empty", ``, 400, "webhook_malformed"},
		{"too large", `{"x":"` + strings.Repeat("x", 300<<10) + `"}`, 413, "webhook_too_large"},
	} {
		got := a.signed(tt.body)
		got.want(t, tt.status, `"code":"`+tt.reason+`"`)
		if strings.Contains(got.body, "login") {
			t.Errorf("%s: a program is asked to sign in: %s", tt.name, got.body)
		}
	}
	a.send([]byte(at(0)), "").want(t, 401, "webhook_unsigned")
	b.step(b.request("GET", "/auth/webhook")).want(t, 405, "")
	if got := told.take(); len(got) != 0 {
		t.Errorf("the application was told of %v", got)
	}
	b.open("/dashboard/").want(t, 200, "user")
	// 29 minutes are not too many.
	if got := a.signed(at(-29 * time.Minute)); got.StatusCode != 200 {
		t.Errorf("29 minutes ago: %s", got.Status)
	}
	b.step(b.request("GET", "/dashboard/")).want(t, 302, "")
}

// In another order, or not at all: what counts is what the account says.
func TestWebhooksReorderedAndLost(t *testing.T) {
	timed(t, func(t *testing.T, a *app) {
		a.hub.Set(func(s *idxtest.Settings) {
			s.WebhookURL, s.WebhookTransport, s.WebhookFault = a.origin+"/auth/webhook", a.transport, idxtest.WebhookSwapped
		})
		b := a.browser()
		b.signIn("/dashboard/", idxtest.Grace)
		a.hub.UpdateUser(idxtest.Grace.Email, func(u *idxtest.User) { u.Roles = []string{"editor", "admin"} })
		a.hub.UpdateUser(idxtest.Grace.Email, func(u *idxtest.User) { u.Roles = []string{"editor"} })
		a.hub.WaitWebhooks()
		b.open("/admin").want(t, 403, "role_missing")

		a.hub.Set(func(s *idxtest.Settings) { s.WebhookFault = idxtest.WebhookLost })
		a.hub.UpdateUser(idxtest.Grace.Email, func(u *idxtest.User) { u.Blocked = true })
		a.hub.WaitWebhooks()
		b.open("/dashboard/").want(t, 200, "user")
		later(6 * time.Minute)
		b.open("/dashboard/")
		later(0)
		b.step(b.request("GET", "/dashboard/")).want(t, 302, "")
	}, webhooks)
}

// The pages of a marked session wait for the API once, and not at all while it is down.
func TestMarkedSessionWithTheAPIDown(t *testing.T) {
	timed(t, func(t *testing.T, a *app) {
		a.hub.Set(func(s *idxtest.Settings) {
			s.WebhookURL, s.WebhookTransport = a.origin+"/auth/webhook", a.transport
		})
		b := a.browser()
		b.signIn("/dashboard/", idxtest.Grace)
		a.hub.UpdateUser(idxtest.Grace.Email, func(u *idxtest.User) { u.Roles = []string{"admin"} })
		a.hub.WaitWebhooks()
		a.hub.SetFault(idxtest.Fault{Kind: idxtest.ServerError})
		b.open("/").want(t, 200, "user") // public pages wait for nobody
		later(0)
		b.open("/admin").want(t, 403, "role_missing")
		calls := len(a.hub.Requests())
		for range 10 {
			b.open("/dashboard/").want(t, 200, "user")
		}
		if n := len(a.hub.Requests()) - calls; n > 3 { // one reading, with retries
			t.Errorf("ten pages made %d calls to an API that is down", n)
		}
		a.hub.ClearFault()
		later(time.Minute)
		b.open("/admin") // in the background
		later(0)
		b.open("/admin").want(t, 200, "user")
	}, webhooks)
}

// A reading that began before a change, and ends after the next one, undoes nothing.
func TestWebhookDuringAReading(t *testing.T) {
	p := new(slow)
	timed(t, func(t *testing.T, a *app) {
		a.hub.Set(func(s *idxtest.Settings) {
			s.WebhookURL, s.WebhookTransport = a.origin+"/auth/webhook", a.transport
		})
		b := a.browser()
		b.signIn("/dashboard/", idxtest.Grace)
		later(6 * time.Minute)
		p.slow.Store(true) // the answer of before takes five seconds
		b.open("/dashboard/")
		later(time.Second)
		p.slow.Store(false)
		a.hub.UpdateUser(idxtest.Grace.Email, func(u *idxtest.User) { u.Roles = []string{"admin"} })
		a.hub.WaitWebhooks()
		b.open("/admin").want(t, 200, "user")
		later(time.Minute)
		b.open("/admin").want(t, 200, "user")
	}, webhooks, func(c *middleware.Config) {
		client, err := idx.New(c.IDX)
		if err != nil {
			t.Fatal(err)
		}
		p.Client = client
		c.Provider = p
	})
}

// slow is a hosted login whose API says, while slow is set, five seconds later what it
// knew.
type slow struct {
	*idx.Client
	slow atomic.Bool
}

func (p *slow) Account(ctx context.Context, uid string) (*idx.Profile, error) {
	isSlow := p.slow.Load()
	profile, err := p.Client.Account(ctx, uid)
	if isSlow {
		time.Sleep(5 * time.Second) // of a bubble's time
	}
	return profile, err
}

// A public page shows the old copy once more, and has it read.
func TestMarkedSessionOnPublicPages(t *testing.T) {
	timed(t, func(t *testing.T, a *app) {
		a.hub.Set(func(s *idxtest.Settings) {
			s.WebhookURL, s.WebhookTransport = a.origin+"/auth/webhook", a.transport
		})
		b := a.browser()
		b.signIn("/dashboard/", idxtest.Grace)
		a.hub.UpdateUser(idxtest.Grace.Email, func(u *idxtest.User) { u.Email = "hopper@example.com" })
		a.hub.WaitWebhooks()
		b.open("/").want(t, 200, "user "+idxtest.Grace.Email)
		later(0)
		b.open("/").want(t, 200, "user hopper@example.com")
	}, webhooks)
}

// flaky is a store that does not answer while it is down.
type flaky struct {
	session.Store
	down atomic.Bool
}

var errDown = errors.New("store is down")

func (f *flaky) Claim(ctx context.Context, space, name string, value []byte, ttl time.Duration) ([]byte, error) {
	if f.down.Load() {
		return nil, errDown
	}
	return f.Store.Claim(ctx, space, name, value, ttl)
}

// A store that fails after the claim.
type failsLate struct {
	session.Store
	down atomic.Bool
}

func (f *failsLate) DeleteUser(ctx context.Context, k session.Key, keep string) ([]string, error) {
	if f.down.Load() {
		return nil, errDown
	}
	return f.Store.DeleteUser(ctx, k, keep)
}

// LoginRadius may not send a webhook again, so we try again ourselves.
func TestWebhookWithTheStoreDown(t *testing.T) {
	claims, deletes := &flaky{Store: session.NewMemory()}, &failsLate{Store: session.NewMemory()}
	for _, tt := range []struct {
		name  string
		store session.Store
		down  *atomic.Bool
	}{
		{"before the claim", claims, &claims.down},
		{"after the claim", deletes, &deletes.down},
	} {
		t.Run(tt.name, func(t *testing.T) {
			told := new(hooked)
			timed(t, func(t *testing.T, a *app) {
				b := a.browser()
				b.signIn("/dashboard/", idxtest.Ada)
				tt.down.Store(true)
				got := a.signed(hookAbout("resetpassword", idxtest.Ada.UID))
				got.want(t, 503, "store_unavailable")
				if got.Header.Get("Retry-After") == "" {
					t.Error("no Retry-After")
				}
				later(10 * time.Second)
				b.open("/dashboard/").want(t, 200, "user")
				tt.down.Store(false)
				later(2 * time.Second)
				b.step(b.request("GET", "/dashboard/")).want(t, 302, "")
				if got := told.take(); len(got) != 1 {
					t.Errorf("the application was told of %v", got)
				}
			}, told.config, func(c *middleware.Config) { c.Store = tt.store })
		})
	}
}

// After a minute the next reading of the account has to do.
func TestWebhookWithTheStoreDownForLong(t *testing.T) {
	store := &failsLate{Store: session.NewMemory()}
	timed(t, func(t *testing.T, a *app) {
		b := a.browser()
		b.signIn("/dashboard/", idxtest.Ada)
		store.down.Store(true)
		a.signed(hookAbout("resetpassword", idxtest.Ada.UID)).want(t, 503, "store_unavailable")
		later(2 * time.Minute)
		store.down.Store(false)
		later(time.Minute)
		b.open("/dashboard/").want(t, 200, "user")
		if log := a.log.String(); !strings.Contains(log, "webhook without effect") {
			t.Errorf("the log does not say so:\n%s", log)
		}
	}, webhooks, func(c *middleware.Config) { c.Store = store })
}

// One that names no account is for the application alone.
func TestWebhookAboutNobody(t *testing.T) {
	told := new(hooked)
	a := newApp(t, told.config)
	a.signed(hookAbout("blockaccount", "")).want(t, 200, "")
	if got := told.take(); !slices.Equal(got, []idx.Event{idx.EventBlockAccount}) {
		t.Errorf("the application was told of %v", got)
	}
}

// hookAbout is the body of a webhook of this moment.
func hookAbout(event, uid string) string {
	return fmt.Sprintf(`{"HookName":%q,"HookId":"1","Time":%q,"Data":{"Uid":%q}}`, event, time.Now().UTC().Format(time.RFC3339), uid)
}

// One line a webhook, with nothing of its body.
func TestWebhookLog(t *testing.T) {
	a := newApp(t, webhooks)
	wire := a.receivesWebhooks()
	a.hub.SendWebhook(idx.EventUpdateProfile, idxtest.Ada.Email)
	a.hub.SendWebhook("SecretNovelty", idxtest.Ada.Email)
	a.hub.Set(func(s *idxtest.Settings) { s.WebhookFault = idxtest.WebhookForged })
	a.hub.SendWebhook(idx.EventBlockAccount, idxtest.Ada.Email)
	a.hub.WaitWebhooks()
	log := a.log.String()
	if n := strings.Count(log, "idxauth: webhook"); n != 2 {
		t.Errorf("%d lines, want 2:\n%s", n, log)
	}
	for _, want := range []string{"idx.Webhook(UpdateProfile)", "outcome=marked", "webhook_unsigned"} {
		if !strings.Contains(log, want) {
			t.Errorf("the log lacks %q:\n%s", want, log)
		}
	}
	for _, secret := range []string{idxtest.Ada.Email, idxtest.Ada.UID, "Lovelace", "Password", "Novelty", wire.copies.all()[0].signature} {
		if strings.Contains(log, secret) {
			t.Errorf("the log shows %q:\n%s", secret, log)
		}
	}
}

// A webhook that has had no effect is no repetition when it is sent again, to whichever
// instance: the one that had begun with it may have been stopped.
func TestWebhookAgainThatHadNoEffect(t *testing.T) {
	store := &failsLate{Store: session.NewMemory()}
	change := []func(*middleware.Config){webhooks, func(c *middleware.Config) { c.Store = store }}
	for _, stops := range []bool{true, false} {
		t.Run(fmt.Sprintf("the instance stops: %t", stops), func(t *testing.T) {
			timed(t, func(t *testing.T, a *app) {
				other := newTimedApp(t, a.hub, change...)
				defer other.auth.Close()
				b := a.browser()
				b.signIn("/dashboard/", idxtest.Ada)
				body := hookAbout("resetpassword", idxtest.Ada.UID)
				store.down.Store(true)
				a.signed(body).want(t, 503, "store_unavailable")
				if stops {
					a.auth.Close()
				}
				later(2 * time.Minute) // nobody tries any more
				store.down.Store(false)
				other.signed(body).want(t, 200, "")
				left, err := other.auth.Sessions().List(t.Context(), idxtest.Ada.UID)
				if err != nil || len(left) > 0 {
					t.Errorf("%d sessions left, %v", len(left), err)
				}
			}, change...)
		})
	}
}

// One that comes again while another instance is at work on it is not taken for done.
func TestWebhookAgainWhileItIsTried(t *testing.T) {
	store := &failsLate{Store: session.NewMemory()}
	change := []func(*middleware.Config){webhooks, func(c *middleware.Config) { c.Store = store }}
	timed(t, func(t *testing.T, a *app) {
		other := newTimedApp(t, a.hub, change...)
		defer other.auth.Close()
		body := hookAbout("resetpassword", idxtest.Ada.UID)
		store.down.Store(true)
		a.signed(body).want(t, 503, "store_unavailable")
		other.signed(body).want(t, 503, "store_unavailable")
		store.down.Store(false)
		later(2 * time.Second)
		other.signed(body).want(t, 200, "")
	}, change...)
}

// Of those that are too many to be tried again the log tells.
func TestWebhooksBeyondThoseThatAreTriedAgain(t *testing.T) {
	store := &failsLate{Store: session.NewMemory()}
	timed(t, func(t *testing.T, a *app) {
		store.down.Store(true)
		for i := range 300 {
			body := strings.Replace(hookAbout("resetpassword", idxtest.Ada.UID), `"HookId":"1"`, fmt.Sprintf(`"HookId":"%d"`, i), 1)
			a.signed(body).want(t, 503, "store_unavailable")
		}
		if log := a.log.String(); !strings.Contains(log, "webhook without effect") {
			t.Error("webhooks were given up, and no line says so")
		}
		store.down.Store(false)
		later(2 * time.Second)
	}, webhooks, func(c *middleware.Config) { c.Store = store })
}

// losesAnswer is a store whose answer to the next swaps of webhooks is lost.
type losesAnswer struct {
	session.Store
	lose atomic.Bool
}

func (s *losesAnswer) Swap(ctx context.Context, space, name string, old, value []byte, ttl time.Duration) (bool, error) {
	ok, err := s.Store.Swap(ctx, space, name, old, value, ttl)
	if s.lose.Swap(false) {
		return false, errDown
	}
	return ok, err
}

// The answer of the store is lost that says that a webhook has had its effect: the
// application hears of it all the same.
func TestWebhookWhoseEffectIsNotConfirmed(t *testing.T) {
	told := new(hooked)
	store := &losesAnswer{Store: session.NewMemory()}
	timed(t, func(t *testing.T, a *app) {
		store.lose.Store(true)
		a.signed(hookAbout("resetpassword", idxtest.Ada.UID)).want(t, 503, "")
		later(5 * time.Second)
		if got := told.take(); len(got) != 1 {
			t.Errorf("the application was told of %v, want one\n%s", got, a.log.String())
		}
	}, told.config, func(c *middleware.Config) { c.Store = store })
}

// takesTime is a store that takes its time to end the sessions of a user.
type takesTime struct {
	session.Store
	time atomic.Int64
}

func (f *takesTime) DeleteUser(ctx context.Context, k session.Key, keep string) ([]string, error) {
	time.Sleep(time.Duration(f.time.Load()))
	return f.Store.DeleteUser(ctx, k, keep)
}

// Two deliveries at the same time: nothing is wrong.
func TestWebhookTwiceAtTheSameTime(t *testing.T) {
	told := new(hooked)
	store := &takesTime{Store: session.NewMemory()}
	store.time.Store(int64(50 * time.Millisecond))
	var faults atomic.Int32
	timed(t, func(t *testing.T, a *app) {
		body := hookAbout("resetpassword", idxtest.Ada.UID)
		go a.signed(body)
		later(10 * time.Millisecond)
		a.signed(body).want(t, 200, "")
		later(5 * time.Second)
		if n := faults.Load(); n > 0 || strings.Contains(a.log.String(), "level=ERROR") {
			t.Errorf("OnError %d times:\n%s", n, a.log.String())
		}
	}, told.config, func(c *middleware.Config) {
		c.Store = store
		c.Hooks.OnError = func(context.Context, middleware.Problem) { faults.Add(1) }
	})
}

// Nor is anything lost if the process stops then.
func TestWebhookTwiceThenClose(t *testing.T) {
	store := &takesTime{Store: session.NewMemory()}
	store.time.Store(int64(50 * time.Millisecond))
	timed(t, func(t *testing.T, a *app) {
		body := hookAbout("resetpassword", idxtest.Ada.UID)
		go a.signed(body)
		later(10 * time.Millisecond)
		a.signed(body)
		later(100 * time.Millisecond)
		a.auth.Close()
		if strings.Contains(a.log.String(), "without effect") {
			t.Errorf("had its effect, but:\n%s", a.log.String())
		}
	}, webhooks, func(c *middleware.Config) { c.Store = store })
}

// Where a slow try outlasts its claim and another delivery begins, the application hears of
// it once.
func TestWebhookThatOutlastsItsClaim(t *testing.T) {
	told := new(hooked)
	store := &takesTime{Store: session.NewMemory()}
	late := &failsLate{Store: store}
	timed(t, func(t *testing.T, a *app) {
		body := hookAbout("resetpassword", idxtest.Ada.UID)
		late.down.Store(true)
		go a.signed(body)
		later(13500 * time.Millisecond)
		store.time.Store(int64(3 * time.Second))
		late.down.Store(false)
		later(2 * time.Second)
		a.signed(body)
		later(20 * time.Second)
		if got := told.take(); len(got) != 1 {
			t.Errorf("the application was told of %v, want one", got)
		}
	}, told.config, func(c *middleware.Config) { c.Store = late })
}
