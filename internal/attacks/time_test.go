package attacks_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/idxauth/idxauth/idx"
	"github.com/idxauth/idxauth/idx/idxtest"
	"github.com/idxauth/idxauth/internal/redistest"
	"github.com/idxauth/idxauth/middleware"
	"github.com/idxauth/idxauth/session"
)

var requestID = regexp.MustCompile(`[A-Z2-7]{12}`)

// P1. Answers tell a guess that is nearly right from one that is wrong, in what they say or by
// which way they take. How long a comparison takes is not measured here, where the network
// would hide it: comparisons of secrets are those of crypto/hmac, look-ups are by hash.
func TestP1OracleOfAnswers(t *testing.T) {
	server := redistest.Start(t)
	a := newApp(t, onRedis(server), asksRedis, withWebhooks)
	owner := a.browser()
	owner.enter(idxtest.Ada)
	live := owner.session()
	owner.wantUser(idxtest.Ada)
	alike := func(what string, answers ...*answer) {
		t.Helper()
		shape := func(p *answer) string {
			at, _ := url.Parse(p.location())
			return fmt.Sprint(p.StatusCode, at.Host, at.Path, len(p.Cookies()), p.Header["Cache-Control"], p.Header["Vary"], requestID.ReplaceAllString(p.body, "…"))
		}
		for _, p := range answers[1:] {
			if shape(p) != shape(answers[0]) {
				t.Errorf("%s: answers differ:\n%s\n%s", what, shape(answers[0]), shape(p))
			}
		}
	}
	last := map[byte]string{'A': "Q"}[live[len(live)-1]]
	if last == "" {
		last = "A"
	}
	visit := func(token string) *answer {
		return a.browser().open("/dashboard/", "Cookie", a.auth.Sessions().CookieName()+"="+token)
	}
	alike("session tokens of the right form", visit(live[:len(live)-1]+last), visit(live[:2]+strings.Repeat("A", 43)), visit(strings.Repeat("A", 45)))
	b := a.browser()
	state := b.begin("/dashboard/")
	flip := func(s string, at int) string {
		c := byte('A')
		if s[at] == c {
			c = 'Q'
		}
		return s[:at] + string(c) + s[at+1:]
	}
	begins := strings.Index(state, "state=") + len("state=")
	alike("states", b.open(flip(state, begins)+"&token=x"), b.open(flip(state, begins+20)+"&token=x"), b.open(flip(state, len(state)-2)+"&token=x"))
	body := hook(idx.EventBlockAccount, idxtest.Ada, "1", time.Now(), "")
	good := signature(body, a.hub.Config().APISecret)
	other := func(at int) string { // not in another case, which would be the same signature
		digit := byte('0')
		if good[at] == digit {
			digit = '1'
		}
		return good[:at] + string(digit) + good[at+1:]
	}
	signed := func(sig string) *answer {
		return a.deliver("POST", body, http.Header{"Signature": {sig}})
	}
	alike("signatures", signed(other(0)), signed(other(63)), signed(strings.Repeat("0", 64)), signed("x"), signed(""))
	owner.wantUser(idxtest.Ada)
	for file, want := range map[string]string{"middleware/state.go": "hmac.Equal(", "idx/webhook.go": "hmac.Equal("} {
		goFiles(t, func(path, source string) {
			if path == file && !strings.Contains(source, want) {
				t.Errorf("%s does not compare with %s", path, want)
			}
		})
	}
}

// timed makes an application without a network for a synctest bubble, where time passes as
// the test sleeps.
func timed(t *testing.T, hub *idxtest.Server, change ...func(*middleware.Config)) *app {
	t.Helper()
	a := &app{t: t, origin: "https://app.example.com", hub: hub, store: session.NewMemory(), mux: http.NewServeMux(), log: new(logBuffer)}
	a.configure(append([]func(*middleware.Config){func(c *middleware.Config) {
		c.IDX.HTTPClient = &http.Client{Transport: within{"": hub.Handler()}}
	}}, change...))
	return a
}

// within answers requests by calling the handler of their host, "" is for all others.
type within map[string]http.Handler

func (hosts within) RoundTrip(req *http.Request) (*http.Response, error) {
	r := httptest.NewRequestWithContext(req.Context(), req.Method, req.URL.String(), req.Body)
	r.Header = req.Header.Clone()
	r.RequestURI = req.URL.RequestURI()
	w := httptest.NewRecorder()
	h := hosts[req.URL.Host]
	if h == nil {
		h = hosts[""]
	}
	h.ServeHTTP(w, r)
	resp := w.Result()
	resp.Request = req
	return resp, nil
}

func (a *app) timedBrowser() *browser {
	b := a.browser()
	b.client.Transport = within{"app.example.com": a.mux}
	return b
}

