package middleware_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/idxauth/idxauth/idx/idxtest"
	"github.com/idxauth/idxauth/middleware"
)

func TestLoginReturnsToTheDeepLink(t *testing.T) {
	a := newApp(t)
	b := a.browser()
	const deep = "/dashboard/reports?year=2026&q=a%26b"

	start := b.step(b.request("GET", deep))
	if start.StatusCode != http.StatusFound || start.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("start = %s, Cache-Control %q, want 302 no-store", start.Status, start.Header.Get("Cache-Control"))
	}
	hosted, err := start.Location()
	if err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`^action=login&return_url=[A-Za-z0-9_%.-]+$`).MatchString(hosted.RawQuery) {
		t.Errorf("hosted page's query = %q, want action first and a return URL encoded once", hosted.RawQuery)
	}
	if strings.Contains(hosted.String(), "reports") {
		t.Errorf("hosted page sees the path: %s", hosted)
	}

	callback := b.callback(deep, idxtest.Ada)
	back := b.step(b.request("GET", callback.String()))
	if back.StatusCode != http.StatusSeeOther || back.Header.Get("Location") != a.origin+deep {
		t.Errorf("callback = %s to %q, want 303 to %q", back.Status, back.Header.Get("Location"), a.origin+deep)
	}
	if back.Header.Get("Cache-Control") != "no-store" || back.Header.Get("Referrer-Policy") != "no-referrer" {
		t.Errorf("callback: Cache-Control %q, Referrer-Policy %q", back.Header.Get("Cache-Control"), back.Header.Get("Referrer-Policy"))
	}
	page := b.open(back.Header.Get("Location"))
	page.want(t, 200, "user "+idxtest.Ada.Email)
	if got := page.Header.Get("Cache-Control"); got != "private, no-store" {
		t.Errorf("user's page: Cache-Control %q", got)
	}
	if got := page.Header.Get("Vary"); got != "Cookie" {
		t.Errorf("user's page: Vary %q", got)
	}
}

func TestSessionTokenIsNewAtEachLogin(t *testing.T) {
	a := newApp(t)
	b := a.browser()
	b.signIn("/dashboard/", idxtest.Ada)
	first := b.cookies()["session"]
	b.open("/auth/login?return_to=/dashboard/") // silent
	second := b.cookies()["session"]
	if first == "" || second == "" {
		t.Fatalf("session cookies %q, %q", first, second)
	}
	// Same token, same browser: the login is already done. A login with a new token:
	a.hub.ExpireTokens()
	b.finish(b.open("/auth/login?return_to=/dashboard/"), idxtest.Ada).want(t, 200, idxtest.Ada.Email)
	third := b.cookies()["session"]
	if third == second {
		t.Error("the session token is the same after a new login")
	}
	old := a.browser()
	old.open("/dashboard/", "Cookie", sessionCookie(b, second)).want(t, 200, "Sign in") // the hosted page
}

// sessionCookie returns a Cookie header with another session token.
func sessionCookie(b *browser, value string) string {
	u, _ := url.Parse(b.app.origin)
	for _, c := range b.client.Jar.Cookies(u) {
		if strings.HasSuffix(c.Name, "-session") {
			return c.Name + "=" + value
		}
	}
	b.app.t.Fatal("no session cookie")
	return ""
}

func TestHeadersHaveNoSay(t *testing.T) {
	a := newApp(t)
	want := ""
	for _, headers := range [][]string{
		{},
		{"X-Forwarded-Host", "evil.example", "X-Forwarded-Proto", "https", "X-Forwarded-Prefix", "/evil"},
		{"Forwarded", "host=evil.example;proto=https", "X-Original-Url", "/evil", "X-Rewrite-Url", "/evil"},
		{"X-Forwarded-Uri", "/evil", "X-Real-Ip", "127.0.0.1", "Referer", "https://evil.example/", "Origin", "https://evil.example"},
		{"Host", "evil.example"},
	} {
		b := a.browser()
		req := b.request("GET", "/dashboard/x?y=1", headers...)
		if host := req.Header.Get("Host"); host != "" {
			req.Host = host
		}
		at := b.step(req)
		hosted, err := at.Location()
		if err != nil {
			t.Fatal(err)
		}
		back := hosted.Query().Get("return_url")
		got, _, _ := strings.Cut(back, "?state=")
		if want == "" {
			want = a.origin + "/auth/callback"
		}
		if got != want || !strings.HasPrefix(hosted.String(), a.hub.URL+"/") {
			t.Errorf("with %q: return URL %q on %s, want %q", headers, got, hosted.Host, want)
		}
	}
}

