package attacks_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/idxauth/idxauth/idx/idxtest"
	"github.com/idxauth/idxauth/middleware"
)

// cdn is a caching proxy in front of the application, as bad as real ones: it keeps every
// answer to a GET by its address, redirects and answers with Set-Cookie too, unless
// Cache-Control forbids it; it heeds Vary as far as Cookie goes, or not at all.
type cdn struct {
	*httptest.Server
	ignoresVary bool // as some do, and others are told to

	mu   sync.Mutex
	kept map[string]*keptAnswer
	hits int
	seen []*http.Response // all that came from behind
}

type keptAnswer struct {
	resp *http.Response
	body []byte
}

// behindCDN starts an application to which the only way is a cdn.
func behindCDN(t *testing.T, change ...func(*middleware.Config)) (*app, *cdn) {
	t.Helper()
	c := &cdn{kept: make(map[string]*keptAnswer)}
	behind := new(url.URL)
	proxy := &httputil.ReverseProxy{
		Rewrite:        func(r *httputil.ProxyRequest) { r.SetURL(behind); r.Out.Host = r.In.Host },
		ModifyResponse: c.keep,
	}
	c.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !c.serve(w, r) {
			proxy.ServeHTTP(w, r)
		}
	}))
	a := newApp(t, append([]func(*middleware.Config){func(cfg *middleware.Config) { cfg.BaseURL = originOf(c.Server) }}, change...)...)
	*behind = url.URL{Scheme: "http", Host: a.addr}
	a.origin = originOf(c.Server) // where browsers go
	c.Start()
	t.Cleanup(c.Close)
	return a, c
}

// originOf is the address of a server that has none yet, by name.
func originOf(server *httptest.Server) string {
	return strings.Replace("http://"+server.Listener.Addr().String(), "127.0.0.1", "localhost", 1)
}

// saw returns all that came from behind, and how often that was not necessary.
func (c *cdn) saw() (answers []*http.Response, hits int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.seen), c.hits
}

func cacheKey(r *http.Request) string { return r.Host + r.URL.RequestURI() }

func (c *cdn) keep(resp *http.Response) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen = append(c.seen, resp)
	control := resp.Header.Get("Cache-Control")
	if resp.Request.Method != "GET" || strings.Contains(control, "no-store") || strings.Contains(control, "private") {
		return nil
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	key := cacheKey(resp.Request)
	if !c.ignoresVary && slices.Contains(resp.Header["Vary"], "Cookie") {
		key += "\n" + resp.Request.Header.Get("Cookie")
		c.kept[cacheKey(resp.Request)+"\nvaries"] = nil
	}
	c.kept[key] = &keptAnswer{resp, body}
	return nil
}

func (c *cdn) serve(w http.ResponseWriter, r *http.Request) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	key := cacheKey(r)
	if _, varies := c.kept[key+"\nvaries"]; varies {
		key += "\n" + r.Header.Get("Cookie")
	}
	kept := c.kept[key]
	if kept == nil || r.Method != "GET" {
		return false
	}
	c.hits++
	for name, values := range kept.resp.Header {
		w.Header()[name] = values
	}
	w.WriteHeader(kept.resp.StatusCode)
	w.Write(kept.body)
	return true
}

// L1. A cache in front stores the page, or the session cookie, of one user and gives it to the
// next (nextjs-auth0 CVE-2025-48947, authkit-nextjs CVE-2025-64762).
func TestL1CachePoisoning(t *testing.T) {
	a, c := behindCDN(t)
	c.ignoresVary = true
	a.mux.HandleFunc("/logo", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Cache-Control", "public, max-age=60")
		io.WriteString(w, "logo")
	})
	a.protect("/own", func(w http.ResponseWriter, r *http.Request) { // an application that says so itself
		w.Header().Set("Cache-Control", "no-cache, private")
		io.WriteString(w, "own of "+middleware.User(r.Context()).Email)
	})
	ada, grace, stranger := a.browser(), a.browser(), a.browser()
	for range 2 {
		stranger.open("/logo").want(t, 200, "logo")
	}
	if _, hits := c.saw(); hits != 1 {
		t.Fatalf("the cache does not work: %d hits", hits)
	}
	paths := []string{"/", "/dashboard/", "/own", "/dashboard/style.css", "/dashboard/x.jpg?v=1", "/admin", "/note"}
	visit := func(b *browser, user idxtest.User) {
		for _, path := range paths {
			got := b.open(path)
			for _, other := range []idxtest.User{idxtest.Ada, idxtest.Grace} {
				if other.Email != user.Email && strings.Contains(got.body, other.Email) {
					t.Errorf("%s shows %s to %s", path, other.Email, user.Email)
				}
			}
		}
	}
	ada.login("/dashboard/", idxtest.Ada).want(t, 200, "user "+idxtest.Ada.Email)
	visit(ada, idxtest.Ada)
	visit(stranger, idxtest.User{Email: "nobody"})
	stranger.open("/dashboard/").wantHub(t, a)
	if stranger.session() != "" {
		t.Error("a stranger was given a session")
	}
	grace.login("/dashboard/", idxtest.Grace).want(t, 200, "user "+idxtest.Grace.Email)
	visit(grace, idxtest.Grace)
	visit(ada, idxtest.Ada)
	if ada.session() == grace.session() {
		t.Error("two users share a session")
	}
	ada.signOut()
	ada.wantStranger()
	grace.wantUser(idxtest.Grace)
	answers, _ := c.saw()
	for _, resp := range answers {
		if len(resp.Header["Set-Cookie"]) > 0 && !strings.Contains(resp.Header.Get("Cache-Control"), "no-store") {
			t.Errorf("%s %s sets a cookie with Cache-Control %q", resp.Request.Method, resp.Request.URL.Path, resp.Header.Get("Cache-Control"))
		}
	}
}

