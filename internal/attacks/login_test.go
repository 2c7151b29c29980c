package attacks_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/idxauth/idxauth/idx/idxtest"
	"github.com/idxauth/idxauth/internal/redistest"
	"github.com/idxauth/idxauth/middleware"
)

// A1. The attacker logs in, keeps the last address to himself and makes the victim's
// browser open it. What the victim then does and types in would be the attacker's.
// casdoor CVE-2026-9098: a login that nobody had asked for was accepted.
func TestA1LoginCSRF(t *testing.T) {
	a := newApp(t)
	planted := a.browser().callback("/dashboard/", attacker)
	before := a.apiCalls()

	b := a.browser()
	b.open(planted.String()).wantHub(t, a)
	if b.session() != "" || a.sessionsOf(attacker) != 0 {
		t.Fatal("the victim is signed in as the attacker")
	}
	// One who has a login of his own under way, or is signed in, is no better prey. Nor
	// does it help to take the victim's place in half of it.
	own := b.callback("/dashboard/", victim)
	b.open(planted.String()).wantHub(t, a)
	b.open(with(planted, "state")).wantHub(t, a)
	mixed := planted.Query().Get("state")[:22] + own.Query().Get("state")[22:]
	b.open(with(planted, "state", mixed)).wantHub(t, a)
	if n := a.apiCalls() - before; n != 0 {
		t.Errorf("the API was asked %d times about a token that this browser had not asked for", n)
	}
	b.follow(own.String()).want(t, 200, "user "+victim.Email)
	b.open(planted.String()).wantHub(t, a)
	b.open("/dashboard/").want(t, 200, "user "+victim.Email)
	if a.sessionsOf(attacker) != 0 || a.refused("state_mismatch") != 4 || a.refused("state_missing") != 1 {
		t.Errorf("%d sessions of the attacker; refusals: %v", a.sessionsOf(attacker), a.refusals())
	}
}

// A2. The state is only as good as the cookie that it is signed for: who can put his own
// into the victim's browser owns a valid pair.
func TestA2PlantedBindingCookie(t *testing.T) {
	// A sister host can set cookies for all of example.com, but none with this prefix.
	t.Run("https", func(t *testing.T) {
		a := newSecureApp(t)
		evil := a.browser()
		planted := evil.callback("/dashboard/", attacker)
		binding := evil.cookies()["login"]
		if !strings.HasPrefix(binding.Name, "__Host-") {
			t.Fatalf("cookie %s has no prefix", binding.Name)
		}
		b := a.browser()
		if b.plant("https://sister.example.com/", &http.Cookie{Name: binding.Name, Value: binding.Value, Domain: "example.com", Path: "/", Secure: true}) {
			t.Fatal("this jar is no browser's: it took a __Host- cookie from another host")
		}
		// Without the prefix browsers take it, and show it to us.
		if !b.plant("https://sister.example.com/", &http.Cookie{Name: strings.TrimPrefix(binding.Name, "__Host-"), Value: binding.Value, Domain: "example.com", Path: "/"}) {
			t.Fatal("the plain cookie did not arrive: nothing is tested")
		}
		b.open(planted.String()).wantHub(t, a)
		if b.session() != "" || a.sessionsOf(attacker) != 0 {
			t.Fatal("the victim is signed in as the attacker")
		}
		b.login("/dashboard/", victim).want(t, 200, "user "+victim.Email)
	})
	// Without TLS there is no such prefix, and a browser that has no cookie of ours yet takes
	// the attacker's: which is why plain http is for loopback hosts alone. There at least a
	// second cookie of the name does not win.
	t.Run("http", func(t *testing.T) {
		a := newApp(t)
		evil := a.browser()
		planted := evil.callback("/dashboard/", attacker)
		binding := evil.cookies()["login"]
		b := a.browser()
		own := b.callback("/dashboard/", victim)
		if !b.plant(a.origin, &http.Cookie{Name: binding.Name, Value: binding.Value, Path: "/auth/callback"}) {
			// The root page is not shown it; the callback is, and first.
			if got := b.client.Jar.Cookies(planted); len(got) < 2 || got[0].Value != binding.Value {
				t.Fatalf("cookies at the callback: %v: nothing is tested", got)
			}
		}
		b.open(planted.String()).wantHub(t, a)
		if b.session() != "" || a.sessionsOf(attacker) != 0 {
			t.Fatal("the victim is signed in as the attacker")
		}
		b.plant(a.origin, &http.Cookie{Name: binding.Name, Path: "/auth/callback", MaxAge: -1})
		b.follow(own.String()).want(t, 200, "user "+victim.Email)
	})
	// A secret that somebody knew is void after the next login and, for what was not
	// begun lately, after a logout: it is not kept as long as the cookie.
	t.Run("renewed", func(t *testing.T) {
		a := newSecureApp(t)
		b := a.browser()
		b.callback("/dashboard/", victim)
		secrets := []string{b.cookies()["login"].Value}
		b.login("/dashboard/", victim)
		secrets = append(secrets, b.cookies()["login"].Value)
		b.signOut()
		secrets = append(secrets, b.cookies()["login"].Value)
		for i, s := range secrets {
			raw, err := base64.RawURLEncoding.DecodeString(s)
			if err != nil {
				t.Fatal(err)
			}
			secrets[i] = string(raw[16:48]) // the browser's name, then the secret
		}
		if slices.Sort(secrets); len(slices.Compact(secrets)) != 3 {
			t.Error("a login or a logout left the secret as it was")
		}
	})
}