func TestFiveTabsComeHome(t *testing.T) {
	orders := [][]int{{0, 1, 2, 3, 4}, {4, 3, 2, 1, 0}, {2, 0, 4, 1, 3}}
	for _, order := range orders {
		t.Run(fmt.Sprint(order), func(t *testing.T) {
			a := newApp(t)
			b := a.browser()
			var tabs [5]*answer
			for i := range tabs {
				tabs[i] = b.open(fmt.Sprintf("/dashboard/tab%d", i))
			}
			for _, i := range order {
				home := b.finish(tabs[i], idxtest.Ada)
				home.want(t, 200, "user "+idxtest.Ada.Email)
				if want := fmt.Sprintf("/dashboard/tab%d", i); home.Request.URL.Path != want {
					t.Errorf("tab came to %s, want %s", home.Request.URL.Path, want)
				}
				if n := len(b.cookies()); n > 2 {
					t.Errorf("the browser carries %d of our cookies: %q", n, b.cookies())
				}
			}
		})
	}
}

// Tabs that a browser restores all at once have no cookie yet, and each answer
// brings one: all but one state is then signed with a secret that is lost.
func TestTabsOfAFreshBrowserComeHome(t *testing.T) {
	a := newApp(t)
	b := a.browser()
	var tabs [5]*answer
	for i := range tabs {
		stranger := a.browser() // shares nothing yet
		start := stranger.step(stranger.request("GET", fmt.Sprintf("/dashboard/tab%d", i)))
		u, _ := url.Parse(a.origin)
		b.client.Jar.SetCookies(u, start.Cookies())
		tabs[i] = b.open(start.Header.Get("Location"))
	}
	for i, tab := range tabs {
		home := b.finish(tab, idxtest.Ada)
		home.want(t, 200, "user "+idxtest.Ada.Email)
		if want := fmt.Sprintf("/dashboard/tab%d", i); home.Request.URL.Path != want {
			t.Errorf("tab came to %s, want %s", home.Request.URL.Path, want)
		}
	}
}

func TestParallelLoginsOfOneBrowser(t *testing.T) {
	a := newApp(t)
	b := a.browser()
	var callbacks [5]*url.URL
	for i := range callbacks {
		callbacks[i] = b.callback(fmt.Sprintf("/dashboard/tab%d", i), idxtest.Ada)
	}
	var wg sync.WaitGroup
	for i, callback := range callbacks {
		wg.Go(func() {
			tab := &browser{app: a, client: &http.Client{Jar: b.client.Jar}}
			home := tab.do(tab.request("GET", callback.String()))
			home.want(t, 200, "user "+idxtest.Ada.Email)
			if want := fmt.Sprintf("/dashboard/tab%d", i); home.Request.URL.Path != want {
				t.Errorf("tab came to %s, want %s", home.Request.URL.Path, want)
			}
		})
	}
	wg.Wait()
}

func TestLongReturnPath(t *testing.T) {
	a := newApp(t)
	b := a.browser()
	deep := "/dashboard/?q=" + strings.Repeat("x", 1800)
	at := b.open(deep)
	if n := len(b.cookies()); n != 2 {
		t.Errorf("before login: cookies %q, want binding and return path", b.cookies())
	}
	if len(at.at()) > 2048 {
		t.Errorf("hosted page's address has %d bytes", len(at.at()))
	}
	home := b.finish(at, idxtest.Ada)
	if home.at() != a.origin+deep {
		t.Errorf("came to %.100s", home.at())
	}
	if _, kept := b.cookies()["return"]; kept {
		t.Error("the return path's cookie is still there")
	}

	tooLong := a.browser().signIn("/dashboard/?q="+strings.Repeat("x", 3000), idxtest.Ada)
	if tooLong.at() != a.origin+"/" {
		t.Errorf("too long a path: came to %.100s, want the landing page", tooLong.at())
	}
}

