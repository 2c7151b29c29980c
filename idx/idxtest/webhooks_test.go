package idxtest_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/idxauth/idxauth/idx"
	"github.com/idxauth/idxauth/idx/idxtest"
)

// receiver is an application that takes webhooks.
type receiver struct {
	client *idx.Client

	mu sync.Mutex
	received
}

// received is what has come.
type received struct {
	hooks  []*idx.Webhook
	errs   []error
	bodies []string
	header http.Header // of the last one
}

// soFar returns a copy.
func (rec *receiver) soFar() received {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	return received{slices.Clone(rec.hooks), slices.Clone(rec.errs), slices.Clone(rec.bodies), rec.header.Clone()}
}

// newReceiver starts one, and lets srv send its webhooks there.
func newReceiver(t *testing.T, srv *idxtest.Server) *receiver {
	t.Helper()
	client, err := idx.New(srv.Config())
	if err != nil {
		t.Fatal(err)
	}
	rec := &receiver{client: client}
	app := httptest.NewServer(rec)
	t.Cleanup(app.Close)
	srv.SetWebhook(app.URL + "/hooks")
	return rec
}

func (rec *receiver) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(err)
	}
	r.Body = io.NopCloser(strings.NewReader(string(body)))
	hook, err := rec.client.ParseWebhook(r)
	rec.mu.Lock()
	defer rec.mu.Unlock()
	rec.bodies, rec.header = append(rec.bodies, string(body)), r.Header
	if err != nil {
		rec.errs = append(rec.errs, err)
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	rec.hooks = append(rec.hooks, hook)
	w.WriteHeader(http.StatusNoContent)
}

func (rec received) events() []idx.Event {
	var events []idx.Event
	for _, hook := range rec.hooks {
		events = append(events, hook.Event)
	}
	return events
}