// L2. The redirect to the login is stored, and keeps out who is signed in; or a page that is
// public and says who is there is shown to others.
func TestL2CachedRedirect(t *testing.T) {
	a, c := behindCDN(t)
	a.mux.Handle("/news", a.auth.LoadUser(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60") // rash: it relies on Vary
		a.page(w, r)
	})))
	stranger, ada := a.browser(), a.browser()
	stranger.open("/dashboard/?from=cdn").wantHub(t, a)
	for range 2 {
		stranger.open("/news").want(t, 200, "stranger")
	}
	if _, hits := c.saw(); hits == 0 {
		t.Error("the public page was not cached at all, so that nothing was tried")
	}
	ada.login("/dashboard/?from=cdn", idxtest.Ada).want(t, 200, "user "+idxtest.Ada.Email)
	ada.open("/news").want(t, 200, "user "+idxtest.Ada.Email)
	stranger.open("/news").want(t, 200, "stranger")
	a.browser().open("/news").want(t, 200, "stranger")
	other := a.browser()
	other.open("/dashboard/?from=cdn", "If-None-Match", `"x"`, "If-Modified-Since", "Mon, 02 Jan 2090 15:04:05 GMT").wantHub(t, a)
	answers, _ := c.saw()
	for _, resp := range answers {
		if resp.StatusCode >= 300 && resp.StatusCode < 500 && !strings.Contains(resp.Header.Get("Cache-Control"), "no-store") {
			t.Errorf("%s of %s may be stored", resp.Status, resp.Request.URL.Path)
		}
	}
}

// ownPages are all pages of ours that a browser can be shown, by name.
func ownPages(t *testing.T) map[string]*answer {
	t.Helper()
	a := newApp(t, func(c *middleware.Config) { c.Devices = true })
	b, stranger := a.browser(), a.browser()
	b.enter(idxtest.Grace)
	pages := map[string]*answer{
		"logout":      b.open("/auth/logout", "Sec-Fetch-Site", "cross-site"),
		"devices":     b.open("/auth/devices"),
		"forbidden":   b.open("/admin"),
		"cross-site":  b.do(b.request("POST", "/auth/logout", "Sec-Fetch-Site", "cross-site")),
		"no login":    stranger.do(stranger.request("POST", "/dashboard/")),
		"gave up":     stranger.open("/auth/callback/3?state=x"),
		"check mails": stranger.open("/auth/callback?action_completed=register"),
		"frame":       stranger.open("/auth/login", "Sec-Fetch-Dest", "iframe"),
	}
	for name, p := range pages {
		if !strings.Contains(p.Header.Get("Content-Type"), "text/html") || !strings.Contains(p.body, "<h1>") {
			t.Errorf("%s is no page: %s %q", name, p.Status, p.body)
		}
	}
	return pages
}

// L3. Our pages in a frame below somebody else's buttons.
func TestL3Clickjacking(t *testing.T) {
	for name, p := range ownPages(t) {
		if csp := p.Header.Get("Content-Security-Policy"); !strings.Contains(csp, "frame-ancestors 'none'") || p.Header.Get("X-Frame-Options") != "DENY" {
			t.Errorf("%s can be framed: %q, %q", name, csp, p.Header.Get("X-Frame-Options"))
		}
	}
}

var (
	scripted  = regexp.MustCompile(`(?i)<script|\son\w+\s*=|javascript:|<iframe|<object|<embed|<link|<img|@import|url\(`)
	allowed   = regexp.MustCompile(`^default-src 'none'; style-src 'sha256-[A-Za-z0-9+/=]+'; base-uri 'none'; frame-ancestors 'none'; form-action 'self' http://127\.0\.0\.1:\d+$`)
	forbidden = []string{"unsafe", "*", "data:", "script-src"}
)

