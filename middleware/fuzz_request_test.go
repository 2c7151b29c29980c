package middleware

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/idxauth/idxauth/idx"
	"github.com/idxauth/idxauth/session"
)

const visit = "Sec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\nAccept: text/html"

// FuzzRequest sends whole requests of a stranger to everything that is mounted. He has
// a binding of his own, and a state that was made for another browser. In what he sends,
// {session}, {login} and {return} are the names of the cookies, {binding} and {state}
// those two.
func FuzzRequest(f *testing.F) {
	for _, target := range []string{
		"/", "//evil.example/x", "https://evil.example/", "*", "/auth/callback", "/auth/callback/2?token=a&state={state}",
		"/auth/callback?token=5f3c1c5e-0000-4000-8000-0123456789ab&state={state}", "/auth/callback?token=a&token=b&state={state}",
		"/auth/callback?token=a;state={state}", "/auth/callback?state={state}&token=%zz", "/auth/callback?action_completed=register",
		"/auth/callback?action_completed=forgotpassword&state={state}", "/auth/callback/4?token=a", "/auth/callback/?token=a",
		"/auth/login?return_to=//evil.example", "/auth/login?return_to=/a&fresh=1&attempt=2", "/auth/login?fresh=2&attempt=99999999999999999999",
		"/auth/login?attempt=-1&return_to=%2Fa%0D%0ASet-Cookie:x", "/auth/register?return_to=/%5Cevil.example", "/auth/forgot-password",
		"/auth/profile?return_to=https:evil.example", "/auth/profile/back?return_to=/%09/evil.example", "/auth/logout?return_to=//evil.example",
		"/auth/devices", "/auth/webhook", "/auth//login", "/auth/%6Cogin", "/AUTH/login", "/auth/callback?" + strings.Repeat("a=b&", 20000),
	} {
		f.Add("GET", target, visit+"\r\nCookie: {login}={binding}", "")
	}
	for _, method := range []string{"HEAD", "POST", "OPTIONS", "get", "CONNECT", "TRACE", "PUT"} {
		f.Add(method, "/auth/callback?token=a&state={state}", "Cookie: {login}={binding}", "")
		f.Add(method, "/auth/logout", "Content-Type: application/x-www-form-urlencoded\r\nSec-Fetch-Site: same-origin", "end=others")
	}
	for _, headers := range []string{
		"", "Sec-Purpose: prefetch", "X-Moz: prefetch", "Upgrade: websocket\r\nConnection: Upgrade", "Accept: application/json",
		"X-Forwarded-Host: evil.example\r\nX-Forwarded-Proto: http\r\nForwarded: host=evil.example", "X-Original-URL: /public\r\nX-HTTP-Method-Override: GET",
		"Cookie: {session}=" + strings.Repeat("A", 45) + "\r\nCookie: {login}={binding}; {login}={binding}", "Origin: null\r\nSec-Fetch-Site: cross-site",
		"Access-Control-Request-Method: POST\r\nOrigin: https://evil.example", "Signature: 00\r\nContent-Encoding: gzip", "Cookie: {return}={state}; {session}={binding}",
	} {
		f.Add("GET", "/auth/callback?token=a&state={state}", headers, "")
		f.Add("GET", "/dashboard/x?y=1", headers, "")
		f.Add("POST", "/auth/webhook", headers, `{"HookId":"i","HookName":"login"}`)
		f.Add("OPTIONS", "/auth/devices", headers, "")
	}

	a := newFuzzApp(f, func(c *Config) {
		c.IDX.APISecret = "d2a1b7c4-93e8-4c60-8f1e-7b5a0d4c6e19"
		c.Provider = fuzzHooks{c.Provider.(fuzzProvider), Must(New(Config{IDX: c.IDX, BaseURL: fuzzOrigin, Store: session.NewMemory()})).provider.(*idx.Client)}
		c.Webhooks = true
	})
	f.Cleanup(func() { a.Close() })
	replace := strings.NewReplacer(
		"{session}", a.sessions.CookieName(), "{login}", a.site.cookieName(purposeBinding), "{return}", a.site.cookieName(purposeParked),
		"{binding}", newBinding().encode(),
		"{state}", a.states.seal(state{issued: time.Now(), path: "/dashboard/"}, newBinding()),
	).Replace
	handlers := map[string]http.Handler{
		"routes": a.Handler(), "page for users": a.RequireLogin(whoIsThere), "page for all": a.LoadUser(whoIsThere),
		"page behind StripPrefix": http.StripPrefix("/auth", a.RequireLogin(whoIsThere)),
	}
	f.Fuzz(func(t *testing.T, method, target, headers, body string) {
		method, target, headers = replace(method), replace(target), replace(headers)
		for name, h := range handlers {
			r := parse(method, target, headers, body)
			if r == nil {
				return
			}
			w := a.serve(t, h, r)
			if a.startsSession(w) {
				t.Errorf("%s: a session for nobody", name)
			}
			if strings.Contains(w.Body.String(), "user ") && strings.HasPrefix(name, "page") {
				t.Errorf("%s: shown to %s", name, w.Body)
			}
			if name == "page for users" && w.Code == http.StatusOK {
				t.Errorf("%s: shown: %s", name, w.Body)
			}
			if a.asked.Swap(0) != 0 {
				t.Errorf("%s: the API was asked", name)
			}
			if a.written.Swap(0) != 0 {
				t.Errorf("%s: something was written to the store", name)
			}
		}
	})
}

