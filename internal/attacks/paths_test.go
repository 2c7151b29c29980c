package attacks_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/idxauth/idxauth/idx/idxtest"
	"github.com/idxauth/idxauth/middleware"
)

// M1. Router and rule see different paths (oauth2-proxy CVE-2025-54576: the query took part;
// CVE-2026-41059: the fragment; Traefik CVE-2025-66490, CVE-2026-40912; Caddy
// CVE-2026-27587, CVE-2022-28923; Spring CVE-2022-22978; chi GO-2025-3770, GO-2026-4316).
// There are no rules about paths here: who wraps a handler has it protected, however the
// request spells the way there.
func TestM1PathConfusion(t *testing.T) {
	a := newApp(t)
	secret := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "secret of %s", middleware.User(r.Context()).Email)
	})
	public := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "public") })
	inside := http.NewServeMux() // protects single handlers
	inside.Handle("/auth/", a.auth.Handler())
	inside.Handle("/public/", public)
	inside.Handle("/secret/", a.auth.RequireLogin(secret))
	inside.Handle("/sub/", http.StripPrefix("/sub", a.auth.RequireLogin(secret)))
	inner := http.NewServeMux()
	inner.Handle("/secret/", secret)
	outside := http.NewServeMux() // protects a whole router, which decides anew
	outside.Handle("/auth/", a.auth.Handler())
	outside.Handle("/public/", public)
	outside.Handle("/", a.auth.RequireLogin(inner))
	b := a.browser()
	b.enter(idxtest.Ada)
	targets := []string{
		"/secret/x", "//secret/x", "/./secret/x", "/public/../secret/x", "/public/..%2fsecret/x", "/public/%2e%2e/secret/x", "/public/%252e%252e/secret/x",
		"/public//../secret/x", "/public/..;/secret/x", "/public;/../secret/x", "/secret;x=/public/", "/secret/;/public/", "/secret/x?/public/", "/secret/x?a=/public/",
		"/secret/x#/public/", "/secret/x%23/public/", "/secret/x%3f/public/", "/%73ecret/x", "/secret%2fx", "/SECRET/x", "/Secret/x", "/secret/x%00/public/", "/secret/x%0a/public/",
		"/secret/x%0d%0a", "/secret\\x", "/public/..\\secret/x", "/public/%5c../secret/x", "/secret/x.css", "/secret/x/..", "/secret/x/favicon.ico", "/secret/auth/callback",
		"/secret/../secret/x", "/sub/secret/x", "/sub//secret/x", "/sub/../secret/x", "/auth/../secret/x", "/auth/callback/../../secret/x", "/auth%2f..%2fsecret/x",
		"http://localhost/secret/x", "http://evil.example/secret/x", "HTTP://x/secret/x", "//evil.example/secret/x", "/secret/\u017f", "/secret/%c0%ae%c0%ae/x", "/secret/x/.%2e/y",
	}
	for name, root := range map[string]http.Handler{"router outside": inside, "router inside": outside} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(root)
			defer server.Close()
			addr := strings.TrimPrefix(server.URL, "http://")
			shown := 0
			for _, target := range targets {
				ask := func(cookie string) string {
					text := ""
					for _, got := range rawAll(t, addr, "GET "+target+" HTTP/1.1\r\nHost: "+a.host()+"\r\nAccept: text/html\r\n"+cookie+"Connection: close\r\n\r\n") {
						text += got.body
						if at := got.location(); strings.HasPrefix(at, "http") && !strings.HasPrefix(at, a.hub.URL+"/auth.aspx") {
							t.Errorf("%s leads to %q", target, at)
						}
					}
					return text
				}
				if got := ask(""); strings.Contains(got, "secret of") {
					t.Errorf("a stranger sees %s: %q", target, got)
				}
				if strings.Contains(ask("Cookie: "+b.pair("session")+"\r\n"), "secret of "+idxtest.Ada.Email) {
					shown++
				}
			}
			if shown < 10 {
				t.Errorf("Ada sees %d of them: there was little to protect", shown)
			}
		})
	}
}

