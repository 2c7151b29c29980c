package attacks_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/idxauth/idxauth/idx"
	"github.com/idxauth/idxauth/middleware"
)

// landsAt does a login that begins with the answer start, in a browser that the hosted
// page knows already or as user, and returns where the callback sends the browser.
func (b *browser) landsAt(start *answer) string {
	b.app.t.Helper()
	at := b.open(start.location())
	if at.StatusCode == http.StatusOK {
		at = b.submit(at, victim)
	}
	end := b.open(at.location())
	if end.StatusCode != http.StatusSeeOther {
		b.app.t.Errorf("the callback answered %s: %.200s", end.Status, end.body)
	}
	return end.location()
}

// wantOnSite checks that a browser which is sent to location stays on the site, by the
// rules of the URL Standard as far as they can lead elsewhere: spaces and controls around
// it, and tabs and line breaks in it, are dropped, and a backslash is a slash.
func (a *app) wantOnSite(what, location string) {
	a.t.Helper()
	read := strings.TrimFunc(location, func(r rune) bool { return r <= ' ' })
	read = strings.NewReplacer("\t", "", "\r", "", "\n", "", `\`, "/").Replace(read)
	u, err := a.url().Parse(read)
	if err != nil || u.Scheme+"://"+u.Host != a.origin || u.User != nil {
		a.t.Errorf("%s leads to %q", what, location)
	}
}

// hostile are return paths that would lead to evil.example in some browser, behind some
// proxy, or after one more decoding.
func hostile() []string {
	list := []string{
		"https://evil.example/", "http:evil.example", "https:/evil.example", "https:///evil.example", "HTTPS://evil.example",
		"javascript:alert(1)", "java\tscript:alert(1)", "data:text/html,x", "evil.example", "@evil.example", ".evil.example", ":80",
		"?x", "#x", "", " ", "/\u202eelpmaxe.live", "/\u200b/evil.example", "/\ufeff/evil.example", "/a?b=\u2028", "/\xff/evil.example",
		"//[::1]/", "//0x7f.1", "//localhost", "//user@evil.example", "///evil.example", "////evil.example", "//evil.example/%2e%2e",
		"/.//evil.example", "/..//evil.example", "/a/..//evil.example", "/%2e/%2Fevil.example", "/;/../..//evil.example", "/a/%2e%2e/%2e%2e//evil.example",
		"/%", "/%2", "/%zz", "/%25%32%66evil.example", "/%2525252Fevil.example", "/%252525252Fevil.example", "/" + strings.Repeat("a", 3000),
		"/\uff0f/evil.example\n", "/\u2029/evil.example", "%2F%2Fevil.example", "%5C%5Cevil.example", `\\evil.example`, `\/evil.example`,
	}
	// Every way to write two slashes with nothing, or something that is dropped, between
	// and before them. oauth2-proxy GHSA-qqxw-m5fj-f7gv and GHSA-j7px-6hwj-hpjg were the
	// white space, GHSA-5m6c-jp6f-2vcv its escapes.
	slashes := []string{"/", `\`, "%2f", "%5C", "%252f", "%255c"}
	between := []string{"", "\t", "\n", "\r", "\x00", "\x0b", "\x1f", "\x7f", "%09", "%0a", "%0d", "%00", "%2509", "%20%0a"}
	for _, second := range slashes {
		for _, gap := range between {
			list = append(list, "/"+gap+second+"evil.example/x", "/"+gap+second+second+"evil.example")
		}
		list = append(list, second+second+"evil.example", "\t"+second+second+"evil.example", " /"+second+"evil.example")
	}
	return list
}

// kept are paths that look odd and are good: they arrive byte for byte, but for what no
// header can hold.
var kept = []string{
	"/", "/dashboard/", "/dashboard/a%2Fb", "/dashboard/a//b", "/dashboard/a%20b+c", "/dashboard/x;y=1,2:3@4!5$6'7(8)*9",
	"/dashboard/?q=1&q=2&r", "/dashboard/?next=https://other.example//x", `/dashboard/?q=a\b`, "/dashboard/?q=%00%zz%",
	"/dashboard/..a/.well-known/x...", "/dashboard/#part", "/dashboard/?a=b#c?d/../e", "/dashboard/caf%E9/100%25", "/dashboard/%2541",
	"/dashboard/" + strings.Repeat("long/", 300) + "end", "/auth/profile", "/author/login", "/authentic", "/~user/{x}|y^z`",
}

// C1. A link to our own login page that ends elsewhere, on a copy of the site that asks for
// the password once more. oauth2-proxy (see above, and CVE-2020-11053, CVE-2020-4037);
// mod_auth_openidc CVE-2021-39191, CVE-2022-23527; nextjs-auth0 CVE-2021-43812; next-auth
// CVE-2022-31093, where a malformed address hung the handler.
func TestC1OpenRedirect(t *testing.T) {
	a := newApp(t)
	b := a.browser()
	b.login("/dashboard/", victim).want(t, 200, "user")
	for _, path := range hostile() {
		start := b.open("/auth/login?return_to=" + url.QueryEscape(path))
		end := b.landsAt(start)
		a.wantOnSite(fmt.Sprintf("return_to=%q", path), end)
		if end != a.origin+"/" {
			t.Errorf("return_to=%q leads to %q, want the landing page", path, end)
		}
	}
	// Written as they are, not escaped, and by other routes.
	for _, query := range []string{"return_to=//evil.example", "return_to=/%5Cevil.example", "return_to=%2F%2Fevil.example", "return_to=/&return_to=//evil.example", "return_to=//evil.example&return_to=/", "return_to=/%09/evil.example;x"} {
		for _, route := range []string{"login", "register", "forgot-password"} {
			a.wantOnSite(route+"?"+query, b.landsAt(b.open("/auth/"+route+"?"+query)))
		}
	}
	for _, path := range kept {
		if end := b.landsAt(b.open("/auth/login?return_to=" + url.QueryEscape(path))); end != a.origin+path {
			t.Errorf("return_to=%q leads to %q", path, end)
		}
	}
}

// C2. The same through the request line of a protected page, which an attacker writes into
// a link as well. express-openid-connect GHSA-7p99-3798-f85c; chi GO-2025-3770 and
// GO-2026-4316, echo CVE-2022-40083, Caddy CVE-2022-28923: the router made a redirect to
// another host of it.
func TestC2OpenRedirectByTheRequestLine(t *testing.T) {
	for name, place := range map[string]struct {
		root   func(a *app) http.Handler
		prefix string
	}{
		"inside the router": {func(a *app) http.Handler { return a.mux }, ""},
		"around the router": {func(a *app) http.Handler { return a.auth.RequireLogin(a.mux) }, ""},
		"behind StripPrefix": {func(a *app) http.Handler {
			return http.StripPrefix("/app", a.auth.RequireLogin(http.HandlerFunc(a.page)))
		}, "/app"},
		"StripPrefix inside": {func(a *app) http.Handler {
			return a.auth.RequireLogin(http.StripPrefix("/app", http.HandlerFunc(a.page)))
		}, "/app"},
	} {
		t.Run(name, func(t *testing.T) {
			a := newApp(t)
			inner := place.root(a)
			a.answersWith(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if strings.HasPrefix(r.URL.Path, "/auth/") {
					a.auth.Handler().ServeHTTP(w, r)
					return
				}
				inner.ServeHTTP(w, r)
			}))
			logins := 0
			for _, line := range []string{
				place.prefix + "//evil.example/x", place.prefix + "///evil.example", place.prefix + `/\evil.example`, place.prefix + `/\/evil.example`,
				place.prefix + "/%2Fevil.example/x", place.prefix + "/%2f%2fevil.example", place.prefix + "/%5Cevil.example", place.prefix + "/%5c%5cevil.example",
				place.prefix + "/%09/evil.example", place.prefix + "/%0d%0aLocation:%20https://evil.example", place.prefix + "/dashboard/..//evil.example",
				place.prefix + "/./%2e%2e//evil.example", place.prefix + "/@evil.example", place.prefix + "/.evil.example", place.prefix + "/;@evil.example",
				"http://evil.example" + place.prefix + "/dashboard/", "https://evil.example", "http://" + a.host() + "@evil.example" + place.prefix + "/",
				"http:evil.example", "evil.example", "*", place.prefix + "/dashboard/?return_to=//evil.example", place.prefix + "/dashboard/#@evil.example",
			} {
				for _, host := range []string{a.host(), "evil.example"} {
					got := a.raw("GET " + line + " HTTP/1.1\r\nHost: " + host + "\r\nAccept: text/html\r\nConnection: close\r\n\r\n")
					what := fmt.Sprintf("%s with host %s", line, host)
					if !strings.HasPrefix(got.location(), a.hub.URL) { // refused, or the router cleans
						if strings.Contains(got.location(), "evil.example") {
							a.wantOnSite(what+", cleaned,", got.location())
						}
						continue
					}
					logins++
					b := a.browser()
					b.client.Jar.SetCookies(a.url(), got.Cookies())
					a.wantOnSite(what, b.landsAt(got))
				}
			}
			if logins < 4 {
				t.Errorf("%d of the requests began a login: nothing is tested", logins)
			}
			// The honest deep link comes home.
			path := place.prefix + "/dashboard/a%2Fb?q=1&q=//x"
			b := a.browser()
			if end := b.landsAt(b.open(path)); end != a.origin+path {
				t.Errorf("%s leads to %q", path, end)
			}
		})
	}
}

