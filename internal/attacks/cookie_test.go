package attacks_test

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"math/bits"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/idxauth/idxauth/idx/idxtest"
	"github.com/idxauth/idxauth/internal/redistest"
	"github.com/idxauth/idxauth/middleware"
)

// E1. A session cookie that somebody else has chosen becomes the victim's, and he has a
// copy. fiber CVE-2024-38513: an unknown id of the client's was taken for a new session;
// nextjs-auth0 CVE-2021-41246, passport CVE-2022-25896, @fastify/passport CVE-2023-29019,
// zitadel CVE-2024-28197: the id from before the login was kept.
func TestE1SessionFixation(t *testing.T) {
	t.Run("unknown token", func(t *testing.T) {
		a := newApp(t, onRedis(redistest.Start(t)))
		chosen := &http.Cookie{Name: a.auth.Sessions().CookieName(), Value: "AA" + strings.Repeat("A", 43), Path: "/"}
		b := a.browser()
		if !b.plant(a.origin, chosen) {
			t.Fatal("the cookie was not planted: nothing is tested")
		}
		b.open("/").want(t, 200, "stranger")
		b.login("/dashboard/", victim).want(t, 200, "user "+victim.Email)
		if b.session() == chosen.Value {
			t.Error("the session has the token that the attacker chose")
		}
		a.browser().open("/dashboard/", "Cookie", sends(chosen)).wantHub(t, a)
	})
	// The attacker's own session, alive, with what he has put into it.
	t.Run("live session", func(t *testing.T) {
		a := newApp(t, onRedis(redistest.Start(t)))
		evil := a.browser()
		evil.login("/note?keep=planted", attacker).want(t, 200, "planted")
		b := a.browser()
		if !b.plant(a.origin, &http.Cookie{Name: a.auth.Sessions().CookieName(), Value: evil.session(), Path: "/"}) {
			t.Fatal("the cookie was not planted: nothing is tested")
		}
		b.login("/auth/login?return_to=/note", victim).want(t, 200, `note ""`)
		b.open("/dashboard/").want(t, 200, "user "+victim.Email)
		if b.session() == evil.session() {
			t.Error("the victim has the attacker's token")
		}
		evil.open("/dashboard/").wantHub(t, a)
		if a.sessionsOf(attacker) != 0 || a.sessionsOf(victim) != 1 {
			t.Errorf("sessions: %d of the attacker, %d of the victim", a.sessionsOf(attacker), a.sessionsOf(victim))
		}
	})
	// On https nobody else can plant it in the first place.
	t.Run("https", func(t *testing.T) {
		a := newSecureApp(t)
		evil := a.browser()
		evil.login("/dashboard/", attacker).want(t, 200, "user")
		name := a.auth.Sessions().CookieName()
		b := a.browser()
		for _, from := range []string{"https://sister.example.com/", "http://app.example.com/", "http://sister.example.com/"} {
			for _, domain := range []string{"", "example.com"} {
				if b.plant(from, &http.Cookie{Name: name, Value: evil.session(), Domain: domain, Path: "/", Secure: true}) {
					t.Errorf("from %s with domain %q the cookie arrives", from, domain)
				}
			}
		}
		if !b.plant("https://sister.example.com/", &http.Cookie{Name: strings.TrimPrefix(name, "__Host-"), Value: evil.session(), Domain: "example.com", Path: "/"}) {
			t.Fatal("the plain cookie did not arrive: nothing is tested")
		}
		b.open("/").want(t, 200, "stranger")
		b.login("/dashboard/", victim).want(t, 200, "user "+victim.Email)
	})
}