func TestWebhookEvents(t *testing.T) {
	update := func(change func(*idxtest.User)) func(*browser) {
		return func(b *browser) { b.srv.UpdateUser(idxtest.Grace.Email, change) }
	}
	const registration = `{"Email":[{"Type":"Primary","Value":"n@example.com"}],"Password":"sesame-open"}`
	for _, tt := range []struct {
		name string
		do   func(b *browser)
		want []idx.Event
	}{
		{"login on the page", func(b *browser) { b.login(page("login"), idxtest.Grace.Email) }, []idx.Event{idx.EventLogin}},
		{"login that fails", func(b *browser) { b.post(page("login"), "email", idxtest.Grace.Email, "password", "x") }, nil},
		{"blocked user", func(b *browser) { b.login(page("login"), idxtest.Mallory.Email) }, nil},
		{"silent return", func(b *browser) {
			b.login(page("login"), idxtest.Grace.Email)
			b.get(page("login"))
		}, []idx.Event{idx.EventLogin}},
		{"login by the API", func(b *browser) {
			newAPI(b.t, b.srv).call("POST", authPath+"login", `{"email":"grace@example.com","password":"`+idxtest.Password+`"}`)
		}, []idx.Event{idx.EventLogin}},
		{"token from another app", func(b *browser) { b.srv.IssueToken(idxtest.Grace.UID) }, []idx.Event{idx.EventLogin}},
		{"registration, verification", func(b *browser) {
			b.post(page("register"), "email", "n@example.com", "password", "sesame-open")
			newBrowser(b.t, b.srv).get(lastLink(b.t, b.srv, "n@example.com"))
		}, []idx.Event{idx.EventRegister, idx.EventEmailVerification, idx.EventLogin}},
		{"registration by the API", func(b *browser) {
			newAPI(b.t, b.srv).call("POST", authPath+"register?sott=x", registration)
		}, []idx.Event{idx.EventRegister}},
		{"account by the API", func(b *browser) { newAPI(b.t, b.srv).call("POST", managePath, registration) }, []idx.Event{idx.EventRegister}},
		{"forgotten password", func(b *browser) {
			b.post(page("forgotpassword"), "email", idxtest.Grace.Email)
			b.post(lastLink(b.t, b.srv, idxtest.Grace.Email), "newpassword", "another-sesame")
		}, []idx.Event{idx.EventResetPassword}},
		{"profile page", func(b *browser) {
			b.login(page("login"), idxtest.Grace.Email)
			b.post("/profile.aspx", "firstname", "Grace")
		}, []idx.Event{idx.EventLogin, idx.EventUpdateProfile}},
		{"profile by the API", func(b *browser) {
			token := string(b.srv.IssueToken(idxtest.Grace.Email))
			newAPI(b.t, b.srv).call("PUT", authPath+"account?access_token="+token, `{"FirstName":"G"}`)
		}, []idx.Event{idx.EventLogin, idx.EventUpdateProfile}},
		{"deletion by the API", func(b *browser) {
			newAPI(b.t, b.srv).call("DELETE", managePath+"/"+idxtest.Grace.UID, "")
		}, []idx.Event{idx.EventDeleteAccount}},

		{"new user of a test", func(b *browser) { b.srv.AddUser(idxtest.User{Email: "n@example.com"}) }, nil},
		{"no change", update(func(*idxtest.User) {}), nil},
		{"block", update(func(u *idxtest.User) { u.Blocked = true }), []idx.Event{idx.EventBlockAccount}},
		{"delete", update(func(u *idxtest.User) { u.Deleted = true }), []idx.Event{idx.EventDeleteAccount}},
		{"password", update(func(u *idxtest.User) { u.Password = "x" }), []idx.Event{idx.EventSetPassword}},
		{"more roles", update(func(u *idxtest.User) { u.Roles = append(u.Roles, "admin") }), []idx.Event{idx.EventAssignRoles}},
		{"fewer roles", update(func(u *idxtest.User) { u.Roles = nil }), []idx.Event{idx.EventUnassignRoles}},
		{"other roles", update(func(u *idxtest.User) { u.Roles[0] = "admin" }), []idx.Event{idx.EventAssignRoles, idx.EventUnassignRoles}},
		{"address no longer verified", update(func(u *idxtest.User) { u.EmailVerified = false }), []idx.Event{idx.EventInvalidateEmailVerification}},
		{"phone", update(func(u *idxtest.User) { u.Phone = "1906" }), []idx.Event{idx.EventUpdatePhoneID}},
		{"name and address", update(func(u *idxtest.User) { u.FirstName, u.Email = "G", "g@example.com" }), []idx.Event{idx.EventUpdateProfile}},
		{"custom fields", update(func(u *idxtest.User) { u.CustomFields = map[string]string{"a": "b"} }), []idx.Event{idx.EventUpdateProfile}},
		{"id", update(func(u *idxtest.User) { u.UID = "another" }), []idx.Event{idx.EventUpdateUID}},
		{"unblock", func(b *browser) {
			b.srv.UpdateUser(idxtest.Mallory.Email, func(u *idxtest.User) { u.Blocked = false })
		}, []idx.Event{idx.EventUpdateProfile}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			srv := idxtest.NewServer(t)
			app := newReceiver(t, srv)
			tt.do(newBrowser(t, srv))
			sent := srv.WaitWebhooks()
			rec := app.soFar()
			if got := rec.events(); !slices.Equal(got, tt.want) || len(rec.errs) > 0 {
				t.Errorf("got events %v and errors %v, want %v", got, rec.errs, tt.want)
			}
			for i, hook := range sent {
				if want := (idxtest.Webhook{Event: tt.want[i], UID: rec.hooks[i].UID, Status: 204}); hook != want {
					t.Errorf("sent %+v, want %+v", hook, want)
				}
			}
		})
	}
}