// C3. Who lets net/http write the redirect gets another path than was asked for: it
// resolves dots, doubles no slash and knows relative ones.
func TestC3RedirectChangesThePath(t *testing.T) {
	a := newApp(t)
	a.answersWith(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { // no router that cleans
		if strings.HasPrefix(r.URL.Path, "/auth/") {
			a.auth.Handler().ServeHTTP(w, r)
			return
		}
		a.auth.RequireLogin(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "asked for ", r.RequestURI) })).ServeHTTP(w, r)
	}))
	for _, path := range []string{
		"/a//b///c", "/a%2Fb%2f", "/a;b=1/c", "/a?x=1&x=2&&=&", "/a?", "/a/?u=https://b//c/../d", "/a%20+b", "/%7Euser/%41", "/a?q=%2e%2e/%00", "/a:b@c", "/" + strings.Repeat("x", 2000),
	} {
		b := a.browser()
		if end := b.landsAt(b.open(path)); end != a.origin+path {
			t.Errorf("%.60s leads to %.80q", path, end)
		}
		// A browser that goes there asks for the same bytes.
		b.open(path).want(t, 200, "asked for "+path)
	}
}

// C4. A login that ends on our own routes would begin anew for ever, or end at once.
func TestC4ReturnToOwnRoutes(t *testing.T) {
	a := newApp(t)
	b := a.browser()
	b.login("/dashboard/", victim).want(t, 200, "user")
	for _, path := range []string{
		"/auth/logout", "/auth/login", "/auth/register", "/auth/forgot-password", "/auth/callback?token=x&state=y", "/auth/callback/2",
		"/auth/logout?x", "/auth/logout#x", "/auth/logout/", "/auth//logout", "/AUTH/Logout", "/auth/%6Cogout", "/auth/%256cogout", "/auth%2Flogout", "/%61uth/logout", "/auth/login?return_to=/auth/login",
	} {
		if end := b.landsAt(b.open("/auth/login?return_to=" + url.QueryEscape(path))); end != a.origin+"/" {
			t.Errorf("return_to=%s leads to %q, want the landing page", path, end)
		}
		b.follow("/auth/login?return_to="+url.QueryEscape(path)).want(t, 200, "user "+victim.Email)
	}
	b.open("/dashboard/").want(t, 200, "user "+victim.Email) // nothing has signed out
	if end := b.landsAt(b.open("/auth/login?return_to=/auth/profile")); end != a.origin+"/auth/profile" {
		t.Errorf("a route of ours that ends nothing leads to %q", end)
	}
}