// E2. The cookie is read by a script, sent over plain http, or sent to other hosts.
func TestE2CookieTheft(t *testing.T) {
	for name, start := range map[string]func(*testing.T, ...func(*middleware.Config)) *app{"http": newApp, "https": newSecureApp} {
		t.Run(name, func(t *testing.T) {
			a := start(t)
			b := a.browser()
			var set []*http.Cookie
			first := b.open("/dashboard/" + strings.Repeat("long/", 200)) // so long that the path has a cookie
			at := b.submit(b.open(first.location()), victim)
			login := b.open(at.location())
			stolen := b.copy()
			if !strings.HasSuffix(login.location(), "long/") || b.session() == "" {
				t.Fatalf("the login led to %q", login.location())
			}
			for _, got := range []*answer{first, login, b.open("/dashboard/"), b.signOut()} {
				set = append(set, got.Cookies()...)
			}
			purposes := make(map[string]bool)
			for _, c := range set {
				purposes[c.Name[strings.LastIndex(c.Name, "-")+1:]] = true
				if c.Secure != (name == "https") || strings.HasPrefix(c.Name, "__Host-") != c.Secure ||
					!c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Domain != "" {
					t.Errorf("cookie %v", c)
				}
				if raw, _ := base64.RawURLEncoding.DecodeString(c.Value); bytes.Contains(raw, []byte(victim.Email)) || bytes.Contains(raw, []byte("long/")) || bytes.Contains(raw, []byte(victim.UID)) {
					t.Errorf("%s can be read: %q", c.Name, raw)
				}
			}
			if len(purposes) != 3 {
				t.Errorf("cookies for %v, want session, login and return", purposes)
			}
			// What somebody got all the same ends with the logout.
			stolen.open("/dashboard/").wantHub(t, a)
		})
	}
	// In the clear over a network it would not be safe from anybody.
	for _, base := range []string{"http://app.example.com", "http://192.0.2.1", "http://localhost.example.com", "http://127.0.0.1.example.com"} {
		auth, err := middleware.New(middleware.Config{IDX: newApp(t).hub.Config(), BaseURL: base, Store: newApp(t).store})
		if err == nil {
			auth.Close()
			t.Errorf("New took %s", base)
		}
	}
}

// E3. Two cookies of one name, of which the first one is the attacker's: of a sister host,
// or for a longer path. vouch-proxy is criticised for cookies for the whole domain.
func TestE3CookieTossing(t *testing.T) {
	a := newApp(t)
	name := a.auth.Sessions().CookieName()
	evil := a.browser()
	evil.login("/dashboard/", attacker).want(t, 200, "user")
	b := a.browser()
	b.login("/dashboard/", victim).want(t, 200, "user")
	mine := b.session()

	// For a longer path it comes first, and r.Cookie would take it.
	b.plant(a.origin, &http.Cookie{Name: name, Value: evil.session(), Path: "/dashboard/"})
	page, err := url.Parse(a.origin + "/dashboard/")
	if err != nil {
		t.Fatal(err)
	}
	if got := b.client.Jar.Cookies(page); got[0].Value != evil.session() {
		t.Fatalf("cookies %v: nothing is tested", got)
	}
	b.open("/dashboard/").wantHub(t, a)
	if !strings.Contains(a.log.String(), "several of the name") {
		t.Error("the log does not say so")
	}
	b.open("/").want(t, 200, "user "+victim.Email) // where the other one is not sent
	for _, header := range []string{
		name + "=" + evil.session() + "; " + name + "=" + mine,
		name + "=" + mine + "; " + name + "=" + evil.session(),
		name + "=" + mine + "; " + name + "=",
		name + "=" + mine + ";" + name + "=" + mine,
		name + "=" + mine + "; " + name + " =" + evil.session(),
	} {
		a.browser().open("/dashboard/", "Cookie", header).wantHub(t, a)
		got := a.raw("GET / HTTP/1.1\r\nHost: " + a.host() + "\r\nConnection: close\r\nCookie: " + strings.Replace(header, ";", "\r\nCookie:", 1) + "\r\n\r\n")
		got.want(t, 200, "stranger")
	}
	// With both binding cookies, too: the login begins anew, comes to nothing, and says so.
	// A sister host of an application on http can lock people out, and not get in.
	binding := b.cookies()["login"]
	b = a.browser()
	b.open("/dashboard/")
	b.plant(a.origin, &http.Cookie{Name: binding.Name, Value: evil.cookies()["login"].Value, Path: "/auth/"})
	planted := evil.callback("/auth/login", attacker)
	b.follow(planted.String())
	end := b.login("/dashboard/", victim)
	end.want(t, 400, "too_many_attempts")
	if b.session() != "" {
		t.Error("somebody is signed in")
	}

	// On https: names that a careless parser makes the prefix of, and what browsers refuse.
	secure := newSecureApp(t)
	evil = secure.browser()
	evil.login("/dashboard/", attacker).want(t, 200, "user")
	name = secure.auth.Sessions().CookieName()
	b = secure.browser()
	b.login("/dashboard/", victim).want(t, 200, "user")
	for _, spelled := range []string{"\u00a0" + name, "\u2000" + name, "\u0085" + name, "\u00a0" + name + "\u00a0", strings.ToLower(name), strings.ToUpper(name), strings.TrimPrefix(name, "__Host-"),
		"__Secure-" + strings.TrimPrefix(name, "__Host-"), "$Version=1; $Path=/; x" + name, `x="y; ` + name[:10] + `"; x` + name, "x," + name} {
		header := spelled + "=" + evil.session()
		got := secure.raw("GET /dashboard/ HTTP/1.1\r\nHost: " + secure.host() + "\r\nAccept: text/html\r\nConnection: close\r\nCookie: " + header + "\r\n\r\n")
		if got.StatusCode == http.StatusOK {
			t.Errorf("%q: %s", header, got.body)
		}
		got = secure.raw("GET /dashboard/ HTTP/1.1\r\nHost: " + secure.host() + "\r\nAccept: text/html\r\nConnection: close\r\nCookie: " + header + "; " + sends(b.cookies()["session"]) + "\r\n\r\n")
		if got.StatusCode == http.StatusOK && got.body != "user "+victim.Email {
			t.Errorf("%q before the right one: %s", header, got.body)
		}
	}
	b.open("/dashboard/").want(t, 200, "user "+victim.Email)
}