// A3. A token of LoginRadius is a bearer token without an audience. The attacker got hold
// of the victim's (another application of the company, a log, a history) and brings it in
// with his own browser and his own valid state. zitadel CVE-2025-46815, ory 2020-21: a
// token of the provider could be used again.
//
// Covered: a token that was used here is good for the browser that brought it, and no
// other. Not covered: one that this application has never seen, as the last case shows.
// There is no mode that wants tokens issued during the login, and no code flow.
func TestA3StolenTokenInAnotherBrowser(t *testing.T) {
	a := newSecureApp(t, onRedis(redistest.Start(t)))
	b := a.browser()
	callback := b.callback("/dashboard/", victim)
	b.follow(callback.String()).want(t, 200, "user "+victim.Email)

	thief := a.browser()
	own := thief.callback("/dashboard/", attacker)
	got := thief.open(with(own, "token", callback.Query().Get("token")))
	if thief.session() != "" || a.sessionsOf(victim) != 1 {
		t.Fatal("the thief is signed in as the victim")
	}
	if !strings.HasPrefix(got.location(), a.hub.URL+"/auth.aspx?action=logout") || a.refused("token_replayed") != 1 {
		t.Errorf("the thief is sent to %q; refusals: %v", got.location(), a.refusals())
	}
	if !strings.Contains(a.log.String(), "token_replayed") {
		t.Error("the log does not name the event")
	}
	b.open("/dashboard/").want(t, 200, "user "+victim.Email)

	// The hosted page sends the same token as long as it knows the browser: to the one
	// that has it already that is no theft.
	b.plant(a.origin, &http.Cookie{Name: b.cookies()["session"].Name, Path: "/", Secure: true, MaxAge: -1})
	again := b.callback("/dashboard/", victim)
	if again.Query().Get("token") != callback.Query().Get("token") {
		t.Fatal("the hosted page sent another token: nothing is tested")
	}
	b.follow(again.String()).want(t, 200, "user "+victim.Email)

	t.Run("residual risk", func(t *testing.T) {
		a := newApp(t)
		a.hub.Advance(-10 * time.Minute)
		elsewhere := a.hub.IssueToken(victim.Email) // 10 minutes ago, to another application
		a.hub.Advance(10 * time.Minute)
		thief := a.browser()
		own := thief.callback("/dashboard/", attacker)
		thief.follow(with(own, "token", string(elsewhere))).want(t, 200, "user "+victim.Email)
		// What wants a recent login is not his: the hosted page asks him for a password.
		thief.open("/fresh", "Sec-Fetch-Mode", "cors").want(t, 401, "login_too_old")
		if at := thief.follow("/fresh"); !strings.HasPrefix(at.at(), a.hub.URL) {
			t.Errorf("the thief is at %s: %s", at.at(), at.body)
		}
	})
}