func TestReturnTo(t *testing.T) {
	a := newApp(t)
	for _, tt := range []struct{ in, want string }{
		{"/dashboard/a%2Fb?q=1%262", "/dashboard/a%2Fb?q=1%262"},
		{"/dashboard/bücher", "/dashboard/b%C3%BCcher"},
		{"", "/"},
		{"//evil.example/", "/"},
		{`/\evil.example/`, "/"},
		{"https://evil.example/", "/"},
		{"/%09/evil.example", "/"},
		{"/a\r\nSet-Cookie: a=b", "/"},
		{"/auth/logout", "/"},
		{"@evil.example", "/"},
		{".evil.example", "/"},
	} {
		t.Run(tt.in, func(t *testing.T) {
			b := a.browser()
			home := b.signIn("/auth/login?return_to="+url.QueryEscape(tt.in), idxtest.Ada)
			if len(b.seen) == 0 || b.seen[len(b.seen)-1] != a.origin+tt.want {
				t.Errorf("return_to=%q led to %q, want %q", tt.in, b.seen, a.origin+tt.want)
			}
			home.want(t, 200, "user")
		})
	}
}

func TestOnlyPageVisitsStartALogin(t *testing.T) {
	a := newApp(t)
	for _, tt := range []struct {
		name    string
		method  string
		headers []string
	}{
		{"fetch", "GET", []string{"Sec-Fetch-Mode", "cors", "Sec-Fetch-Dest", "empty", "Accept", "*/*"}},
		{"fetch of HTML", "GET", []string{"Sec-Fetch-Mode", "cors", "Sec-Fetch-Dest", "empty"}},
		{"XMLHttpRequest of an old browser", "GET", []string{"Sec-Fetch-Mode", "", "Sec-Fetch-Dest", "", "X-Requested-With", "XMLHttpRequest"}},
		{"program", "GET", []string{"Sec-Fetch-Mode", "", "Sec-Fetch-Dest", "", "Accept", "application/json"}},
		{"nothing said", "GET", []string{"Sec-Fetch-Mode", "", "Sec-Fetch-Dest", "", "Accept", ""}},
		{"image", "GET", []string{"Sec-Fetch-Mode", "no-cors", "Sec-Fetch-Dest", "image", "Accept", "image/*"}},
		{"frame", "GET", []string{"Sec-Fetch-Dest", "iframe"}},
		{"prefetch", "GET", []string{"Sec-Purpose", "prefetch"}},
		{"prerender", "GET", []string{"Sec-Purpose", "prefetch;prerender"}},
		{"old prefetch", "GET", []string{"Purpose", "prefetch"}},
		{"WebSocket", "GET", []string{"Sec-Fetch-Mode", "websocket", "Connection", "Upgrade", "Upgrade", "websocket"}},
		{"WebSocket of an old browser", "GET", []string{"Sec-Fetch-Mode", "", "Sec-Fetch-Dest", "", "Connection", "Upgrade", "Upgrade", "websocket"}},
		{"form", "POST", nil},
		{"PUT", "PUT", []string{"Sec-Fetch-Mode", "cors", "Sec-Fetch-Dest", "empty"}},
		{"preflight", "OPTIONS", []string{"Sec-Fetch-Mode", "cors", "Access-Control-Request-Method", "PUT", "Origin", "https://other.example"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, path := range []string{"/dashboard/", "/favicon.ico"} {
				b := a.browser()
				got := b.step(b.request(tt.method, path, tt.headers...))
				if path == "/dashboard/" && got.StatusCode != 401 || got.Header.Get("Location") != "" {
					t.Errorf("%s = %s to %q, want 401", path, got.Status, got.Header.Get("Location"))
				}
				if len(got.Cookies()) > 0 {
					t.Errorf("%s: cookies %v", path, got.Cookies())
				}
			}
		})
	}
	if a.served.Load() != 0 {
		t.Error("a stranger saw the page")
	}

	b := a.browser()
	got := b.step(b.request("GET", "/dashboard/", "Sec-Fetch-Mode", "cors", "Accept", "*/*"))
	if ct := got.Header.Get("Content-Type"); ct != "application/problem+json" {
		t.Errorf("Content-Type %q", ct)
	}
	got.want(t, 401, `"code":"login_required"`)
	got.want(t, 401, `"login":"/auth/login"`)
	b.step(b.request("POST", "/dashboard/")).want(t, 401, "<h1>Please sign in</h1>")
	// Old browsers send no fetch metadata.
	b.step(b.request("GET", "/dashboard/", "Sec-Fetch-Mode", "", "Sec-Fetch-Dest", "")).want(t, 302, "")
	b.step(b.request("HEAD", "/dashboard/")).want(t, 302, "")
}