// E4. Almost the right token. zitadel CVE-2026-27840: tokens that were cut off were valid.
func TestE4GuessedToken(t *testing.T) {
	server := redistest.Start(t)
	a := newApp(t, onRedis(server))
	name := a.auth.Sessions().CookieName()
	b := a.browser()
	b.login("/dashboard/", victim).want(t, 200, "user")
	good := b.session()
	shifted := []byte(good)
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := strings.IndexByte(alphabet, good[len(good)-1])
	shifted[len(good)-1] = alphabet[last^1] // other bits that no byte takes
	raw, err := base64.RawURLEncoding.DecodeString(good[2:])
	if err != nil || len(raw) != 32 {
		t.Fatalf("the session token is %q (%v)", good[2:], err)
	}

	malformed := []string{
		"", "A", good + "A", good + "=", good + "%00", good + "%20", "A" + good, good + good, good[2:], good[1:], string(shifted),
		good[:44] + "=", good[:44] + ".", good[:44] + "+", good[:44] + "/", "%" + good[1:], url.QueryEscape(good[:44]) + "%41", fmt.Sprintf("%x", raw), base64.StdEncoding.EncodeToString(raw),
		strings.Repeat("A", 4000), "..", "*", "null", "[object Object]",
	}
	for i := range good {
		malformed = append(malformed, good[:i])
	}
	before := commandsOf(t, server)["get"]
	for _, value := range malformed {
		got := a.browser().open("/dashboard/", "Cookie", name+"="+value)
		got.wantHub(t, a)
	}
	if n := commandsOf(t, server)["get"] - before; n != 0 {
		t.Errorf("Redis was asked %d times about what we cannot have made", n)
	}
	// Of the right form, and not that one.
	unknown := []string{strings.ToLower(good), strings.ToUpper(good), swapCase(good), "AA" + good[2:], "__" + good[2:], good[2:] + "AA", good[:2] + strings.Repeat("A", 43)}
	for _, i := range []int{0, 1, 2, 3, 20, 43} {
		other := []byte(good)
		other[i] = alphabet[(strings.IndexByte(alphabet, good[i])+1)%64]
		unknown = append(unknown, string(other))
	}
	for _, value := range unknown {
		if value == good {
			continue
		}
		a.browser().open("/dashboard/", "Cookie", name+"="+value).wantHub(t, a)
	}
	if commandsOf(t, server)["get"] == before {
		t.Error("Redis was asked for none of them: nothing is tested")
	}
	a.browser().open("/dashboard/", "Cookie", name+"="+good).want(t, 200, "user "+victim.Email)

	// Nobody guesses it: 256 bits, none of which is the same each time.
	seen := make(map[string]bool)
	var ones [256]int
	const logins = 40
	for range logins {
		b := a.browser()
		b.login("/dashboard/", victim)
		raw, err := base64.RawURLEncoding.DecodeString(b.session()[2:])
		if err != nil || len(raw) != 32 || seen[string(raw)] {
			t.Fatalf("session token %q: %v", b.session(), err)
		}
		seen[string(raw)] = true
		for i := range ones {
			ones[i] += bits.OnesCount8(raw[i/8] & (1 << (i % 8)))
		}
	}
	if slices.Contains(ones[:], 0) || slices.Contains(ones[:], logins) {
		t.Errorf("of %d tokens some bits are always the same: %v", logins, ones)
	}
}

func swapCase(s string) string {
	return strings.Map(func(r rune) rune {
		if upper := strings.ToUpper(string(r)); upper != string(r) {
			return rune(upper[0])
		}
		return rune(strings.ToLower(string(r))[0])
	}, s)
}