// A4. The callback's address is found in a history or a log and opened once more.
func TestA4ReplayedCallback(t *testing.T) {
	a := newSecureApp(t, onRedis(redistest.Start(t)))
	twin := a.instance()
	b := a.browser()
	callback := b.callback("/dashboard/deep", victim)
	before := b.copy() // all that the browser had when it came back

	var sessions atomic.Int32
	var wg sync.WaitGroup
	for i := range 20 {
		one := before.copy()
		if i%2 == 1 {
			one = twin.browser()
			one.client.Jar.SetCookies(twin.url(), hostCookies(before.client.Jar.Cookies(a.url()), true))
		}
		wg.Go(func() {
			got, err := one.send(one.request("GET", callback.String()))
			if err != nil {
				t.Error(err)
				return
			}
			for _, c := range got.Cookies() {
				if strings.HasSuffix(c.Name, "-session") && c.Value != "" {
					sessions.Add(1)
					b.client.Jar.SetCookies(a.url(), []*http.Cookie{c})
				}
			}
		})
	}
	wg.Wait()
	if n := sessions.Load(); n != 1 || a.sessionsOf(victim) != 1 {
		t.Fatalf("20 callbacks at once gave %d session cookies and %d sessions, want 1", n, a.sessionsOf(victim))
	}
	mine := b.session()

	// The Back button, in the browser that is signed in.
	if got := b.open(callback.String()); got.location() != a.origin+"/dashboard/deep" || b.session() != mine {
		t.Errorf("Back button: %s to %q", got.Status, got.location())
	}
	// Another browser, and the same one without the session.
	for name, other := range map[string]*browser{"another browser": a.browser(), "as before": before.copy()} {
		other.open(callback.String()).wantHub(t, a)
		if other.session() != "" {
			t.Errorf("%s: the callback was good for a second session", name)
		}
	}
	b.signOut()
	b.open(callback.String()).wantHub(t, a)
	if b.session() != "" || a.sessionsOf(victim) != 0 {
		t.Error("after the logout the callback was good for another session")
	}
}

// A5. The hosted page's API takes a session from any page, by a GET with the public key.
// So the attacker can make it know the victim's browser as himself, and then a login asks
// nothing. In the plain flow nobody can prevent that: this test shows what is left of it,
// and what helps.
func TestA5PlantedHubSession(t *testing.T) {
	a := newApp(t)
	a.hub.Advance(-10 * time.Minute)
	old, another := a.hub.IssueToken(attacker.Email), a.hub.IssueToken(attacker.Email)
	a.hub.Advance(10 * time.Minute)

	b := a.browser()
	b.plantHubSession(old)
	// Public pages start no login: who is not signed in stays a stranger.
	b.follow("/").want(t, 200, "stranger")
	// The residual risk: the next login is the attacker's, in silence. The page can only
	// say whose it is.
	b.follow("/dashboard/").want(t, 200, "user "+attacker.Email)

	// RecentLogin goes by when the password was asked for, and that was not now: the
	// hosted page forgets whom it knew and asks. From then on the victim is the victim.
	before := a.served.Load()
	at := b.follow("/fresh")
	if !strings.HasPrefix(at.at(), a.hub.URL) || a.served.Load() != before {
		t.Fatalf("an old planted login led to %s: %s", at.at(), at.body)
	}
	b.finish(at, victim).want(t, 200, "user "+victim.Email)
	b.follow("/dashboard/").want(t, 200, "user "+victim.Email)
	if a.sessionsOf(attacker) != 0 {
		t.Error("the attacker's session lives on")
	}

	// It is not enough to plant an old session once more while the victim types.
	b = a.browser()
	at = b.follow("/auth/login?fresh=1&return_to=/dashboard/")
	b.plantHubSession(another)
	b.follow(at.at()).want(t, 401, "login_too_old")
	if b.session() != "" {
		t.Error("a planted session passed for a fresh login")
	}

	// Within the time that RecentLogin allows it cannot tell a planted login either: the
	// attacker had to sign in just now. A login that is asked for with fresh=1 always can.
	b = a.browser()
	b.plantHubSession(a.hub.IssueToken(attacker.Email))
	b.follow("/fresh").want(t, 200, "user "+attacker.Email)
	at = b.follow("/auth/login?fresh=1&return_to=/fresh")
	if !strings.HasPrefix(at.at(), a.hub.URL) {
		t.Fatalf("fresh=1 led to %s: %s", at.at(), at.body)
	}
	b.finish(at, victim).want(t, 200, "user "+victim.Email)

	// What is left: an attacker who signs in at that very moment, and plants that while
	// the victim types. Nothing in the plain flow tells the two logins apart.
	b = a.browser()
	at = b.follow("/auth/login?fresh=1&return_to=/dashboard/")
	b.plantHubSession(a.hub.IssueToken(attacker.Email))
	b.follow(at.at()).want(t, 200, "user "+attacker.Email)
}