// M2. A header opens the door (oauth2-proxy CVE-2026-40575: X-Forwarded-Uri; CVE-2026-34457: a
// health check's User-Agent; Next.js GHSA-f82v-jwr5-mffw; chi's RealIP).
func TestM2HeadersOpenNothing(t *testing.T) {
	a := newApp(t)
	token := string(a.hub.IssueToken(idxtest.Ada.Email))
	for name, values := range map[string][]string{
		"X-Middleware-Subrequest":  {"middleware", "src/middleware:src/middleware:src/middleware:src/middleware:src/middleware"},
		"X-Forwarded-Uri":          {"/", "/public"},
		"X-Original-Url":           {"/"},
		"X-Rewrite-Url":            {"/"},
		"X-Forwarded-For":          {"127.0.0.1", "::1"},
		"X-Real-Ip":                {"127.0.0.1"},
		"Forwarded":                {"for=127.0.0.1;host=localhost;proto=https"},
		"X-Forwarded-Proto":        {"https"},
		"User-Agent":               {"kube-probe/1.30", "GoogleHC/1.0", "ELB-HealthChecker/2.0"},
		"Authorization":            {"Bearer " + token, "Basic YWRhOmFkYQ==", "Bearer \xff"},
		"X-Loginradius-Apikey":     {a.hub.Config().APIKey},
		"X-Http-Method-Override":   {"OPTIONS", "HEAD"},
		"X-Forwarded-Method":       {"OPTIONS"},
		"X-Auth-Request-User":      {idxtest.Ada.Email},
		"X-Idxauth-User":           {idxtest.Ada.UID},
		"Cookie2":                  {a.auth.Sessions().CookieName() + "=x"},
		"Sec-Websocket-Protocol":   {token},
		"Proxy-Authorization":      {"Bearer " + token},
		"X-Requested-With":         {"XMLHttpRequest"},
		"Access-Control-Request-X": {"x"},
	} {
		for _, value := range values {
			for _, path := range []string{"/dashboard/", "/admin"} {
				b := a.browser()
				req := b.request("GET", path)
				req.Header[name] = []string{value}
				if got := b.do(req); got.StatusCode != 302 && got.StatusCode != 401 {
					t.Errorf("%s: %q opens %s: %s %.100q", name, value, path, got.Status, got.body)
				}
			}
		}
	}
	if a.served.Load() != 0 || a.apiCalls() != 0 {
		t.Errorf("%d pages shown, %d calls of the API", a.served.Load(), a.apiCalls())
	}
	a.browser().enter(idxtest.Ada) // by the cookie alone
}

// M3. Headers that name somebody, in every spelling, change nothing about who is there
// (oauth2-proxy CVE-2025-64484: X_Forwarded_User; Caddy CVE-2026-30851, CVE-2026-52845;
// Traefik CVE-2026-35051). The library exports none.
func TestM3IdentityHeaders(t *testing.T) {
	a := newApp(t)
	a.protect("/who", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "user %s admin %v", middleware.User(r.Context()).Email, middleware.User(r.Context()).HasRole("admin"))
	})
	var spoofed []string
	for _, name := range []string{"X-Forwarded-User", "X_Forwarded_User", "X-Forwarded-Email", "X-Forwarded-Groups", "Remote-User", "REMOTE_USER", "X-Remote-User", "X-Auth-User", "X-User", "X-Uid", "X-Roles"} {
		spoofed = append(spoofed, name+": "+idxtest.Ada.Email+", admin")
	}
	b := a.browser()
	b.enter(idxtest.Grace)
	for _, got := range rawAll(t, a.addr, "GET /who HTTP/1.1\r\nHost: x\r\n"+strings.Join(spoofed, "\r\n")+"\r\nCookie: "+b.pair("session")+"\r\nConnection: close\r\n\r\n") {
		got.want(t, 200, "user "+idxtest.Grace.Email+" admin false")
		for name := range got.Header {
			if strings.Contains(strings.ToLower(name), "user") || strings.Contains(strings.ToLower(name), "email") {
				t.Errorf("the answer says %s", name)
			}
		}
	}
	for _, got := range rawAll(t, a.addr, "GET /who HTTP/1.1\r\nHost: x\r\n"+strings.Join(spoofed, "\r\n")+"\r\nConnection: close\r\n\r\n") {
		got.want(t, 401, "login_required")
	}
}