// C5. The ways out: logout, error pages, the hosted profile page. mod_auth_mellon
// CVE-2019-3877 and mod_auth_openidc CVE-2019-14857 were redirects at the logout.
func TestC5TargetOfALogout(t *testing.T) {
	a := newApp(t)
	const query = "?return_to=//evil.example&return_url=https://evil.example&next=https://evil.example&logout=https://evil.example&target_link_uri=https://evil.example"
	want := a.hub.URL + "/auth.aspx?action=logout&return_url=" + url.QueryEscape(a.origin+"/")
	b := a.browser()
	b.login("/dashboard/", victim)
	evil := []string{"Sec-Fetch-Site", "same-origin", "Origin", a.origin, "Referer", "https://evil.example/", "X-Forwarded-Host", "evil.example"}
	if got := b.do(b.request("POST", "/auth/logout"+query, evil...)); got.StatusCode != http.StatusSeeOther || got.location() != want {
		t.Errorf("the logout leads to %s %q, want %q", got.Status, got.location(), want)
	}
	if got := b.follow(want); got.at() != a.origin+"/" || got.body != "stranger" {
		t.Errorf("the logout ended at %s: %s", got.at(), got.body)
	}
	b.login("/dashboard/", victim)
	for _, path := range []string{"/auth/logout", "/auth/profile", "/auth/profile/back", "/auth/callback/3"} {
		got := b.open(path+query, "Referer", "https://evil.example/")
		if strings.Contains(got.body+got.location(), "evil") {
			t.Errorf("%s: to %q: %s", path, got.location(), got.body)
		}
	}
	// The way back from the hosted profile page follows the rule of every return path.
	if got := b.open("/auth/profile?return_to=/dashboard/x"); !strings.Contains(got.location(), url.QueryEscape(url.QueryEscape("/dashboard/x"))) {
		t.Errorf("the profile page returns to %q", got.location())
	}
}