// A6. The hosted page, its analytics and whoever reads their logs see every state.
func TestA6StateSeenByOthers(t *testing.T) {
	a := newApp(t)
	b := a.browser()
	const path = "/dashboard/severance-offer?for=grace"
	states := make(map[string]bool)
	for range 20 {
		state := stateIn(t, b.open(path).location())
		raw, err := base64.RawURLEncoding.DecodeString(state)
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range []string{"dashboard", "severance", "grace"} {
			if strings.Contains(state, text) || strings.Contains(string(raw), text) {
				t.Errorf("the state shows %q", text)
			}
		}
		if states[state] || states[string(raw[16+16:])] {
			t.Fatal("two logins have the same state, or the same text in it")
		}
		states[state], states[string(raw[16+16:])] = true, true
	}
	// What they saw is worth nothing to them, not even with a token of their own.
	seen := b.callback(path, victim)
	thief := a.browser()
	token := thief.callback("/dashboard/", attacker).Query().Get("token")
	thief.open(with(seen, "token", token)).wantHub(t, a)
	if thief.session() != "" {
		t.Error("somebody else's state was good for a login")
	}
	if home := b.follow(seen.String()); home.at() != a.origin+path {
		t.Errorf("the victim came to %s (%s)", home.at(), home.Status)
	}
}

// stateIn returns the state in the address of the hosted page.
func stateIn(t *testing.T, hosted string) string {
	t.Helper()
	u, err := url.Parse(hosted)
	if err != nil {
		t.Fatal(err)
	}
	back, err := url.Parse(u.Query().Get("return_url"))
	if err != nil || back.Query().Get("state") == "" {
		t.Fatalf("no state in %q", hosted)
	}
	return back.Query().Get("state")
}

// A7. Two applications of one company have the same tenant, Redis and, here, host: the
// browser sends all cookies to both, and the operator of one sees what belongs to the
// other. next-auth CVE-2023-48309: the cookie of a login was taken for a session; next-auth
// 2026-07: the check cookie of one provider counted for another.
func TestA7StateOfAnotherApplication(t *testing.T) {
	server := redistest.Start(t)
	a := newApp(t, onRedis(server))
	other := a.sibling()
	b := a.browser()
	callback := b.callback("/dashboard/", attacker)
	binding := b.cookies()["login"]

	c := other.browser()
	c.callback("/dashboard/", victim)
	mine := c.cookies()["login"]
	if mine.Name == binding.Name {
		t.Fatalf("both applications call their cookie %s", mine.Name)
	}
	// The operator of one application presents its state, with its binding under the name
	// that the other one reads.
	moved := *callback
	moved.Host = other.host()
	before := other.apiCalls()
	got := other.browser().open(moved.String(), "Cookie", mine.Name+"="+binding.Value)
	got.wantHub(t, other)
	if other.refused("state_mismatch") != 1 || other.apiCalls() != before {
		t.Errorf("%d calls; refusals: %v", other.apiCalls()-before, other.refusals())
	}
	// So with sessions, and with one kind of cookie for the other.
	b.follow(callback.String()).want(t, 200, "user "+attacker.Email)
	session := other.auth.Sessions().CookieName()
	for name, value := range map[string]string{
		"session of the other application": b.session(),
		"binding as a session":             mine.Value,
		"state as a session":               callback.Query().Get("state"),
		"token as a session":               callback.Query().Get("token"),
	} {
		other.browser().open("/", "Cookie", session+"="+value).want(t, 200, "stranger")
		if got := other.browser().open("/dashboard/", "Cookie", session+"="+value); got.StatusCode != http.StatusFound {
			t.Errorf("%s: %s %s", name, got.Status, got.body)
		}
	}
	b.open(other.origin+"/").want(t, 200, "stranger") // the browser sends it all by itself
	// Each has its keys to itself.
	c.login("/dashboard/", victim).want(t, 200, "user "+victim.Email)
	b.open("/dashboard/").want(t, 200, "user "+attacker.Email)
	spaces := make(map[string]int)
	for _, key := range keys(t, server) {
		space, _, _ := strings.Cut(key, ":")
		spaces[space]++
	}
	if len(spaces) != 2 {
		t.Errorf("keys by namespace: %v, want two", spaces)
	}
}