// commandsOf returns how often Redis was given each command.
func commandsOf(t *testing.T, server *redistest.Server) map[string]int {
	t.Helper()
	info, err := server.Patient().Info(t.Context(), "commandstats").Result()
	if err != nil {
		t.Skipf("not run: the stand-in for redis-server does not count commands: %v", err)
	}
	counts := make(map[string]int)
	for line := range strings.Lines(info) {
		name, stats, _ := strings.Cut(strings.TrimPrefix(line, "cmdstat_"), ":calls=")
		var n int
		if _, err := fmt.Sscanf(stats, "%d,", &n); err == nil {
			counts[name] = n
		}
	}
	return counts
}

// E5. What the browser sends becomes the name of a key, or a line of a log, that somebody
// else reads. Spring Session CVE-2023-20866: the session's id was printed.
func TestE5TokenInKeysAndLogs(t *testing.T) {
	server := redistest.Start(t)
	if !server.Real() {
		t.Skip("redis-server is not installed: nobody to watch the commands")
	}
	a := newApp(t, onRedis(server), func(c *middleware.Config) { c.Devices = true })
	watched := monitor(t, server)
	b := a.browser()
	callback := b.callback("/note?keep=something", victim)
	secrets := b.secretsOf(callback)
	b.follow(callback.String()).want(t, 200, "something")
	for what, secret := range b.secretsOf(callback) {
		secrets[what+" later"] = secret
	}
	secrets["session token"], secrets["beginning of it"] = b.session()[2:], b.session()[2:14]
	secrets["e-mail"], secrets["Uid"] = victim.Email, victim.UID
	name := a.auth.Sessions().CookieName()
	garbage := strings.Repeat("garbage", 6) + "xyA" // of the right form
	secrets["garbage"] = garbage[2:]
	for range 3 {
		b.open("/dashboard/").want(t, 200, "user")
		b.open("/auth/devices").want(t, 200, "")
		a.browser().open("/dashboard/", "Cookie", name+"="+garbage).wantHub(t, a)
		a.browser().open("/dashboard/", "Cookie", name+"=x\u00e9'\"; DROP;"+garbage).wantHub(t, a)
	}
	a.browser().open(callback.String())
	b.signOut()
	if _, err := server.Patient().Echo(t.Context(), "the-end-of-it").Result(); err != nil {
		t.Fatal(err)
	}
	redistest.Eventually(t, "all commands were seen", func() bool { return strings.Contains(watched.String(), "the-end-of-it") })
	lower := strings.ToLower(watched.String())
	for _, command := range []string{`"get"`, `"evalsha"`} {
		if !strings.Contains(lower, command) {
			t.Errorf("no %s was seen: nothing is tested: %.300s", command, lower)
		}
	}
	wantNone(t, "a command to Redis", watched.String(), secrets)
	wantNone(t, "the log", a.log.String(), secrets)
	if !strings.Contains(a.log.String(), "state_mismatch") {
		t.Error("the log is empty: nothing is tested")
	}
}

// monitor writes down every command that Redis is given.
func monitor(t *testing.T, server *redistest.Server) *logBuffer {
	t.Helper()
	conn, err := net.Dial("tcp", server.Addr)
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(conn, "MONITOR\r\n")
	r := bufio.NewReader(conn)
	if line, err := r.ReadString('\n'); err != nil || line != "+OK\r\n" {
		t.Fatalf("MONITOR: %q, %v", line, err)
	}
	seen, done := new(logBuffer), make(chan struct{})
	go func() {
		defer close(done)
		io.Copy(seen, r)
	}()
	t.Cleanup(func() {
		conn.Close()
		<-done
	})
	return seen
}