// M4. Other methods on our routes: link scanners that send HEAD use up states, and methods in
// other spellings or in a parameter slip by.
func TestM4MethodGames(t *testing.T) {
	a := newApp(t)
	b := a.browser()
	back := b.ticket("/dashboard/", idxtest.Ada)
	path := strings.TrimPrefix(back, a.origin)
	calls := a.apiCalls()
	for _, method := range []string{"HEAD", "POST", "PUT", "get", "Get", "OPTIONS", "TRACE", "PROPFIND", "GETX"} {
		for _, more := range []string{"", "X-HTTP-Method-Override: GET\r\n", "X-Method-Override: GET\r\n"} {
			for _, got := range rawAll(t, a.addr, method+" "+path+"&_method=GET HTTP/1.1\r\nHost: x\r\nCookie: "+b.pair("login")+"\r\n"+more+"Content-Length: 0\r\nConnection: close\r\n\r\n") {
				if got.StatusCode < 400 || len(got.Cookies()) > 0 {
					t.Errorf("%s %s of the callback: %s with %v", method, more, got.Status, got.Cookies())
				}
			}
		}
	}
	if n := a.apiCalls() - calls; n != 0 {
		t.Errorf("%d calls of the API", n)
	}
	b.open(back).want(t, 303, "")
	b.wantUser(idxtest.Ada)
	for _, request := range []string{
		"GET /auth/logout?_method=POST HTTP/1.1\r\n", "GET /auth/logout HTTP/1.1\r\nX-HTTP-Method-Override: POST\r\n",
		"post /auth/logout HTTP/1.1\r\n", "DELETE /auth/logout HTTP/1.1\r\n", "PUT /auth/logout HTTP/1.1\r\n", "POSTX /auth/logout HTTP/1.1\r\n",
	} {
		rawAll(t, a.addr, request+"Host: x\r\nCookie: "+b.pair("session")+"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
		b.wantUser(idxtest.Ada)
	}
	b.signOut().want(t, 303, "")
	b.wantStranger()
}

// M5. A stranger's form is sent on to the hosted page, body and all, or is answered with the
// page and the login at once (mod_auth_openidc GHSA-59jp-rwph-878r).
func TestM5UnsafeMethods(t *testing.T) {
	a := newApp(t)
	b := a.browser()
	for _, method := range []string{"POST", "PUT", "PATCH", "DELETE"} {
		req := b.request(method, "/dashboard/transfer", "Sec-Fetch-Site", "same-origin", "Content-Type", "application/x-www-form-urlencoded")
		req.Body, req.ContentLength = io.NopCloser(strings.NewReader("amount=1000000")), 14
		got := b.do(req)
		got.want(t, 401, "login_required")
		if got.location() != "" {
			t.Errorf("%s is sent on to %q", method, got.location())
		}
	}
	if a.served.Load() != 0 {
		t.Error("the handler was called")
	}
	for _, path := range []string{"/dashboard/", "/auth/login", "/auth/register", "/admin"} {
		if got := b.open(path); got.StatusCode != 302 {
			t.Errorf("%s: %s, want 302: others can keep method and body", path, got.Status)
		}
	}
	if n := len(a.hub.Requests()); n != 0 {
		t.Errorf("the hosted page has seen %d requests", n)
	}
	b.enter(idxtest.Ada)
	b.do(b.request("POST", "/dashboard/transfer")).want(t, 200, "user "+idxtest.Ada.Email)
}

// M6. A stranger opens a socket, or another site opens one with the cookies of a visitor.
func TestM6WebSocketUpgrade(t *testing.T) {
	a := newApp(t)
	var upgraded atomic.Int64
	a.protect("/socket", func(w http.ResponseWriter, r *http.Request) {
		upgraded.Add(1)
		if origin := r.Header.Get("Origin"); origin != a.origin { // the application's own check
			http.Error(w, "foreign origin", http.StatusForbidden)
			return
		}
		w.Header().Set("Upgrade", "websocket")
		w.Header().Set("Connection", "Upgrade")
		w.WriteHeader(http.StatusSwitchingProtocols)
	})
	b := a.browser()
	b.enter(idxtest.Ada)
	ask := func(origin, cookie string) *answer {
		t.Helper()
		return rawAll(t, a.addr, "GET /socket HTTP/1.1\r\nHost: "+a.host()+"\r\nOrigin: "+origin+"\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: eHh4eHh4eHh4eHh4eHh4eA==\r\nAccept: text/html\r\nSec-Fetch-Mode: navigate\r\n"+cookie+"\r\n")[0]
	}
	got := ask(a.origin, "")
	if got.StatusCode != 401 || got.location() != "" || upgraded.Load() != 0 {
		t.Errorf("a stranger: %s to %q", got.Status, got.location())
	}
	ask(a.origin, "Cookie: "+b.pair("session")+"\r\n").want(t, 101, "")
	ask("https://evil.example", "Cookie: "+b.pair("session")+"\r\n").want(t, 403, "foreign origin")
	// What keeps the cookie at home: browsers send Lax cookies on top-level navigations alone.
	for _, cookie := range b.open(b.ticket("/auth/login", idxtest.Ada)).Cookies() {
		if cookie.SameSite != http.SameSiteLaxMode {
			t.Errorf("%s is not Lax", cookie.Name)
		}
	}
}

// M7. The same requests by every protocol, and in forms that only machines write.
func TestM7ProtocolForms(t *testing.T) {
	a := newApp(t)
	b := a.browser()
	b.enter(idxtest.Ada)
	cookie := b.pair("session")
	t.Run("protocols", func(t *testing.T) {
		h1, h2, h2c := new(http.Protocols), new(http.Protocols), new(http.Protocols)
		h1.SetHTTP1(true)
		h2.SetHTTP2(true)
		h2c.SetUnencryptedHTTP2(true)
		for name, protocols := range map[string]*http.Protocols{"HTTP/1.1": h1, "HTTP/2": h2, "HTTP/2 without TLS": h2c} {
			server := httptest.NewUnstartedServer(a.mux)
			server.Config.Protocols = protocols
			if server.EnableHTTP2 = protocols == h2; protocols == h2 {
				server.StartTLS()
			} else {
				server.Start()
			}
			defer server.Close()
			client := &http.Client{
				Transport:     &http.Transport{Protocols: protocols, TLSClientConfig: &tls.Config{RootCAs: testRoots(), ServerName: "example.com"}},
				CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
			}
			for _, tt := range []struct {
				method, path, cookie string
				status               int
			}{
				{"GET", "/dashboard/", "", 302},
				{"GET", "/dashboard/", cookie, 200},
				{"GET", "/admin", cookie, 200},
				{"POST", "/dashboard/", "", 401},
				{"OPTIONS", "/dashboard/", "", 401},
				{"HEAD", "/auth/callback?token=x", "", 405},
				{"GET", "/auth/callback?token=x", "", 302},
			} {
				req, err := http.NewRequest(tt.method, server.URL+tt.path, nil)
				if err != nil {
					t.Fatal(err)
				}
				req.Header.Set("Accept", "text/html")
				if tt.cookie != "" {
					req.Header.Set("Cookie", tt.cookie)
				}
				resp, err := client.Do(req)
				if err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				body, _ := io.ReadAll(resp.Body)
				resp.Body.Close()
				if (resp.ProtoMajor == 2) == (protocols == h1) {
					t.Errorf("%s was spoken for %s", resp.Proto, name)
				}
				if resp.StatusCode != tt.status || strings.Contains(string(body), "user ") != (tt.status == 200) {
					t.Errorf("%s %s by %s: %s %.100q", tt.method, tt.path, name, resp.Status, body)
				}
				if at := resp.Header.Get("Location"); at != "" && !strings.Contains(at, url.QueryEscape(a.origin+"/auth/callback")) {
					t.Errorf("%s by %s leads to %q", tt.path, name, at)
				}
			}
		}
	})
	t.Run("smuggling", func(t *testing.T) {
		// Behind each of them stands a request of a stranger for a protected page; the first
		// request has Ada's cookie. Whatever the server takes for a request is judged by its
		// own cookies, and no connection remembers anybody.
		hidden := "GET /dashboard/hidden HTTP/1.1\r\nHost: x\r\nAccept: text/html\r\n\r\n"
		head := "Host: x\r\nCookie: " + cookie + "\r\n"
		for name, text := range map[string]string{
			"pipelined":               "GET / HTTP/1.1\r\n" + head + "\r\n" + hidden,
			"CL and TE":               fmt.Sprintf("POST / HTTP/1.1\r\n%sContent-Length: %d\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", head, len(hidden)+5) + hidden,
			"TE and CL":               "POST / HTTP/1.1\r\n" + head + "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n" + hidden,
			"two CL":                  fmt.Sprintf("POST / HTTP/1.1\r\n%sContent-Length: 0\r\nContent-Length: %d\r\n\r\n", head, len(hidden)) + hidden,
			"CL list":                 fmt.Sprintf("POST / HTTP/1.1\r\n%sContent-Length: 0, %d\r\n\r\n", head, len(hidden)) + hidden,
			"CL with a sign":          "POST / HTTP/1.1\r\n" + head + "Content-Length: +0\r\n\r\n" + hidden,
			"TE twice":                "POST / HTTP/1.1\r\n" + head + "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n" + hidden,
			"TE with a tab":           "POST / HTTP/1.1\r\n" + head + "Transfer-Encoding:\tchunked\r\n\r\n0\r\n\r\n" + hidden,
			"TE of another name":      "POST / HTTP/1.1\r\n" + head + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + hidden,
			"chunk size with bare LF": "POST / HTTP/1.1\r\n" + head + "Transfer-Encoding: chunked\r\n\r\n0;x\n\r\n" + hidden, // Go CVE-2025-22871
			"space before the colon":  "POST / HTTP/1.1\r\n" + head + "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n" + hidden,
			"obs-fold":                "POST / HTTP/1.1\r\n" + head + "X: y\r\n Transfer-Encoding: chunked\r\n\r\n" + hidden,
			"obs-fold of a cookie":    "GET /dashboard/ HTTP/1.1\r\nHost: x\r\nAccept: text/html\r\nCookie: a=b;\r\n c=d\r\n\r\n" + hidden,
			"bare LF":                 "GET / HTTP/1.1\nHost: x\nCookie: " + cookie + "\n\n" + hidden,
			"bare CR":                 "GET / HTTP/1.1\r\nHost: x\r\nX: a\rCookie: " + cookie + "\r\n\r\n" + hidden,
			"body of a GET":           fmt.Sprintf("GET / HTTP/1.1\r\n%sContent-Length: %d\r\n\r\n", head, len(hidden)) + hidden,
			"HTTP/1.0 kept alive":     "GET / HTTP/1.0\r\nConnection: keep-alive\r\n" + head + "\r\n" + hidden,
			"HTTP/0.9":                "GET /dashboard/\r\n" + hidden,
			"HTTP/1.1 in lower case":  "GET /dashboard/ http/1.1\r\n" + head + "\r\n" + hidden,
			"two Hosts":               "GET / HTTP/1.1\r\nHost: evil.example\r\n" + head + "\r\n" + hidden,
			"no Host":                 "GET / HTTP/1.1\r\nCookie: " + cookie + "\r\n\r\n" + hidden,
			"NUL in a header":         "GET / HTTP/1.1\r\n" + head + "X: a\x00b\r\n\r\n" + hidden,
			"empty lines first":       "\r\n\r\nGET / HTTP/1.1\r\n" + head + "\r\n" + hidden,
		} {
			answers := rawAll(t, a.addr, text)
			if len(answers) > 2 {
				t.Errorf("%s: %d answers", name, len(answers))
			}
			for i, got := range answers {
				if strings.Contains(got.body, "user ") && (i > 0 || !strings.Contains(text[:len(text)-len(hidden)], cookie)) {
					t.Errorf("%s: a stranger sees %q", name, got.body)
				}
			}
		}
		if got := rawAll(t, a.addr, "GET /dashboard/ HTTP/1.1\r\n"+head+"\r\n"); len(got) != 1 || got[0].body != "user "+idxtest.Ada.Email {
			t.Errorf("the honest request: %v", got)
		}
	})
	t.Run("targets", func(t *testing.T) {
		for target, method := range map[string]string{
			"http://evil.example/dashboard/":      "GET",
			"https://evil.example:443/dashboard/": "GET",
			"http://evil.example@x/dashboard/":    "GET",
			"http:///dashboard/":                  "GET",
			"http://[::1]/dashboard/":             "GET",
			"*":                                   "OPTIONS",
			"evil.example:443":                    "CONNECT",
			"/dashboard/":                         "CONNECT",
			"dashboard/":                          "GET",
			"ftp://x/dashboard/":                  "GET",
			"//evil.example/..//dashboard/":       "GET",
			"http://evil.example/auth/login":      "GET",
			"http://evil.example/auth/logout":     "POST",
			"javascript:alert(1)":                 "GET",
		} {
			for _, got := range rawAll(t, a.addr, method+" "+target+" HTTP/1.1\r\nHost: "+a.host()+"\r\nAccept: text/html\r\nContent-Length: 0\r\nConnection: close\r\n\r\n") {
				if strings.Contains(got.body, "user ") {
					t.Errorf("%s %s: %q", method, target, got.body)
				}
				if at := got.location(); strings.Contains(at, "evil.example") && !strings.HasPrefix(at, "/") {
					t.Errorf("%s %s leads to %q", method, target, at)
				} else if strings.HasPrefix(at, a.hub.URL) && strings.Contains(at, "action=login") && !strings.Contains(at, url.QueryEscape(a.origin+"/auth/callback")) {
					t.Errorf("%s %s: the hosted page would go to %q", method, target, at)
				}
			}
		}
	})
}

// M8. A proxy in front decodes once more than it should: after login the page is another one
// than was judged, our own logout for example, or lies on another host.
func TestM8DoubleDecoding(t *testing.T) {
	behind := new(url.URL)
	proxy := httptest.NewUnstartedServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(behind)
		r.Out.Host = r.In.Host
		for range 2 { // this proxy likes to be sure
			if p, err := url.PathUnescape(r.Out.URL.Path); err == nil {
				r.Out.URL.Path, r.Out.URL.RawPath = p, ""
			}
		}
	}})
	origin := originOf(proxy)
	a := newApp(t, func(c *middleware.Config) { c.BaseURL = origin })
	*behind = url.URL{Scheme: "http", Host: a.addr}
	a.origin = origin
	proxy.Start()
	defer proxy.Close()
	for _, path := range []string{
		"/%2561uth/logout", "/auth%252flogout", "/%252e%252e/auth/logout", "/x/%252e%252e/auth/logout", "/x/%25252e%25252e/auth/logout", "/auth/%256cogout",
		"/%252f/evil.example", "/%252fevil.example", "/%255cevil.example", "/%25255cevil.example", "/%2509/evil.example", "/%250d%250aSet-Cookie:x",
		"/%25252525252e/x", "/AUTH/%2563allback",
	} {
		b := a.browser()
		got := b.open(b.ticket("/auth/login?return_to="+url.QueryEscape(path), idxtest.Ada))
		got.want(t, 303, "")
		if at := got.location(); at != origin+"/" {
			t.Errorf("%s leads to %q", path, at)
		}
		b.follow(got.location(), "Sec-Fetch-Site", "same-origin")
		b.wantUser(idxtest.Ada)
	}
	for _, path := range []string{"/dashboard/a%2520b", "/dashboard/100%2525", "/dashboard/?next=%252F%252Fevil.example"} {
		b := a.browser()
		if at := b.open(b.ticket("/auth/login?return_to="+url.QueryEscape(path), idxtest.Ada)).location(); at != origin+path {
			t.Errorf("%s leads to %q", path, at)
		}
	}
}