// A8. Who somebody is must not follow from what can be missing, be had by two people, or
// be typed in. go-pkgz/auth CVE-2026-42560: every account of a provider became the same
// user. oauth2-proxy CVE-2026-40574: an address with two @ passed the rule for a domain;
// here no rule looks at domains, and the user is the Uid alone.
func TestA8WrongIdentity(t *testing.T) {
	var uid atomic.Value // what the API says for Uid; nil: the truth
	var verified atomic.Value
	edit := editing(func(_ string, answer map[string]any) {
		if _, ok := answer["Uid"]; !ok {
			return
		}
		if v := uid.Load(); v != nil {
			answer["Uid"] = v.(func() any)()
		}
		if v := verified.Load(); v != nil {
			answer["EmailVerified"] = v.(func() any)()
		}
	})
	is := func(v any) func() any { return func() any { return v } }
	a := newApp(t, edit)
	a.mux.Handle("/verified", a.auth.Require(middleware.EmailVerified())(http.HandlerFunc(a.page)))

	for _, bad := range []any{nil, "", 42, true, []string{"x"}, map[string]any{}, "a\nb", "a\x00b", strings.Repeat("a", 257)} {
		uid.Store(is(bad))
		b := a.browser()
		b.login("/dashboard/", victim)
		if b.session() != "" {
			t.Errorf("somebody with the Uid %.20q is signed in", fmt.Sprint(bad))
		}
	}
	uid.Store(is("an-honest-uid"))
	a.browser().login("/dashboard/", victim).want(t, 200, "user "+victim.Email)
	if n := a.sessionsOf(idxtest.User{UID: "an-honest-uid"}); n != 1 {
		t.Errorf("%d sessions of the Uid, want 1", n)
	}

	// Of what the API says about the address, only true makes it verified, and its spellings
	// that parsers of JSON agree on.
	for _, bad := range []any{false, "false", nil, "yes", "verified", 2, []bool{true}, map[string]bool{"true": true}} {
		verified.Store(is(bad))
		if got := a.browser().login("/verified", victim); got.StatusCode == http.StatusOK {
			t.Errorf("EmailVerified %v: %s", bad, got.body)
		}
	}
	verified.Store(is(true))
	a.browser().login("/verified", victim).want(t, 200, "user "+victim.Email)

	// An address that was given to somebody else later is not the former user.
	t.Run("e-mail used again", func(t *testing.T) {
		a := newApp(t)
		b := a.browser()
		b.login("/note?keep=payslip", victim).want(t, 200, "payslip")
		a.hub.UpdateUser(victim.Email, func(u *idxtest.User) { u.Email = "left@example.com" })
		successor := a.hub.AddUser(idxtest.User{UID: "0123456789abcdef0123456789abcdef", Email: victim.Email, Password: idxtest.Password, EmailVerified: true})
		c := a.browser()
		c.login("/note", successor).want(t, 200, `note ""`)
		if a.sessionsOf(successor) != 1 || a.sessionsOf(victim) != 1 {
			t.Errorf("sessions: %d of the successor, %d of the former user", a.sessionsOf(successor), a.sessionsOf(victim))
		}
	})
}