// L4. Script on our pages, or a form that posts elsewhere.
func TestL4ScriptOnOwnPages(t *testing.T) {
	for name, p := range ownPages(t) {
		if hit := scripted.FindString(p.body); hit != "" {
			t.Errorf("%s holds %q", name, hit)
		}
		csp := p.Header.Get("Content-Security-Policy")
		if !allowed.MatchString(csp) || slices.ContainsFunc(forbidden, func(s string) bool { return strings.Contains(csp, s) }) {
			t.Errorf("%s: policy %q", name, csp)
		}
		if p.Header.Get("X-Content-Type-Options") != "nosniff" || p.Header.Get("Referrer-Policy") != "no-referrer" || p.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: headers %v", name, p.Header)
		}
	}
}

// L5. Another site reads answers by CORS, or gets in by a preflight (mod_auth_openidc: the
// path for OPTIONS let forged identity headers through).
func TestL5CORSByAccident(t *testing.T) {
	a := newApp(t, func(c *middleware.Config) { c.Devices = true })
	b := a.browser()
	b.enter(idxtest.Ada)
	served := a.served.Load()
	for _, path := range []string{"/dashboard/", "/admin", "/auth/devices", "/auth/logout", "/auth/login", "/auth/callback"} {
		for _, method := range []string{"GET", "POST", "OPTIONS", "HEAD"} {
			for _, who := range []*browser{a.browser(), b} {
				if who == b && (method == "OPTIONS" || path == "/auth/logout") {
					continue // to handlers of the application, whose matter it is; and a logout would end this
				}
				got := who.do(who.request(method, path, "Origin", "https://evil.example", "Sec-Fetch-Mode", "cors", "Sec-Fetch-Dest", "empty", "Sec-Fetch-Site", "cross-site",
					"Access-Control-Request-Method", "DELETE", "Access-Control-Request-Headers", "authorization", "X-Forwarded-User", idxtest.Ada.Email))
				for name := range got.Header {
					if strings.HasPrefix(name, "Access-Control-") {
						t.Errorf("%s %s: %s %q", method, path, name, got.Header[name])
					}
				}
				if who != b && path == "/dashboard/" && got.StatusCode != 401 {
					t.Errorf("%s of a stranger: %s", method, got.Status)
				}
			}
		}
	}
	if n := a.served.Load() - served; n != 6 { // GET, POST and HEAD of two pages, to Ada
		t.Errorf("%d pages were shown", n)
	}
	// The documented way: a preflight is answered outside, and lets nobody in.
	a.mux.Handle("/api", preflights(a.auth.RequireLogin(http.HandlerFunc(a.page))))
	b.do(b.request("OPTIONS", "/api", "Access-Control-Request-Method", "GET", "Cookie", "")).want(t, 204, "")
	stranger := a.browser()
	stranger.open("/api", "Sec-Fetch-Mode", "cors").want(t, 401, "login_required")
	b.open("/api", "Sec-Fetch-Mode", "cors").want(t, 200, "user")
}

func preflights(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == "OPTIONS" && r.Header.Get("Access-Control-Request-Method") != "" {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// L6. The wrapped handler writes over headers of ours, by mistake or by a proxy's answer.
func TestL6HandlerOverwritesHeaders(t *testing.T) {
	a := newApp(t)
	a.protect("/clears", func(w http.ResponseWriter, r *http.Request) {
		clear(w.Header())
		w.Header().Set("Set-Cookie", "theme=dark")
		w.Header().Add("Vary", "Accept")
		fmt.Fprint(w, "cleared")
	})
	a.protect("/adds", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Add("Vary", "Accept")
		w.Header().Add("Cache-Control", "max-age=1")
	})
	b := a.browser()
	b.enter(idxtest.Ada)
	before := b.session()
	got := b.open("/clears")
	got.want(t, 200, "cleared")
	if len(got.Cookies()) != 1 {
		t.Errorf("cookies %v, want the handler's alone", got.Cookies())
	}
	if b.session() != before {
		t.Error("the session cookie has changed")
	}
	b.wantUser(idxtest.Ada)
	// What one handler adds is in no other answer: header values are shared between them.
	b.open("/adds")
	other := b.open("/dashboard/")
	if vary, control := other.Header["Vary"], other.Header["Cache-Control"]; len(vary) != 1 || len(control) != 1 || control[0] != "private, no-store" {
		t.Errorf("after another handler: Vary %q, Cache-Control %q", vary, control)
	}
}