// fuzzHooks is a fuzzProvider with the webhooks of the real client.
type fuzzHooks struct {
	fuzzProvider
	client *idx.Client
}

func (h fuzzHooks) HasSecret() bool { return true }
func (h fuzzHooks) ParseWebhook(r *http.Request) (*idx.Webhook, error) {
	return h.client.ParseWebhook(r)
}

// FuzzCookies sends Cookie headers, hundreds of cookies long if need be, around a live
// session: it counts if, and only if, it is there once as it was given out. {session},
// {login} and {return} are the names of the cookies, {token} is the session's value,
// {binding} that of a browser.
func FuzzCookies(f *testing.F) {
	for _, line := range []string{
		"", "{session}={token}", "{session}={token}; {login}={binding}", "{session}={token}; {session}={token}", "{session}={token}x",
		`{session}="{token}"`, `{session}="{token}`, "{session} = {token}", "{session}={token};", ";;{session}={token}", "{session}={token}=",
		"{session}={token}; {session}=", "{session}={binding}; {login}={token}", "{login}={binding}; {login}={binding}", "{return}={token}",
		"a=b; {session}={token}; c=\"d; e=f\"", "{session}=\x00; {session}={token}", "my-app-session={token}", "__Secure-my-app-session={token}",
		"__host-my-app-session={token}", "{session}=%7B{token}", "$Version=1; {session}={token}; $Path=/", "{session}={token}, {session}={token}",
	} {
		for _, times := range []uint16{0, 300, 2999, 3000} {
			f.Add(line, "", times)
			f.Add("a=1", line, times)
		}
	}
	a := newFuzzApp(f)
	f.Cleanup(func() { a.Close() })
	_, token := a.signedIn(f, "ada")
	name := a.sessions.CookieName()
	replace := strings.NewReplacer(
		"{session}", name, "{login}", a.site.cookieName(purposeBinding), "{return}", a.site.cookieName(purposeParked),
		"{token}", token, "{binding}", newBinding().encode()).Replace
	page, routes := a.RequireLogin(whoIsThere), a.Handler()
	f.Fuzz(func(t *testing.T, first, second string, times uint16) {
		second = strings.Repeat("k=v; ", int(times%6000)) + second
		cookies := []string{replace(first), replace(second)}
		request := func(target string) *http.Request {
			r := httptest.NewRequest("GET", target, nil)
			r.Header = http.Header{"Cookie": cookies, "Accept": {"text/html"}}
			return r
		}
		a.written.Store(0)
		w := a.serve(t, page, request("/dashboard/"))
		// net/http's own reading, which builds all of them, is the measure.
		named := request("/").CookiesNamed(name)
		want := len(named) == 1 && named[0].Value == token
		if got := w.Code == http.StatusOK && w.Body.String() == "user ada"; got != want {
			t.Errorf("%d cookies of the name: let in: %t, want %t (%d %s)", len(named), got, want, w.Code, w.Body)
		}
		if !want && w.Code != http.StatusFound {
			t.Errorf("a stranger who visits gets %d, want a login", w.Code)
		}
		for _, target := range []string{"/auth/callback?token=a&state=b", "/auth/login", "/auth/profile/back"} {
			if w := a.serve(t, routes, request(target)); a.startsSession(w) {
				t.Errorf("%s: a session", target)
			}
		}
		// The account of somebody who comes back from the profile page is read again.
		if n := a.written.Load(); n != 0 && !want {
			t.Errorf("%d writes to the store", n)
		}
		if !a.isLive(token) {
			t.Fatal("the session has ended")
		}
	})
}