func TestWebhookBody(t *testing.T) {
	srv := idxtest.NewServer(t)
	app := newReceiver(t, srv)
	srv.SendWebhook(idx.EventChangePassword, idxtest.Ada.Email)
	srv.SendWebhook(idx.EventDeleteAccount, idxtest.Ada.UID)
	srv.SendWebhook(idx.EventRemoveEmail, idxtest.Ada.Email)
	srv.SendWebhook(idx.EventDeleteCustomObject, idxtest.Ada.Email)
	srv.SendWebhook("Novelty", idxtest.Ada.Email)
	srv.WaitWebhooks()
	rec := app.soFar()
	if len(rec.hooks) != 5 || len(rec.errs) > 0 {
		t.Fatalf("got webhooks %v, errors %v; want 5 and none", rec.hooks, rec.errs)
	}
	ids := map[string]bool{}
	for _, hook := range rec.hooks {
		ids[hook.ID] = true
		if hook.UID != idxtest.Ada.UID || time.Since(hook.Time).Abs() > time.Minute || (hook.Profile == nil) != (hook.Event == idx.EventDeleteCustomObject) {
			t.Errorf("%v: got UID %q, Time %v, profile %v; want Ada's, now", hook, hook.UID, hook.Time, hook.Profile)
		}
	}
	if len(ids) != 5 {
		t.Errorf("got ids %v, want 5 different ones", ids)
	}
	if last := rec.hooks[4].Event; last != "novelty" {
		t.Errorf("unknown event: got %q, want it in lower case", last)
	}

	if form := regexp.MustCompile(`^[0-9A-F]{64}$`); !form.MatchString(rec.header.Get("signature")) || !strings.HasPrefix(rec.header.Get("Content-Type"), "application/json") {
		t.Errorf("got header %v, want a signature in upper case, and JSON", rec.header)
	}
	if start := regexp.MustCompile(`^\{"HookName":"changepassword","Time":"[0-9-]{10}T[0-9:]{8}Z","HookId":"[0-9a-f-]{36}","Data":\{`); !start.MatchString(rec.bodies[0]) {
		t.Errorf("got body %.150s, want it as in the samples", rec.bodies[0])
	}
	var body struct{ Data map[string]any }
	if err := json.Unmarshal([]byte(rec.bodies[0]), &body); err != nil {
		t.Fatal(err)
	}
	if hash, _ := body.Data["Password"].(string); hash == "" || strings.Contains(rec.bodies[0], idxtest.Password) {
		t.Errorf("Password: got %q, want a hash, and the password itself nowhere", hash)
	}
	for key, want := range map[string]any{"Gender": nil, "LoginLockedType": 0.0, "IsActive": true, "LastLoginDate": "0001-01-01T00:00:00Z"} {
		if got, ok := body.Data[key]; !ok || got != want {
			t.Errorf("%s: got %v (there: %t), want %v", key, got, ok, want)
		}
	}
	if _, ok := body.Data["Roles"]; ok {
		t.Error("Data has roles, and the samples have none")
	}
}

func TestWebhookFaults(t *testing.T) {
	const first, second, third = idx.EventBlockAccount, idx.EventDeleteAccount, idx.EventLogin
	for _, tt := range []struct {
		fault idxtest.WebhookFault
		want  []idx.Event
		err   error
	}{
		{"", []idx.Event{first, second, third}, nil},
		{idxtest.WebhookLost, nil, nil},
		{idxtest.WebhookTwice, []idx.Event{first, first, second, second, third, third}, nil},
		{idxtest.WebhookSwapped, []idx.Event{second, first, third}, nil},
		{idxtest.WebhookOld, []idx.Event{first, second, third}, nil},
		{idxtest.WebhookForged, nil, idx.ErrWebhookSignature},
		{idxtest.WebhookMalformed, nil, idx.ErrWebhookMalformed},
	} {
		t.Run(string(tt.fault), func(t *testing.T) {
			srv := idxtest.NewServer(t)
			app := newReceiver(t, srv)
			srv.Set(func(set *idxtest.Settings) { set.WebhookFault = tt.fault })
			for _, event := range []idx.Event{first, second, third} {
				srv.SendWebhook(event, idxtest.Ada.Email)
			}
			srv.WaitWebhooks()
			rec := app.soFar()
			if got := rec.events(); !slices.Equal(got, tt.want) {
				t.Errorf("got events %v, want %v", got, tt.want)
			}
			for _, err := range rec.errs {
				if !errors.Is(err, tt.err) {
					t.Errorf("got error %v, want %v", err, tt.err)
				}
			}
			if refused := len(rec.errs); refused != 0 && tt.err == nil || refused != 3 && tt.err != nil {
				t.Errorf("%d were refused: %v", refused, rec.errs)
			}
			for i, hook := range rec.hooks {
				if isOld := time.Since(hook.Time) > 59*time.Minute; isOld != (tt.fault == idxtest.WebhookOld) {
					t.Errorf("%v: got Time %v", hook, hook.Time)
				}
				if tt.fault == idxtest.WebhookTwice && i%2 == 1 && !reflect.DeepEqual(hook, rec.hooks[i-1]) {
					t.Errorf("%v: the second one differs", hook)
				}
			}
		})
	}
}