// E6. A session that somebody got hold of gains when its user does: at the login, when the
// password is asked for once more, when somebody else signs in.
func TestE6RotationAtPrivilegeChange(t *testing.T) {
	server := redistest.Start(t)
	a := newSecureApp(t, onRedis(server))
	twin := a.instance()
	b := a.browser()
	b.login("/dashboard/", victim).want(t, 200, "user "+victim.Email)
	for _, step := range []struct {
		name string
		do   func()
		next idxtest.User
	}{
		{"login once more", func() { b.login("/auth/login?fresh=1&return_to=/fresh", victim).want(t, 200, "user") }, victim},
		{"login of somebody else", func() { b.login("/auth/login?fresh=1&return_to=/dashboard/", attacker).want(t, 200, "user") }, attacker},
		{"logout", func() { b.signOut() }, idxtest.User{}},
	} {
		t.Run(step.name, func(t *testing.T) {
			stolen, elsewhere := b.copy(), twin.browser()
			elsewhere.client.Jar.SetCookies(twin.url(), hostCookies(b.client.Jar.Cookies(a.url()), true))
			stolen.open("/dashboard/").want(t, 200, "user")
			elsewhere.open("/dashboard/").want(t, 200, "user") // the other instance has it at hand now
			old := b.session()
			step.do()
			if b.session() == old {
				t.Fatal("the session token is the same")
			}
			stolen.open("/dashboard/").wantHub(t, a)
			redistest.Eventually(t, "the other instance knows", func() bool {
				return elsewhere.open("/dashboard/").StatusCode == http.StatusFound
			})
			if step.next.Email != "" {
				b.open("/dashboard/").want(t, 200, "user "+step.next.Email)
			}
		})
	}
	if a.sessionsOf(victim)+a.sessionsOf(attacker) != 0 {
		t.Error("sessions are left over")
	}
}

// E7. A sister host fills the victim's jar until no cookie of ours is seen: net/http then
// shows none at all, and every login would lead to the next one. mod_auth_openidc
// CVE-2024-24814: the number of chunks that a cookie named was a loop; fiber
// CVE-2026-25899: a length in a cookie was allocated; Go CVE-2025-58186.
func TestE7CookieBomb(t *testing.T) {
	server := redistest.Start(t)
	a := newApp(t, onRedis(server))
	name := a.auth.Sessions().CookieName()
	b := a.browser()
	b.login("/dashboard/", victim).want(t, 200, "user")
	mine := sends(b.cookies()["session"])
	before, held := a.apiCalls(), keys(t, server)

	var tiny strings.Builder
	for i := range 5000 {
		fmt.Fprintf(&tiny, "c%d=; ", i)
	}
	for what, bomb := range map[string]string{
		"4 KB":              name + "=" + strings.Repeat("A", 4<<10),
		"8 KB":              name + "=" + strings.Repeat("A", 8<<10),
		"200 KB":            name + "=" + strings.Repeat("A", 200<<10),
		"900 KB":            "x=" + strings.Repeat("A", 900<<10),
		"5,000 cookies":     tiny.String() + mine,
		"5,000 of one name": strings.Repeat(name+"=x; ", 5000),
		"semicolons":        strings.Repeat(";", 100<<10),
		"chunks":            name + "_chunks=4294967295; " + name + "_0=A; " + name + ".1=A; " + name + "=4294967295",
		"binding":           strings.Replace(name, "-session", "-login", 1) + "=" + strings.Repeat("A", 100<<10),
		"parked path":       strings.Replace(name, "-session", "-return", 1) + "=" + strings.Repeat("A", 100<<10),
	} {
		t.Run(what, func(t *testing.T) {
			visitor := a.browser()
			visitor.open("/", "Cookie", bomb).want(t, 200, "stranger")
			visitor.open("/dashboard/", "Cookie", bomb, "Sec-Fetch-Mode", "cors").want(t, 401, "login_required")
			// Round and round, the bomb in every request and no cookie of ours kept.
			at := visitor.open("/dashboard/", "Cookie", bomb)
			for round := 1; at.StatusCode == http.StatusFound; round++ {
				if round > 5 {
					t.Fatal("it goes round for ever")
				}
				back := visitor.open(at.location())
				if back.StatusCode == http.StatusOK {
					back = visitor.submit(back, victim)
				}
				one := a.browser()
				at = one.open(back.location(), "Cookie", bomb)
			}
			at.want(t, 400, "too_many_attempts")
		})
	}
	if n := a.apiCalls() - before; n != 0 {
		t.Errorf("the API was asked %d times", n)
	}
	if got := keys(t, server); !slices.Equal(got, held) {
		t.Errorf("keys before: %q, after: %q", held, got)
	}
	// Beyond what the server reads at all.
	got := a.raw("GET / HTTP/1.1\r\nHost: " + a.host() + "\r\nCookie: x=" + strings.Repeat("A", 2<<20) + "\r\n\r\n")
	if got.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("2 MB: %s", got.Status)
	}
	// Many cookies are no attack yet, and once the bomb is gone all is well.
	b.open("/dashboard/").want(t, 200, "user "+victim.Email)
	a.browser().open("/dashboard/", "Cookie", strings.Repeat("theirs=1; ", 100)+mine).want(t, 200, "user "+victim.Email)
}