// C6. What a stranger writes into our address must not become a parameter of the hosted
// page. express-openid-connect 4.13.0, fix 2413: parameters were added through returnTo.
func TestC6ParametersOfTheHostedPage(t *testing.T) {
	a := newApp(t)
	for _, path := range []string{
		"/auth/login", "/dashboard/", "/dashboard/?token=t&vtype=emailverification&vtoken=v&action=logout&return_url=https://evil.example",
		"/auth/login?return_to=/dashboard/&token=t&vtype=v&action=logout&return_url=https://evil.example&apikey=k",
		"/auth/login?return_to=" + url.QueryEscape("/dashboard/?x=1&action=logout&return_url=https://evil.example#&token=t"),
		"/auth/login?return_to=" + url.QueryEscape("/dashboard/%26action=logout%26return_url=https://evil.example"),
	} {
		b := a.browser()
		got := b.open(path)
		state := stateIn(t, got.location())
		want := a.hub.URL + "/auth.aspx?action=login&return_url=" + url.QueryEscape(a.origin+"/auth/callback?state="+state)
		if got.location() != want {
			t.Errorf("%s: the hosted page is asked for\n%s, want\n%s", path, got.location(), want)
		}
		if strings.ContainsAny(state, "=&#%+") {
			t.Errorf("the state %q needs escaping", state)
		}
		a.wantOnSite(path, b.landsAt(got))
	}
}

// C7. A line break in what we put into a header begins another one.
func TestC7HeaderSplitting(t *testing.T) {
	a := newApp(t)
	const split = "\r\nX-Injected: 1\r\n\r\n<script>"
	check := func(what string, got *answer) {
		t.Helper()
		if got.Header.Get("X-Injected") != "" || strings.Contains(got.body, "X-Injected") {
			t.Errorf("%s: headers %v, body %.100q", what, got.Header, got.body)
		}
		for name, values := range got.Header {
			for _, value := range values {
				if strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r > '~' }) {
					t.Errorf("%s: %s: %q", what, name, value)
				}
			}
		}
	}
	b := a.browser()
	good := b.callback("/dashboard/", victim)
	for _, value := range []string{split, "/a" + split, "/a\nX-Injected: 1", "/a\rX-Injected: 1", "/a\u010a\u010dX-Injected: 1", "/a\u0085X-Injected: 1", "/ä?ö=ü#ß", url.QueryEscape("/a" + split)} {
		for _, name := range []string{"return_to", "state", "token", "attempt", "fresh", "action_completed"} {
			for _, path := range []string{"/auth/login", "/auth/register", "/auth/profile", "/auth/profile/back", "/auth/logout", "/dashboard/"} {
				check(path+" "+name, b.open(path+"?"+url.Values{name: {value}}.Encode()))
			}
			check("callback "+name, b.open(with(good, name, value)))
		}
		// All the way round, where the return path comes out again.
		one := a.browser()
		start := one.open("/auth/login?return_to=" + url.QueryEscape(value))
		at := one.submit(one.open(start.location()), victim)
		check("callback", one.open(at.location()))
	}
	// A lone CR or LF in the head is the server's to refuse; whatever it lets through, we
	// do not copy.
	for _, head := range []string{
		"GET /dashboard/\rX-Injected:1 HTTP/1.1\r\nHost: " + a.host(),
		"GET /dashboard/ HTTP/1.1\r\nHost: " + a.host() + "\rX-Injected: 1",
		"GET /dashboard/ HTTP/1.1\r\nHost: " + a.host() + "\r\nCookie: a=\rX-Injected: 1",
		"GET /dashboard/%0d%0aX-Injected:1 HTTP/1.1\r\nHost: " + a.host() + "\r\nAccept: text/html",
	} {
		check(head, a.raw(head+"\r\nConnection: close\r\n\r\n"))
	}
	// From the configuration.
	for _, change := range []func(*middleware.Config){
		func(c *middleware.Config) { c.BaseURL += split },
		func(c *middleware.Config) { c.Path = "/auth" + split },
		func(c *middleware.Config) { c.Landing = "/" + split },
		func(c *middleware.Config) { c.IDX = idx.Config{AppName: "my-app" + split, APIKey: c.IDX.APIKey} },
	} {
		cfg := middleware.Config{IDX: a.hub.Config(), BaseURL: a.origin, Store: a.store}
		change(&cfg)
		if auth, err := middleware.New(cfg); err == nil {
			auth.Close()
			t.Errorf("New took %q %q %q %q", cfg.BaseURL, cfg.Path, cfg.Landing, cfg.IDX.AppName)
		}
	}
	b.follow(good.String()).want(t, 200, "user "+victim.Email)
}
