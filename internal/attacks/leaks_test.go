package attacks_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/idxauth/idxauth/idx"
	"github.com/idxauth/idxauth/idx/idxtest"
	"github.com/idxauth/idxauth/internal/redistest"
	"github.com/idxauth/idxauth/middleware"
)

// secretsOf returns what nobody may read of a login that came back at callback, by what
// it is, in the forms in which it could be written.
func (b *browser) secretsOf(callback *url.URL) map[string]string {
	plain := map[string]string{
		"access token": callback.Query().Get("token"),
		"state":        callback.Query().Get("state"),
		"API secret":   string(b.app.hub.Config().APISecret),
	}
	for purpose, c := range b.cookies() {
		plain[purpose+" cookie"] = c.Value
	}
	secrets := maps.Clone(plain)
	for name, value := range plain {
		if len(value) < 15 {
			b.app.t.Fatalf("the %s is %q: nothing is tested", name, value)
		}
		secrets["beginning of the "+name] = value[:12]
		secrets[name+" in hex"] = hex.EncodeToString([]byte(value))
		secrets[name+" in base64"] = base64.RawStdEncoding.EncodeToString([]byte(value))[:20]
	}
	return secrets
}

// wantNone checks that none of the secrets is in text.
func wantNone(t *testing.T, where, text string, secrets map[string]string) {
	t.Helper()
	for name, secret := range secrets {
		if secret == "" {
			t.Fatalf("%s is empty: nothing is tested", name)
		}
		if strings.Contains(text, secret) {
			t.Errorf("%s shows the %s", where, name)
		}
	}
}

var subResource = regexp.MustCompile(`(?i)(<img|<script|<link|<iframe|\bsrc=|url\(|@import)`)

// B1. The hosted page sends the token in the query: it must not go further than the
// callback, neither by a Referer nor by an address nor by a log. pomerium CVE-2021-29651:
// a token left the site with a redirect; mod_auth_openidc 2026: credentials in logs.
func TestB1TokenInTheCallbackURL(t *testing.T) {
	const madeUp = "11111111-2222-4333-8444-555555555555"
	for name, spoil := range map[string]func(a *app, good *url.URL) string{
		"honest":       func(_ *app, u *url.URL) string { return u.String() },
		"replayed":     func(a *app, u *url.URL) string { a.browser().open(u.String()); return u.String() },
		"no state":     func(_ *app, u *url.URL) string { return with(u, "state") },
		"bad state":    func(_ *app, u *url.URL) string { return with(u, "state", "x") },
		"two tokens":   func(_ *app, u *url.URL) string { return u.String() + "&token=" + madeUp },
		"dead token":   func(a *app, u *url.URL) string { a.hub.ExpireTokens(); return u.String() },
		"broken query": func(_ *app, u *url.URL) string { return u.String() + "&x=%zz" },
		"last attempt": func(_ *app, u *url.URL) string {
			u.Path += "/3"
			return with(u, "state", "x")
		},
		"API down": func(a *app, u *url.URL) string {
			a.hub.SetFault(idxtest.Fault{Kind: idxtest.ServerError})
			return u.String()
		},
		"API redirects": func(a *app, u *url.URL) string {
			a.hub.SetFault(idxtest.Fault{Kind: idxtest.Redirect})
			return u.String()
		},
		"blocked": func(a *app, u *url.URL) string {
			a.hub.UpdateUser(victim.Email, func(u *idxtest.User) { u.Blocked = true })
			return u.String()
		},
		"fetched": func(_ *app, u *url.URL) string { return u.String() },
	} {
		t.Run(name, func(t *testing.T) {
			a := newApp(t)
			b := a.browser()
			good := b.callback("/dashboard/", victim)
			tokenOnly := map[string]string{"access token": good.Query().Get("token")}
			headers := []string(nil)
			if name == "fetched" {
				headers = []string{"Sec-Fetch-Mode", "cors"}
			}
			got := b.open(spoil(a, good), headers...)
			if got.Header.Get("Referrer-Policy") != "no-referrer" || got.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("Referrer-Policy %q, Cache-Control %q", got.Header.Get("Referrer-Policy"), got.Header.Get("Cache-Control"))
			}
			if subResource.MatchString(got.body) {
				t.Errorf("the page loads something, and tells it its address: %s", got.body)
			}
			var head bytes.Buffer
			got.Header.Write(&head)
			wantNone(t, "the answer", head.String()+got.body, tokenOnly)
			wantNone(t, "the log", a.log.String(), b.secretsOf(good))
			if name == "honest" && (got.location() != a.origin+"/dashboard/" || b.session() == "") {
				t.Errorf("the honest login led to %q", got.location())
			}
		})
	}
}