// P2. Clocks jump, and end: a session lives no longer by it, and nobody is signed out at the
// end of 32 bits (mod_auth_openidc wrapped in 2038).
func TestP2ClockJumps(t *testing.T) {
	hub := idxtest.NewServer(t)
	hub.Set(func(s *idxtest.Settings) { s.TokenLifetime = 100 * 365 * 24 * time.Hour })
	for name, test := range map[string]func(t *testing.T){
		"state": func(t *testing.T) {
			a := timed(t, hub)
			defer a.auth.Close()
			b := a.timedBrowser()
			back := b.ticket("/dashboard/", idxtest.Ada)
			time.Sleep(15*time.Minute + time.Second)
			got := b.open(back)
			got.wantHub(t, a)
			if b.session() != "" {
				t.Error("a state of 15 minutes ago made a session")
			}
			back = b.ticket("/dashboard/", idxtest.Ada)
			time.Sleep(14 * time.Minute)
			b.open(back).want(t, 303, "")
		},
		"limits": func(t *testing.T) {
			a := timed(t, hub, func(c *middleware.Config) {
				c.Session.Idle, c.Session.Absolute, c.Revalidate = time.Hour, 3*time.Hour, -1
			})
			defer a.auth.Close()
			idle, busy := a.timedBrowser(), a.timedBrowser()
			idle.enter(idxtest.Ada)
			busy.enter(idxtest.Grace)
			for range 5 {
				time.Sleep(30 * time.Minute)
				busy.wantUser(idxtest.Grace)
			}
			idle.wantStranger()
			time.Sleep(31 * time.Minute)
			busy.wantStranger()
		},
		"2038": func(t *testing.T) {
			a := timed(t, hub, func(c *middleware.Config) { c.Revalidate = -1 })
			defer a.auth.Close()
			for _, end := range []time.Time{time.Unix(1<<31, 0), time.Date(2099, 12, 31, 23, 59, 59, 0, time.UTC)} {
				time.Sleep(time.Until(end) - 5*time.Minute)
				b, late := a.timedBrowser(), a.timedBrowser()
				b.enter(idxtest.Ada)
				back := late.ticket("/dashboard/", idxtest.Grace)
				time.Sleep(10 * time.Minute)
				b.wantUser(idxtest.Ada)
				late.open(back).want(t, 303, "")
				late.wantUser(idxtest.Grace)
				time.Sleep(7 * 24 * time.Hour)
				b.wantStranger()
			}
		},
	} {
		t.Run(name, func(t *testing.T) { synctest.Test(t, test) })
	}
	t.Run("the clock of Redis", func(t *testing.T) {
		// Redis keeps a record that our clock calls over: the deadline is in it, and counts.
		server := redistest.Start(t)
		a := newApp(t, onRedis(server), asksRedis, func(c *middleware.Config) {
			c.Session.Absolute, c.Session.Idle = 5*time.Second, -1
		})
		b := a.browser()
		b.enter(idxtest.Ada)
		for _, key := range keys(t, server) {
			// As one whose clock is behind.
			if err := server.Patient().PExpire(t.Context(), key, time.Hour).Err(); err != nil {
				t.Fatal(err)
			}
		}
		b.wantUser(idxtest.Ada)
		redistest.Eventually(t, "the deadline has passed", func() bool { return b.open("/dashboard/").StatusCode == 302 })
	})
}

// P3. A nonce is used twice under one key, or something random repeats.
func TestP3NoncesNeverRepeat(t *testing.T) {
	server := redistest.Start(t)
	a := newApp(t, onRedis(server), asksRedis)
	seen := make(map[string]string)
	unique := func(what, value string) {
		t.Helper()
		if before, ok := seen[value]; ok || value == "" {
			t.Fatalf("%s %q was there before, as %s", what, value, before)
		}
		seen[value] = what
	}
	b := a.browser()
	key := recordMade(t, server, func() { b.enter(idxtest.Ada) })
	for i := range 200 {
		value := server.Patient().Get(t.Context(), key).Val()
		unique("nonce", value[6:18]) // behind the stamp
		b.open(fmt.Sprint("/note?keep=", i%2)).want(t, 200, "note")
	}
	for range 100 {
		v := a.browser()
		back, _ := url.Parse(v.begin("/dashboard/"))
		unique("state", back.Query().Get("state"))
		unique("salt of a state", back.Query().Get("state")[22:44]) // behind 16 bytes of signature
		unique("binding", v.pair("login"))
		w := a.browser()
		w.enter(idxtest.Grace)
		unique("session token", w.session()[2:])
		unique("binding after login", w.pair("login"))
	}
	if len(seen) != 700 {
		t.Errorf("%d values", len(seen))
	}
}

// P4. A key was stolen and is replaced: nobody is signed out by that, no login fails for good,
// and what the old one has sealed is worth nothing.
func TestP4KeyRotation(t *testing.T) {
	server := redistest.Start(t)
	before := newSecureApp(t, onRedis(server))
	after := before.instance(onRedis(server), func(c *middleware.Config) { c.IDX.APISecret = "another-secret-of-the-same-app" })
	if before.auth.Sessions().CookieName() != after.auth.Sessions().CookieName() {
		t.Fatal("the cookie has another name")
	}
	b, midway := before.browser(), before.browser()
	b.enter(idxtest.Ada)
	back := midway.ticket("/dashboard/reports", idxtest.Grace)
	b.app, midway.app = after, after
	b.client.Transport, midway.client.Transport = after.browser().client.Transport, after.browser().client.Transport
	b.wantUser(idxtest.Ada)
	got := midway.open(back)
	got.wantHub(t, after) // once more, in silence as a rule
	if midway.session() != "" {
		t.Error("a state of the old key was believed")
	}
	at, _ := url.Parse(got.location())
	midway.open(at.Query().Get("return_url")+"&token="+string(before.hub.IssueToken(idxtest.Grace.Email))).want(t, 303, "")
	midway.wantUser(idxtest.Grace)
}
