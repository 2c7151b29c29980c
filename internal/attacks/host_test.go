package attacks_test

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/idxauth/idxauth/idx"
	"github.com/idxauth/idxauth/idx/idxtest"
	"github.com/idxauth/idxauth/middleware"
)

// returnURL returns the address, without its query, to which the hosted page is to send
// the token.
func returnURL(t *testing.T, got *answer) string {
	t.Helper()
	u, err := url.Parse(got.location())
	if err != nil {
		t.Fatal(err)
	}
	address, _, _ := strings.Cut(u.Query().Get("return_url"), "?")
	return address
}

// D1. The return URL is made of the Host header, as a tutorial of LoginRadius does with
// request.host_url: whoever gets a cache or a proxy to pass his on is sent the token.
// zitadel CVE-2025-64101: the link of a mail followed the host that was asked.
func TestD1HostHeader(t *testing.T) {
	for name, start := range map[string]func(*testing.T, ...func(*middleware.Config)) *app{"http": newApp, "https": newSecureApp} {
		t.Run(name, func(t *testing.T) {
			a := start(t)
			want := a.origin + "/auth/callback"
			for _, path := range []string{"/dashboard/", "/auth/login", "/fresh", "/auth/logout"} {
				for _, head := range []string{
					"GET %s HTTP/1.1\r\nHost: " + a.host(), // the honest one
					"GET %s HTTP/1.1\r\nHost: evil.example",
					"GET %s HTTP/1.1\r\nHost: evil.example:443",
					"GET %s HTTP/1.1\r\nHost: " + a.host() + ".evil.example",
					"GET %s HTTP/1.1\r\nHost: " + a.host() + "@evil.example",
					"GET %s HTTP/1.1\r\nHost: [::1]:1",
					"GET %s HTTP/1.1\r\nHost: ",
					"GET http://evil.example%s HTTP/1.1\r\nHost: " + a.host(),
					"GET http://evil.example%s HTTP/1.1\r\nHost: evil.example",
					"GET https://user@evil.example:99%s HTTP/1.1\r\nHost: " + a.host(),
					"GET %s HTTP/1.0",
					"GET %s HTTP/1.0\r\nHost: evil.example",
				} {
					request := fmt.Sprintf(head, path) + "\r\nAccept: text/html\r\nConnection: close\r\n\r\n"
					if path == "/auth/logout" {
						request = strings.Replace(request, "GET", "POST", 1)
					}
					got := a.raw(request)
					if got.StatusCode == http.StatusBadRequest && strings.Contains(head, "@evil") {
						continue // net/http refuses it
					}
					if path == "/auth/logout" {
						if back := returnURL(t, got); back != a.origin+"/" {
							t.Errorf("%.60q: the logout returns to %q (%s)", request, back, got.Status)
						}
						continue
					}
					if back := returnURL(t, got); back != want || !strings.HasPrefix(got.location(), a.hub.URL+"/") {
						t.Errorf("%.60q: the token goes to %q (%s, %q)", request, back, got.Status, got.location())
					}
					for _, c := range got.Cookies() {
						if c.Domain != "" {
							t.Errorf("%.60q: cookie for %q", request, c.Domain)
						}
					}
				}
			}
			a.browser().login("/dashboard/", victim).want(t, 200, "user "+victim.Email)
		})
	}
	// Without an address of its own an application does not start.
	for _, base := range []string{"", "//app.example.com", "app.example.com", "/"} {
		auth, err := middleware.New(middleware.Config{IDX: idxtest.NewServer(t).Config(), BaseURL: base, Store: newApp(t).store})
		if err == nil {
			auth.Close()
			t.Errorf("New took the base URL %q", base)
		}
	}
}