// B2. A router that cleans paths answers with the whole query in its redirect. That stays
// on the site and is no work of ours; but it must not become an address elsewhere, and the
// login must survive it.
func TestB2RouterCopiesTheToken(t *testing.T) {
	for _, path := range []string{"/auth//callback", "//auth/callback", "/auth/./callback", "/dashboard/../auth/callback"} {
		a := newApp(t)
		b := a.browser()
		good := b.callback("/dashboard/", victim)
		got := a.raw("GET " + path + "?" + good.RawQuery + " HTTP/1.1\r\nHost: " + a.host() +
			"\r\nCookie: " + sends(b.cookies()["login"]) + "\r\nConnection: close\r\n\r\n")
		to, err := url.Parse(got.location())
		if err != nil || got.StatusCode/100 != 3 || to.Host != "" || to.Path != "/auth/callback" {
			t.Errorf("%s: %s to %q, want the clean path of this site", path, got.Status, got.location())
			continue
		}
		b.follow(got.location()).want(t, 200, "user "+victim.Email)
		wantNone(t, "the log", a.log.String(), b.secretsOf(good))
	}
}

// B3. Secrets in what is printed when something goes wrong, or by somebody who prints all
// he has: under %s and %q an Identity once showed its access token. Spring Session CVE-2023-20866 printed the session id.
func TestB3PrintedSecrets(t *testing.T) {
	printed := new(logBuffer) // the server answers in another goroutine
	note := func(values ...any) {
		for _, v := range values {
			for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
				fmt.Fprintf(printed, verb+"\n", v)
			}
			if text, err := json.Marshal(v); err == nil {
				printed.Write(text)
			}
		}
	}
	noting := func(c *middleware.Config) {
		note(c, *c, c.IDX)
		c.Hooks.OnError = func(_ context.Context, p middleware.Problem) { note(p, p.Err) }
		c.Hooks.OnDenied = c.Hooks.OnError
	}
	a := newApp(t, noting)
	note(a.auth)
	a.mux.Handle("/print", a.auth.RequireLogin(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user := middleware.User(r.Context())
		note(user, *user, user.AccessToken(), r.Context())
		panic(user) // the server prints it
	})))
	b := a.browser()
	good := b.callback("/dashboard/", victim)
	b.follow(good.String()).want(t, 200, "user "+victim.Email)
	if resp, err := b.client.Do(b.request("GET", "/print")); err == nil {
		resp.Body.Close()
		t.Errorf("the handler did not panic: %s", resp.Status)
	}
	if !strings.Contains(a.log.String(), "http: panic serving") {
		t.Error("the server printed no panic: nothing is tested")
	}
	wantNone(t, "what was printed", printed.String(), b.secretsOf(good))
	wantNone(t, "the log", a.log.String(), b.secretsOf(good))

	for _, kind := range []idxtest.FaultKind{
		idxtest.RateLimitText, idxtest.RateLimitJSON, idxtest.ServerError, idxtest.BadGateway, idxtest.Unavailable,
		idxtest.Truncated, idxtest.Oversized, idxtest.Reset, idxtest.Redirect,
	} {
		t.Run(string(kind), func(t *testing.T) {
			a := newApp(t, noting) // its own, or after some failures nobody would ask the API
			b := a.browser()
			callback := b.callback("/dashboard/", victim)
			a.hub.SetFault(idxtest.Fault{Kind: kind})
			got := b.open(callback.String())
			got.want(t, 503, "provider_unavailable")
			note(got.body)
			wantNone(t, "what was printed", printed.String(), b.secretsOf(callback))
			wantNone(t, "the log", a.log.String(), b.secretsOf(callback))
		})
	}
	if !strings.Contains(printed.String(), "provider_unavailable") {
		t.Error("the hook printed nothing: nothing is tested")
	}
}