func TestFaviconOfAStranger(t *testing.T) {
	a := newApp(t)
	b := a.browser()
	got := b.step(b.request("GET", "/dashboard/favicon.ico", "Sec-Fetch-Mode", "no-cors", "Sec-Fetch-Dest", "image", "Accept", "image/*"))
	got.want(t, 401, "login_required")
}

func TestStrangersCostLoginRadiusNothing(t *testing.T) {
	a := newApp(t)
	for range 500 {
		b := a.browser()
		b.step(b.request("GET", "/dashboard/"))
	}
	if got := a.hub.Requests(); len(got) != 0 {
		t.Errorf("the hub and the API saw %d requests", len(got))
	}
}

func TestPageViewsCostLoginRadiusNothing(t *testing.T) {
	a := newApp(t)
	b := a.browser()
	b.signIn("/dashboard/", idxtest.Ada)
	before := len(a.hub.Requests())
	for range 50 {
		b.open("/dashboard/").want(t, 200, idxtest.Ada.Email)
	}
	if after := len(a.hub.Requests()); after != before {
		t.Errorf("50 page views made %d requests to LoginRadius", after-before)
	}
}

func TestRegisterAndForgotPassword(t *testing.T) {
	a := newApp(t)
	b := a.browser()
	for path, action := range map[string]string{"/auth/register": "action=register&", "/auth/forgot-password": "action=forgotpassword&"} {
		if at := b.open(path).at(); !strings.Contains(at, action) {
			t.Errorf("%s leads to %s", path, at)
		}
	}
	for kind, text := range map[string]string{"register": "Check your mail", "forgotpassword": "choose a new password"} {
		page := b.open("/auth/callback?action_completed=" + kind)
		page.want(t, 200, text)
		if _, ok := b.cookies()["session"]; ok {
			t.Error("somebody is signed in")
		}
	}
	// Only known words have a page.
	other := b.step(b.request("GET", "/auth/callback?action_completed=<script>"))
	if other.StatusCode == 200 || strings.Contains(other.body, "script") {
		t.Errorf("unknown action: %s %q", other.Status, other.body)
	}
}

func TestLoginFromAHandler(t *testing.T) {
	a := newApp(t)
	a.mux.HandleFunc("/join", func(w http.ResponseWriter, r *http.Request) {
		a.auth.Login(w, r, "/dashboard/joined")
	})
	home := a.browser().signIn("/join", idxtest.Ada)
	if home.Request.URL.Path != "/dashboard/joined" {
		t.Errorf("came to %s", home.at())
	}
}

func TestSecureCookies(t *testing.T) {
	a := newApp(t)
	hub := a.hub.Config()
	auth, err := middleware.New(middleware.Config{IDX: hub, BaseURL: "https://app.example", Store: newStore()})
	if err != nil {
		t.Fatal(err)
	}
	defer auth.Close()
	got := serve(auth.RequireLogin(http.NotFoundHandler()), "GET", "https://app.example/x", "Accept", "text/html")
	cookies := got.Result().Cookies()
	if len(cookies) != 1 {
		t.Fatalf("cookies: %v", cookies)
	}
	c := cookies[0]
	if !strings.HasPrefix(c.Name, "__Host-") || !c.Secure || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Domain != "" {
		t.Errorf("cookie: %+v", c)
	}
}

// What stands in the request line is the stranger's to choose: an absolute address, or
// a path that a browser would take for a host.
func TestHostileRequestLines(t *testing.T) {
	a := newApp(t)
	whole := a.auth.RequireLogin(a.mux) // as an application wraps all it has
	for _, line := range []string{"http://evil.example/dashboard/", "//evil.example/x", "/%2Fevil.example/x", `/\evil.example`, "*"} {
		r := httptest.NewRequest("GET", a.origin+"/", nil)
		r.RequestURI, r.Host = line, "evil.example"
		r.Header.Set("Accept", "text/html")
		w := httptest.NewRecorder()
		whole.ServeHTTP(w, r)
		hosted, err := w.Result().Location()
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		b := a.browser()
		u, _ := url.Parse(a.origin)
		b.client.Jar.SetCookies(u, w.Result().Cookies())
		if home := b.finish(b.open(hosted.String()), idxtest.Ada); home.at() != a.origin+"/" {
			t.Errorf("request line %q led to %s", line, home.at())
		}
	}
}