// FuzzPost sends forms to the routes that end sessions, with a signed-in browser: other
// sites end none, and nobody ends somebody else's. {own}, {other} and {grace} are the
// ids of this browser's session, of another one of the user and of another user.
func FuzzPost(f *testing.F) {
	const form = "application/x-www-form-urlencoded"
	for _, body := range []string{
		"", "end=", "end=others", "end={own}", "end={other}", "end={grace}", "end={other}&end={grace}", "end=%zz", "end={other}%00",
		"end=others;end={grace}", "x=" + strings.Repeat("y", 2000) + "&end={other}", "END={other}", "end[]={other}", "end={other}=", "\x00",
	} {
		for _, site := range []string{"", "same-origin", "same-site", "cross-site", "none"} {
			f.Add(true, site, "", form, body)
		}
		f.Add(true, "", "https://app.example", form, body)
		f.Add(true, "", "https://evil.example", form, body)
		f.Add(true, "", "null", "text/plain", body)
		f.Add(false, "same-origin", "https://app.example", "multipart/form-data; boundary=x", "--x\r\nContent-Disposition: form-data; name=\"end\"\r\n\r\n"+body+"\r\n--x--\r\n")
		f.Add(false, "cross-site", "", "", body)
	}
	f.Fuzz(func(t *testing.T, devices bool, site, origin, contentType, body string) {
		a := newFuzzApp(t)
		defer a.Close()
		own, ownCookie := a.signedIn(t, "ada")
		other, otherCookie := a.signedIn(t, "ada")
		grace, graceCookie := a.signedIn(t, "grace")
		body = strings.NewReplacer("{own}", own.ID(), "{other}", other.ID(), "{grace}", grace.ID()).Replace(body)
		target := "/auth/logout"
		if devices {
			target = "/auth/devices"
		}
		headers := fmt.Sprintf("Cookie: %s=%s\r\nContent-Type: %s", a.sessions.CookieName(), ownCookie, contentType)
		if site != "" {
			headers += "\r\nSec-Fetch-Site: " + site
		}
		if origin != "" {
			headers += "\r\nOrigin: " + origin
		}
		r := parse("POST", target, headers, body)
		if r == nil || len(r.Header["Cookie"]) != 1 {
			return
		}
		a.serve(t, a.Handler(), r)
		if !a.isLive(graceCookie) {
			t.Error("another user's session has ended")
		}
		site, origin = r.Header.Get("Sec-Fetch-Site"), r.Header.Get("Origin")
		// Browsers let no page choose either header. Those that do not send the first are
		// judged by the host in the second: http.CrossOriginProtection cannot tell
		// http from https.
		from, err := url.Parse(origin)
		ours := origin == fuzzOrigin || site == "same-origin" || site == "none" || site == "" && err == nil && (origin == "" || from.Host == "app.example")
		if !ours && (!a.isLive(ownCookie) || !a.isLive(otherCookie)) {
			t.Errorf("a site %q with Origin %q has ended a session", site, origin)
		}
		if ended := !a.isLive(otherCookie); ended && (!devices || !strings.Contains(body, "others") && !strings.Contains(body, other.ID()) && !strings.Contains(body, "%")) {
			t.Errorf("%s with %q has ended another session of the user", target, body)
		}
		if ended := !a.isLive(ownCookie); ended && devices && !strings.Contains(body, own.ID()) && !strings.Contains(body, "%") {
			t.Errorf("%s with %q has ended the browser's own session", target, body)
		}
		if ours && !devices && a.isLive(ownCookie) {
			t.Error("signing out did not end the session")
		}
	})
}