// B4. Whoever answers in the API's place sends the call elsewhere. net/http takes the
// Authorization header off on the way to another host, and leaves X-LoginRadius-ApiSecret.
func TestB4CredentialsFollowARedirect(t *testing.T) {
	var stolen atomic.Int32
	thief := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		stolen.Add(1)
	}))
	defer thief.Close()
	hub := idxtest.NewServer(t)
	target, err := url.Parse(hub.URL)
	if err != nil {
		t.Fatal(err)
	}
	honest := httputil.NewSingleHostReverseProxy(target)
	var astray atomic.Bool
	var management atomic.Int32
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-LoginRadius-ApiSecret") != "" {
			management.Add(1)
		}
		if astray.Load() {
			http.Redirect(w, r, thief.URL+r.URL.Path, http.StatusTemporaryRedirect)
			return
		}
		honest.ServeHTTP(w, r)
	}))
	defer api.Close()
	for name, client := range map[string]*http.Client{
		"own client":                  nil,
		"caller's client":             {},
		"client that wants to follow": {CheckRedirect: func(*http.Request, []*http.Request) error { return nil }},
	} {
		t.Run(name, func(t *testing.T) {
			a := startApp(t, &app{hub: hub}, []func(*middleware.Config){func(c *middleware.Config) {
				c.IDX.APIURL, c.IDX.HTTPClient = api.URL, client
			}})
			// The rule reads the account anew, with the API secret, for users without a
			// verified address.
			a.mux.Handle("/verified", a.auth.Require(middleware.EmailVerified())(http.HandlerFunc(a.page)))
			b, c := a.browser(), a.browser()
			b.login("/dashboard/", idxtest.Alan).want(t, 200, "user "+idxtest.Alan.Email)
			late := c.callback("/dashboard/", victim)

			astray.Store(true)
			before := management.Load()
			b.open("/verified").want(t, 403, "email_unverified")
			c.open(late.String()).want(t, 503, "provider_unavailable")
			astray.Store(false)
			if management.Load() == before {
				t.Error("no call was made with the API secret: nothing is tested")
			}
			if n := stolen.Load(); n != 0 {
				t.Fatalf("%d calls went to another host", n)
			}
			c.follow(late.String()).want(t, 200, "user "+victim.Email)
		})
	}
	// A client as it comes from net/http would have gone there.
	astray.Store(true)
	resp, err := http.Get(api.URL + "/identity/v2/auth/account")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if stolen.Load() != 1 {
		t.Error("the thief cannot be reached: nothing is tested")
	}
}

// B5. A dump, a backup, a replica of Redis.
func TestB5RedisDump(t *testing.T) {
	server := redistest.Start(t)
	a := newApp(t, onRedis(server))
	secrets := map[string]string{"visitor's address": "127.0.0.1"}
	for i := range 100 {
		user := a.hub.AddUser(idxtest.User{Email: fmt.Sprintf("person%d@example.com", i), FirstName: fmt.Sprintf("Firstname%d", i),
			Password: idxtest.Password, EmailVerified: true, Roles: []string{"role-of-somebody"}})
		b := a.browser()
		callback := b.callback("/note?keep=kept-by-the-application", user)
		b.follow(callback.String()).want(t, 200, "kept-by-the-application")
		if b.session() == "" {
			t.Fatalf("%s is not signed in", user.Email)
		}
		for what, secret := range b.secretsOf(callback) {
			secrets[fmt.Sprint(what, " ", i)] = secret
		}
		secrets[fmt.Sprint("session token ", i)] = b.session()[2:14] // without the tag, which Redis may see
		secrets[fmt.Sprint("e-mail ", i)] = user.Email
		secrets[fmt.Sprint("name ", i)] = user.FirstName
		secrets[fmt.Sprint("Uid ", i)] = user.UID
	}
	secrets["role"], secrets["value of the application"] = "role-of-somebody", "kept-by-the-application"

	names, dump := dumpOf(t, server)
	records := 0
	for _, name := range names {
		if strings.Contains(name, ":s:") {
			records++
		}
	}
	if records != 100 || len(dump) < 100*200 {
		t.Fatalf("%d records in a dump of %d bytes: nothing is tested", records, len(dump))
	}
	wantNone(t, "the dump", dump, secrets)
	// Nor does a key open anything: whoever has the dump has no cookie.
	b := a.browser()
	for _, name := range names {
		id := name[strings.LastIndex(name, ":")+1:]
		for _, guess := range []string{id, name, base64.RawURLEncoding.EncodeToString([]byte(id)), "AA" + (id + strings.Repeat("A", 43))[:43]} {
			if strings.ContainsFunc(guess, func(r rune) bool { return r <= ' ' || r > '~' }) {
				continue // a browser sends no such cookie
			}
			b.open("/", "Cookie", a.auth.Sessions().CookieName()+"="+guess).want(t, 200, "stranger")
		}
	}
}