// D2. A client says that he is somewhere else, or asks for something else.
// oauth2-proxy CVE-2026-40575: what needs a login was decided by X-Forwarded-Uri; chi's
// RealIP and Traefik CVE-2026-35051: headers of strangers were believed.
func TestD2ForwardedHeaders(t *testing.T) {
	lies := []string{
		"X-Forwarded-Host", "evil.example", "X-Forwarded-Proto", "http", "X-Forwarded-Port", "80", "X-Forwarded-Prefix", "/evil", "X-Forwarded-Server", "evil.example",
		"Forwarded", "for=203.0.113.9;host=evil.example;proto=http", "X-Forwarded-Uri", "/", "X-Original-Url", "/", "X-Rewrite-Url", "/", "X-Original-Host", "evil.example",
		"X-Forwarded-Scheme", "http", "X-Url-Scheme", "http", "Front-End-Https", "off", "X-Forwarded-Method", "OPTIONS", "X-Http-Method-Override", "OPTIONS",
		"X-Forwarded-For", "203.0.113.9", "X-Real-Ip", "203.0.113.9", "True-Client-Ip", "203.0.113.9", "Cf-Connecting-Ip", "203.0.113.9", "X_forwarded_host", "evil.example",
		"X-Forwarded-User", victim.Email, "X-Forwarded-Email", victim.Email, "X-Auth-Request-User", victim.UID, "Remote-User", victim.Email, "X-Middleware-Subrequest", "middleware",
		"User-Agent", "GoogleHC/1.0", "Authorization", "Basic YWRtaW46YWRtaW4=",
	}
	a := newSecureApp(t)
	b := a.browser()
	got := b.open("/dashboard/", lies...)
	got.wantHub(t, a)
	if back := returnURL(t, got); back != a.origin+"/auth/callback" {
		t.Errorf("the token goes to %q", back)
	}
	for _, c := range got.Cookies() {
		if !c.Secure || !strings.HasPrefix(c.Name, "__Host-") {
			t.Errorf("cookie %v", c)
		}
	}
	if a.served.Load() != 0 {
		t.Fatal("a stranger saw the page")
	}
	b.open("/dashboard/", append(lies, "Sec-Fetch-Mode", "cors")...).want(t, 401, "login_required")

	// The network that a session keeps is that of the connection.
	at := b.open(b.open("/dashboard/").location())
	at = b.submit(at, victim)
	b.open(at.location(), lies...)
	b.open("/dashboard/", lies...).want(t, 200, "user "+victim.Email)
	if n := networksOf(t, a, victim); len(n) != 1 || n[0] != "local network" {
		t.Errorf("the session is from %v", n)
	}
	// Where an operator names the header that his proxy sets, that is read, for the list.
	trusting := newSecureApp(t, func(c *middleware.Config) {
		c.ClientIP = func(r *http.Request) netip.Addr {
			addr, _ := netip.ParseAddr(r.Header.Get("X-Real-Ip"))
			return addr
		}
	})
	b = trusting.browser()
	callback := b.callback("/dashboard/", victim)
	b.open(callback.String(), lies...)
	if n := networksOf(t, trusting, victim); len(n) != 1 || !strings.HasPrefix(n[0], "203.0.113.") {
		t.Errorf("with ClientIP the session is from %v", n)
	}
}

func networksOf(t *testing.T, a *app, user idxtest.User) []string {
	t.Helper()
	infos, err := a.auth.Sessions().List(t.Context(), user.UID)
	if err != nil {
		t.Fatal(err)
	}
	var networks []string
	for _, info := range infos {
		networks = append(networks, info.Device.Network)
	}
	return networks
}