// A9. A login that nobody wanted: an image, a frame, a script, a link that is prefetched.
func TestA9LoginWithoutTheUser(t *testing.T) {
	a := newApp(t)
	b := a.browser()
	callback := b.callback("/dashboard/", victim)
	before := a.apiCalls()
	for name, headers := range map[string][]string{
		"image":     {"Sec-Fetch-Mode", "no-cors", "Sec-Fetch-Dest", "image"},
		"script":    {"Sec-Fetch-Mode", "no-cors", "Sec-Fetch-Dest", "script"},
		"fetch":     {"Sec-Fetch-Mode", "cors", "Sec-Fetch-Dest", "empty"},
		"frame":     {"Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "iframe"},
		"object":    {"Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "object"},
		"prefetch":  {"Sec-Purpose", "prefetch"},
		"prerender": {"Sec-Purpose", "prefetch;prerender"},
		"preview":   {"X-Purpose", "preview"},
		"old moz":   {"X-Moz", "prefetch"},
		"socket":    {"Upgrade", "websocket", "Connection", "Upgrade", "Sec-Fetch-Mode", "websocket"},
	} {
		fresh := a.browser()
		for _, target := range []string{"/dashboard/", "/auth/login", "/auth/register", callback.String()} {
			by := fresh
			if target == callback.String() {
				by = b
			}
			got := by.open(target, headers...)
			if got.StatusCode != http.StatusUnauthorized || len(got.Cookies()) > 0 {
				t.Errorf("%s of %.30s: %s, cookies %v", name, target, got.Status, got.Cookies())
			}
		}
	}
	if n := a.apiCalls() - before; n != 0 || b.session() != "" {
		t.Errorf("%d calls, session %q", n, b.session())
	}
	// A browser that puts a page of ours into a frame anyway does not show it.
	got := a.browser().open("/auth/callback/3?state=x") // the end of a login that fails
	if csp := got.Header.Get("Content-Security-Policy"); got.StatusCode != 400 || !strings.Contains(csp, "frame-ancestors 'none'") || got.Header.Get("X-Frame-Options") != "DENY" {
		t.Errorf("%s with policy %q", got.Status, csp)
	}
	// None of it used the state up.
	b.follow(callback.String()).want(t, 200, "user "+victim.Email)
}

// A10. Somebody else signs in where the victim is signed in: what the application kept
// for one must not be there for the other.
func TestA10ValuesOfThePreviousUser(t *testing.T) {
	a := newApp(t)
	b := a.browser()
	b.login("/note?keep=payslip", victim).want(t, 200, "payslip")
	b.open("/note").want(t, 200, `note "payslip"`)
	former := b.copy()

	at := b.follow("/auth/login?fresh=1&return_to=/note") // without a logout
	b.finish(at, attacker).want(t, 200, `note ""`)
	b.open("/dashboard/").want(t, 200, "user "+attacker.Email)
	former.open("/note").wantHub(t, a)
	if a.sessionsOf(victim) != 0 || a.sessionsOf(attacker) != 1 {
		t.Errorf("sessions: %d of the victim, %d of the attacker", a.sessionsOf(victim), a.sessionsOf(attacker))
	}
}

// A11. Text from the address of our own pages. nextjs-auth0 CVE-2021-32702: the callback
// showed its parameter error as it was.
func TestA11ReflectedText(t *testing.T) {
	a := newApp(t)
	const marks = `<script>alert("mark-7f3a")</script>`
	for _, path := range []string{"/auth/callback", "/auth/callback/3", "/auth/login", "/auth/logout", "/auth/profile/back", "/auth/mark-7f3a"} {
		for _, name := range []string{"error", "error_description", "action_completed", "vtype", "vtoken", "token", "state", "attempt", "fresh", "return_to", "mark-7f3a"} {
			for _, headers := range [][]string{nil, {"Sec-Fetch-Mode", "cors", "Accept", "application/json"}} {
				got := a.browser().open(path+"?"+url.Values{name: {marks}}.Encode(), headers...)
				if strings.Contains(got.body, "mark-7f3a") {
					t.Errorf("%s?%s= prints it: %s", path, name, got.body)
				}
				if got.StatusCode >= 500 {
					t.Errorf("%s?%s=: %s", path, name, got.Status)
				}
			}
		}
	}
	// A word that is known has a text of ours.
	a.browser().open("/auth/callback?action_completed=register").want(t, 200, "Check your mail")
}