// M9. Wrappers in the wrong order, twice, or of another application.
func TestM9WrapperOrder(t *testing.T) {
	a := newApp(t)
	other := a.sibling() // the same tenant and store
	page := http.HandlerFunc(a.page)
	lies := func(next http.Handler) http.Handler { // another package's idea of a user in the context
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			type key string
			next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), key("user"), &middleware.Identity{})))
		})
	}
	both := a.auth.Require(middleware.HasRole("admin"))
	for i, tt := range []struct {
		name                  string
		handler               http.Handler
		stranger, grace, ours int // status for a stranger, for Grace, for Ada (admin)
	}{
		{"Require alone", a.auth.RequireLogin(page), 302, 200, 200},
		{"LoadUser outside", a.auth.LoadUser(a.auth.RequireLogin(page)), 302, 200, 200},
		{"LoadUser inside", a.auth.RequireLogin(a.auth.LoadUser(page)), 302, 200, 200},
		{"twice", a.auth.RequireLogin(a.auth.RequireLogin(page)), 302, 200, 200},
		{"rule inside", a.auth.RequireLogin(both(page)), 302, 403, 200},
		{"rule outside", both(a.auth.RequireLogin(page)), 302, 403, 200},
		{"rule below LoadUser", a.auth.LoadUser(both(page)), 302, 403, 200},
		{"a foreign user in the context", lies(a.auth.RequireLogin(page)), 302, 200, 200},
		{"the other application outside", other.auth.RequireLogin(a.auth.RequireLogin(page)), 302, 302, 302},
		{"the other application inside", a.auth.RequireLogin(other.auth.RequireLogin(page)), 302, 302, 302},
		{"the other application's LoadUser outside", other.auth.LoadUser(a.auth.RequireLogin(page)), 302, 200, 200},
	} {
		path := fmt.Sprintf("/order/%d", i)
		a.mux.Handle(path, tt.handler)
		for user, status := range map[string]int{"": tt.stranger, idxtest.Grace.Email: tt.grace, idxtest.Ada.Email: tt.ours} {
			b := a.browser()
			if user != "" {
				b.enter(a.hub.User(user))
			}
			served := a.served.Load()
			got := b.open(path)
			if got.StatusCode != status || (a.served.Load() > served) != (status == 200) {
				t.Errorf("%s, user %q: %s %.100q, want %d", tt.name, user, got.Status, got.body, status)
			}
		}
	}
	// Without any wrapper nobody is there.
	a.mux.Handle("/bare", page)
	b := a.browser()
	b.enter(idxtest.Ada)
	b.open("/bare").want(t, 200, "stranger")
}