// D3. A name from the configuration that becomes part of an address, and breaks out of it.
func TestD3NamesThatBreakOutOfTheHost(t *testing.T) {
	a := newApp(t)
	try := func(change func(*middleware.Config)) error {
		cfg := middleware.Config{IDX: a.hub.Config(), BaseURL: a.origin, Store: a.store}
		change(&cfg)
		auth, err := middleware.New(cfg)
		if err == nil {
			auth.Close()
		}
		return err
	}
	for _, name := range []string{
		"", "evil.example/", "evil.example#", "evil.example?", "a@evil.example/", "x/../..", "127.0.0.1/", "[::1]/", "a.b", "a_b", "-a", "a-", "A", "my app", "my-app\n", "my-app\r\nX: 1",
		"my-app%2f", "my-app:443", `my-app\`, "bücher", strings.Repeat("a", 64),
	} {
		if err := try(func(c *middleware.Config) { c.IDX.AppName, c.IDX.HubURL = name, "" }); err == nil || !strings.Contains(err.Error(), "AppName") {
			t.Errorf("AppName %q: %v", name, err)
		}
	}
	for _, address := range []string{
		"http://hub.example.com", "//hub.example.com", "hub.example.com", "ftp://hub.example.com", "javascript:alert(1)", "https://", "https:///x", "https://user@hub.example.com",
		"https://hub.example.com@evil.example", "https://hub.example.com/", "https://hub.example.com/path", "https://hub.example.com?x", "https://hub.example.com#x", `https://hub.example.com\@evil.example`,
		"https://hub.example.com\r\n", "https://hub example.com", "http://localhost.evil.example", "http://127.0.0.1.evil.example", "http://[::1].evil.example", "https://hub.example.com:99999", "HTTP://127.0.0.1/",
	} {
		if err := try(func(c *middleware.Config) { c.IDX.HubURL = address }); err == nil || !strings.Contains(err.Error(), "HubURL") {
			t.Errorf("HubURL %q: %v", address, err)
		}
		if err := try(func(c *middleware.Config) { c.IDX.APIURL = address }); err == nil || !strings.Contains(err.Error(), "APIURL") {
			t.Errorf("APIURL %q: %v", address, err)
		}
	}
	// All problems come at once.
	err := try(func(c *middleware.Config) {
		c.IDX = idx.Config{AppName: "a/b", HubURL: "http://evil.example", APIURL: "http://evil.example"}
		c.BaseURL, c.Store = "http://evil.example", nil
	})
	for _, field := range []string{"AppName", "APIKey", "HubURL", "APIURL", "BaseURL", "Store"} {
		if err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("the error does not name %s: %v", field, err)
		}
	}
	// A good name is one label of the host, and nothing else of the address.
	for _, name := range []string{"my-app", "a", "0x7f", strings.Repeat("a", 63)} {
		b := newApp(t, func(c *middleware.Config) { c.IDX.AppName, c.IDX.HubURL = name, "" })
		got := b.browser().open("/dashboard/")
		if u, err := got.Location(); err != nil || u.Host != name+".hub.loginradius.com" || u.Scheme != "https" {
			t.Errorf("AppName %.20q: %s (%v)", name, got.location(), err)
		}
	}
}

// D4. Something from outside becomes part of an address of the API.
func TestD4PathsOfTheAPI(t *testing.T) {
	for _, uid := range []string{"../role?x=1", "..", ".", "a/../../auth/account", "a?x=1", "a#x", "a%2f..%2frole", "a b", "a;b", `a\..\b`, "//evil.example/x", "@evil.example", "http://evil.example/"} {
		a := newApp(t, editing(func(_ string, answer map[string]any) {
			if _, ok := answer["Uid"]; ok {
				answer["Uid"] = uid
			}
		}))
		// The rule reads the account anew, by its Uid.
		a.mux.Handle("/verified", a.auth.Require(middleware.EmailVerified())(http.HandlerFunc(a.page)))
		b := a.browser()
		b.login("/dashboard/", idxtest.Alan)
		before := len(a.hub.Requests())
		b.open("/verified")
		for _, r := range a.hub.Requests()[before:] {
			// One element below the account: whatever it is, it is no other call.
			rest, ok := strings.CutPrefix(r.Path, "/identity/v2/manage/account/")
			if !ok || slices.Contains(r.Query, "x") || strings.Trim(uid, "./") == "" || rest != uid {
				t.Errorf("Uid %q: call of %s with query %v", uid, r.Path, r.Query)
			}
		}
	}
	a := newApp(t)
	a.mux.Handle("/verified", a.auth.Require(middleware.EmailVerified())(http.HandlerFunc(a.page)))
	b := a.browser()
	b.login("/dashboard/", idxtest.Alan).want(t, 200, "user")
	b.open("/verified").want(t, 403, "email_unverified")
	if a.hub.Count("GET /identity/v2/manage/account/"+idxtest.Alan.UID) == 0 {
		t.Errorf("the account was not read: nothing is tested: %v", a.hub.Requests())
	}
	// And nothing that a visitor says chooses the host.
	for _, header := range []string{"Host", "X-Forwarded-Host", "X-Api-Url", "Origin", "Referer"} {
		b.open("/verified?apiurl=https://evil.example&domain=evil.example", header, "https://evil.example")
	}
}