// dumpOf returns the names of all keys, and all that is in Redis. It does not use DUMP,
// which compresses.
func dumpOf(t *testing.T, server *redistest.Server) (names []string, dump string) {
	t.Helper()
	var all strings.Builder
	client, ctx := server.Patient(), t.Context()
	names = keys(t, server)
	for _, name := range names {
		kind, err := client.Type(ctx, name).Result()
		if err != nil {
			t.Fatal(err)
		}
		var content string
		switch kind {
		case "string":
			content, err = client.Get(ctx, name).Result()
		case "zset":
			var members []string
			members, err = client.ZRange(ctx, name, 0, -1).Result()
			content = strings.Join(members, "\n")
		default:
			t.Fatalf("%q is a %s, which this test does not read", name, kind)
		}
		if err != nil {
			t.Fatalf("%q: %v", name, err)
		}
		all.WriteString(name + "\n" + content + "\n")
	}
	return names, all.String()
}

// B6. What a page is given by habit ends up in scripts, caches and templates. pomerium
// CVE-2024-39315: the page about the user held the tokens.
func TestB6TokenReachesThePage(t *testing.T) {
	var explicit atomic.Value
	a := newSecureApp(t, func(c *middleware.Config) { c.Devices = true })
	a.mux.Handle("/profile", a.auth.RequireLogin(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user := middleware.User(r.Context())
		explicit.Store(user.AccessToken())
		json.NewEncoder(w).Encode(user)
		fmt.Fprintf(w, "%v %+v %#v raw %s", user, user, r.Context(), user.Raw)
	})))
	b := a.browser()
	callback := b.callback("/profile", victim)
	page := b.follow(callback.String())
	page.want(t, 200, victim.FirstName)
	secrets := b.secretsOf(callback)
	wantNone(t, "the page", page.body, secrets)
	for _, path := range []string{"/auth/devices", "/dashboard/", "/auth/logout"} {
		for _, accept := range []string{"text/html", "application/json"} {
			got := b.open(path, "Accept", accept)
			got.want(t, 200, "")
			wantNone(t, path, got.body, secrets)
		}
	}
	// Who asks for it gets it.
	if got, _ := explicit.Load().(idx.Token); string(got) != callback.Query().Get("token") {
		t.Error("AccessToken is not the token of the login")
	}
	// And no script can read a cookie.
	for _, c := range append(a.browser().open("/dashboard/").Cookies(), b.signOut().Cookies()...) {
		if !c.HttpOnly {
			t.Errorf("scripts can read %s", c.Name)
		}
	}
}

// B7. Secrets in the list of processes, in the image, in the repository: they come from
// files, and no error shows what is in one.
func TestB7SecretsFromFiles(t *testing.T) {
	hub := idxtest.NewServer(t)
	server := redistest.Start(t)
	write := func(name, content string) string {
		file := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	want := hub.Config()
	for name, value := range map[string]string{
		"LOGINRADIUS_APP_NAME": want.AppName, "LOGINRADIUS_API_KEY": want.APIKey,
		"LOGINRADIUS_HUB_URL": want.HubURL, "LOGINRADIUS_API_URL": want.APIURL,
		"LOGINRADIUS_API_SECRET": "", "REDIS_URL": "",
		"LOGINRADIUS_API_SECRET_FILE": write("secret", string(want.APISecret)+"\n"),
		"REDIS_URL_FILE":              write("redis", "redis://"+server.Addr+"\n"),
	} {
		t.Setenv(name, value)
	}
	cfg, err := middleware.FromEnv()
	if err != nil {
		t.Fatal(err)
	}
	if cfg.IDX.APISecret != want.APISecret {
		t.Error("the secret in the file was not read")
	}
	wantNone(t, "the configuration", fmt.Sprintf("%v %+v %#v", cfg, cfg, cfg), map[string]string{"API secret": string(want.APISecret)})
	// It is a whole configuration.
	a := startApp(t, &app{hub: hub}, []func(*middleware.Config){func(c *middleware.Config) { c.IDX, c.Store = cfg.IDX, cfg.Store }})
	a.browser().login("/dashboard/", victim).want(t, 200, "user "+victim.Email)
	if len(keys(t, server)) == 0 {
		t.Error("the session is not in the Redis that the file names")
	}

	const password = "hunter2-in-the-file"
	t.Setenv("REDIS_URL_FILE", write("redis", "redis://:"+password+"@local host:port/"))
	if _, err := middleware.FromEnv(); err == nil || strings.Contains(err.Error(), password) {
		t.Errorf("a bad address: error %v", err)
	}
	t.Setenv("LOGINRADIUS_API_SECRET", "also-here")
	if _, err := middleware.FromEnv(); err == nil || strings.Contains(err.Error(), "also-here") || strings.Contains(err.Error(), string(want.APISecret)) {
		t.Errorf("both given: error %v", err)
	}
}