// One that is held back goes out when its fault is over, too.
func TestWebhookHeldBack(t *testing.T) {
	srv := idxtest.NewServer(t)
	rec := newReceiver(t, srv)
	srv.Set(func(set *idxtest.Settings) { set.WebhookFault = idxtest.WebhookSwapped })
	srv.SendWebhook(idx.EventBlockAccount, idxtest.Ada.Email)
	srv.Set(func(set *idxtest.Settings) { set.WebhookFault = "" })
	srv.SendWebhook(idx.EventLogin, idxtest.Ada.Email)
	srv.WaitWebhooks()
	if got, want := rec.soFar().events(), []idx.Event{idx.EventLogin, idx.EventBlockAccount}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// Whatever the answer, there is no second attempt.
func TestWebhookIsSentOnce(t *testing.T) {
	for _, tt := range []struct {
		name   string
		answer func(http.ResponseWriter, *http.Request)
		status int
	}{
		{"failure", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(500) }, 500},
		{"redirect", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
		}, 307},
		{"no answer", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, 0},
	} {
		srv := idxtest.NewServer(t)
		app := httptest.NewServer(http.HandlerFunc(tt.answer))
		defer app.Close()
		srv.SetWebhook(app.URL)
		srv.SendWebhook(idx.EventLogin, idxtest.Ada.Email)
		want := []idxtest.Webhook{{Event: idx.EventLogin, UID: idxtest.Ada.UID, Status: tt.status}}
		if got := srv.WaitWebhooks(); !slices.Equal(got, want) {
			t.Errorf("%s: sent %+v, want %+v", tt.name, got, want)
		}
	}
	srv := idxtest.NewServer(t)
	for _, address := range []string{"http://127.0.0.1:1/", "no URL", "http://%zz"} {
		srv.SetWebhook(address)
		srv.SendWebhook(idx.EventLogin, idxtest.Ada.Email)
		if got := srv.WaitWebhooks(); got[len(got)-1].Status != 0 {
			t.Errorf("%s: sent %+v, want no answer", address, got)
		}
	}
}

func TestNoWebhookURL(t *testing.T) {
	srv := idxtest.NewServer(t)
	srv.IssueToken(idxtest.Ada.Email)
	if sent := srv.WaitWebhooks(); len(sent) != 0 {
		t.Errorf("sent %+v, want nothing", sent)
	}
	defer func() {
		if recover() == nil {
			t.Error("SendWebhook to nowhere did not panic")
		}
	}()
	srv.SendWebhook(idx.EventLogin, idxtest.Ada.Email)
}

// roundTripper is an application without a network.
type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// deaf never answers, and tells about each webhook that reaches it.
func deaf(reached chan<- struct{}) roundTripper {
	return func(r *http.Request) (*http.Response, error) {
		reached <- struct{}{}
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
}

func TestWebhookReceiverHasFiveSeconds(t *testing.T) {
	srv := idxtest.NewServer(t)
	synctest.Test(t, func(t *testing.T) {
		srv.Set(func(set *idxtest.Settings) {
			set.WebhookURL, set.WebhookTransport = "https://app.example/hooks", deaf(make(chan struct{}, 2))
		})
		start := time.Now()
		srv.SendWebhook(idx.EventLogin, idxtest.Ada.Email)
		srv.SendWebhook(idx.EventLogin, idxtest.Ada.Email)
		if got := srv.WaitWebhooks(); len(got) != 2 || time.Since(start) != 10*time.Second {
			t.Errorf("sent %+v in %v, want two without answer in 10 s", got, time.Since(start))
		}
	})
}

func TestCloseEndsWebhooks(t *testing.T) {
	srv := idxtest.NewServer(t)
	reached := make(chan struct{}, 2000)
	srv.Set(func(set *idxtest.Settings) {
		set.WebhookURL, set.WebhookTransport = "https://app.example/hooks", deaf(reached)
	})
	srv.SendWebhook(idx.EventLogin, idxtest.Ada.Email)
	srv.SendWebhook(idx.EventLogin, idxtest.Ada.Email)
	<-reached
	srv.Close() // returns at once, or the test is late by 5 s
	srv.SendWebhook(idx.EventLogin, idxtest.Ada.Email)
	sent := srv.WaitWebhooks()
	if len(sent) != 1 || sent[0].Status != 0 || len(reached) != 0 {
		t.Errorf("sent %+v and %d after Close, want the one that was cut", sent, len(reached))
	}
}

func TestPendingWebhooksAreBounded(t *testing.T) {
	srv := idxtest.NewServer(t)
	reached, goOn := make(chan struct{}, 2000), make(chan struct{})
	srv.Set(func(set *idxtest.Settings) {
		set.WebhookURL = "https://app.example/hooks"
		set.WebhookTransport = roundTripper(func(r *http.Request) (*http.Response, error) {
			reached <- struct{}{}
			<-goOn
			return nil, errors.New("no answer")
		})
	})
	srv.SendWebhook(idx.EventLogin, idxtest.Ada.Email)
	<-reached
	for range 1_100 {
		srv.SendWebhook(idx.EventLogin, idxtest.Ada.Email)
	}
	close(goOn)
	if got := len(srv.WaitWebhooks()); got != 1_001 {
		t.Errorf("sent %d, want the first and 1,000 that waited", got)
	}
}