// D5. The tenant lets the hosted page send tokens anywhere, which is how a new one begins.
// An attacker sends the victim, whom the hosted page knows, to it with his own return URL.
// The list of the tenant is what prevents that; here it is shown what is left without.
func TestD5WideWhitelist(t *testing.T) {
	var stolen atomic.Value
	thief := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		stolen.Store(r.URL.Query().Get("token"))
	}))
	defer thief.Close()
	a := newApp(t)
	b := a.browser()
	b.login("/dashboard/", victim).want(t, 200, "user")
	link := a.hub.URL + "/auth.aspx?action=login&return_url=" + url.QueryEscape(thief.URL+"/")
	b.follow(link)
	token, _ := stolen.Load().(string)
	if token == "" {
		t.Fatal("the hosted page kept the token: nothing is tested")
	}
	// It was used here, in the victim's browser: in the thief's it is refused.
	evil := a.browser()
	evil.open(with(evil.callback("/dashboard/", attacker), "token", token))
	if evil.session() != "" || a.refused("token_replayed") != 1 {
		t.Errorf("the thief has session %q; refusals: %v", evil.session(), a.refusals())
	}
	b.open("/dashboard/").want(t, 200, "user "+victim.Email)

	// With an exact list the hosted page gives nothing away, and logins go on.
	a.hub.Set(func(s *idxtest.Settings) {
		s.Whitelist, s.Whitelisted = idxtest.WhitelistHostPort, []string{a.origin}
	})
	stolen.Store("")
	b.follow(link).want(t, 400, "not allowed")
	if stolen.Load() != "" {
		t.Error("the hosted page sent the token to a host that is not on the list")
	}
	a.browser().login("/dashboard/", victim).want(t, 200, "user "+victim.Email)
}

// D6. The environment names a proxy, or somebody else sits on the way: he sees where the
// calls go, and none of what they say.
func TestD6ProxyOnTheWayToTheAPI(t *testing.T) {
	hub := idxtest.NewServer(t)
	api := httptest.NewUnstartedServer(hub.Handler())
	api.Config.ErrorLog = log.New(io.Discard, "", 0) // below, a client breaks off
	api.StartTLS()
	defer api.Close()
	proxy := newTunnel(t)
	transport := &http.Transport{
		Proxy:           http.ProxyURL(&url.URL{Scheme: "http", Host: proxy.addr}),
		TLSClientConfig: &tls.Config{RootCAs: testRoots()},
	}
	defer transport.CloseIdleConnections()
	a := startApp(t, &app{hub: hub}, []func(*middleware.Config){func(c *middleware.Config) {
		c.IDX.APIURL = api.URL
		c.IDX.HTTPClient = &http.Client{Transport: transport}
	}})
	a.mux.Handle("/verified", a.auth.Require(middleware.EmailVerified())(http.HandlerFunc(a.page)))
	b := a.browser()
	callback := b.callback("/dashboard/", idxtest.Alan)
	b.follow(callback.String()).want(t, 200, "user "+idxtest.Alan.Email)
	b.open("/verified").want(t, 403, "email_unverified") // a call with the secret

	seen := proxy.String()
	if !strings.HasPrefix(seen, "CONNECT "+strings.TrimPrefix(api.URL, "https://")) {
		t.Fatalf("the calls did not go through the proxy: %.100q", seen)
	}
	secrets := b.secretsOf(callback)
	secrets["API key"], secrets["e-mail"], secrets["Uid"] = hub.Config().APIKey, idxtest.Alan.Email, idxtest.Alan.UID
	wantNone(t, "what the proxy saw", seen, secrets)

	// One that breaks TLS open is not taken for the API: nobody gets in, and the token is
	// not told.
	stranger := startApp(t, &app{hub: hub}, []func(*middleware.Config){func(c *middleware.Config) { c.IDX.APIURL = api.URL }})
	before := hub.Count("GET /identity/v2/auth/account")
	c := stranger.browser()
	c.open(c.callback("/dashboard/", victim).String()).want(t, 503, "provider_unavailable")
	if hub.Count("GET /identity/v2/auth/account") != before {
		t.Error("the call was made to a host whose certificate nobody vouches for")
	}
}

// tunnel is a proxy that writes down all that passes.
type tunnel struct {
	addr string
	logBuffer
}

func newTunnel(t *testing.T) *tunnel {
	t.Helper()
	p := new(tunnel)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(p, "%s %s %v\n", r.Method, r.RequestURI, r.Header)
		if r.Method != http.MethodConnect {
			io.Copy(p, r.Body)
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		out, err := net.Dial("tcp", r.RequestURI)
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		defer out.Close()
		in, buffered, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer in.Close()
		io.WriteString(in, "HTTP/1.1 200 Connection established\r\n\r\n")
		done := make(chan error, 2)
		pass := func(to io.Writer, from io.Reader) {
			_, err := io.Copy(io.MultiWriter(p, to), from) // written down before anybody acts on it
			done <- errors.Join(err, in.Close(), out.Close())
		}
		go pass(out, buffered)
		pass(in, out)
		<-done
		<-done
	}))
	t.Cleanup(server.Close)
	p.addr = server.Listener.Addr().String()
	return p
}
