package attacks_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/idxauth/idxauth/idx"
	"github.com/idxauth/idxauth/idx/idxtest"
	"github.com/idxauth/idxauth/internal/redistest"
	"github.com/idxauth/idxauth/middleware"
)

// H1. Another site posts to the logout route. The check must not depend on what a server
// cannot know, the scheme (gorilla/csrf CVE-2025-24358), nor trust more origins than this
// one (nosurf CVE-2025-46721, net/http CVE-2025-47910).
func TestH1LogoutCSRF(t *testing.T) {
	s := newApp(t)
	v := s.browser()
	v.login("/dashboard/", idxtest.Ada)
	_, port, _ := strings.Cut(strings.TrimPrefix(s.origin, "http://"), ":")
	for _, headers := range [][]string{
		{"Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site"},
		{"Origin", "https://sister.localhost", "Sec-Fetch-Site", "same-site"},
		{"Origin", "http://localhost:1", "Sec-Fetch-Site", "same-site"}, // another port of this host
		// Browsers that do not say where a request comes from.
		{"Origin", "https://evil.example", "Sec-Fetch-Mode", "", "Sec-Fetch-Dest", ""},
		{"Origin", "null", "Sec-Fetch-Mode", "", "Sec-Fetch-Dest", ""},
		{"Origin", "http://localhost:1", "Sec-Fetch-Mode", "", "Sec-Fetch-Dest", ""},
		{"Origin", "http://localhost", "Sec-Fetch-Mode", "", "Sec-Fetch-Dest", ""},
		{"Origin", "http://localhost:" + port + ".evil.example", "Sec-Fetch-Mode", "", "Sec-Fetch-Dest", ""},
		{"Origin", "http://evil.example#" + s.origin, "Sec-Fetch-Mode", "", "Sec-Fetch-Dest", ""},
		{"Origin", "https://evil.example", "Referer", s.origin + "/", "X-Forwarded-Host", "evil.example", "Sec-Fetch-Mode", "", "Sec-Fetch-Dest", ""},
	} {
		req := v.request("POST", "/auth/logout?return_to=/", headers...)
		req.Body, req.ContentLength = io.NopCloser(strings.NewReader("x=1")), 3
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		got := v.do(req)
		got.want(t, 403, "cross_site_request")
		if len(got.Cookies()) > 0 {
			t.Errorf("%q changed cookies: %v", headers, got.Cookies())
		}
		v.wantUser(idxtest.Ada)
	}
	if s.hub.Count("GET /identity/v2/auth/access_token/InValidate") != 0 {
		t.Error("the token was ended at LoginRadius")
	}
	v.signOut().want(t, 303, "")
	v.wantStranger()
}

// H2. A link, image, frame, prefetch or scanner asks for the logout route.
func TestH2LogoutByGET(t *testing.T) {
	s := newApp(t)
	v := s.browser()
	v.login("/dashboard/", idxtest.Ada)
	own := []string{"Sec-Fetch-Site", "same-origin"}
	for name, headers := range map[string][]string{
		"link":         {"Sec-Fetch-Site", "cross-site"},
		"sister link":  {"Sec-Fetch-Site", "same-site"},
		"image":        append(own, "Sec-Fetch-Mode", "no-cors", "Sec-Fetch-Dest", "image"),
		"frame":        append(own, "Sec-Fetch-Dest", "iframe"),
		"fetch":        append(own, "Sec-Fetch-Mode", "cors", "Sec-Fetch-Dest", "empty"),
		"prefetch":     append(own, "Sec-Purpose", "prefetch"),
		"prerender":    append(own, "Sec-Purpose", "prefetch;prerender"),
		"old prefetch": append(own, "Purpose", "prefetch"),
		"preview":      append(own, "X-Purpose", "preview"),
		"scanner":      {"Sec-Fetch-Mode", "", "Sec-Fetch-Dest", "", "User-Agent", "LinkScanner/1.0"},
	} {
		for _, method := range []string{"GET", "HEAD"} {
			got := v.do(v.request(method, "/auth/logout", headers...))
			if got.StatusCode != 200 || len(got.Cookies()) > 0 {
				t.Errorf("%s %s: %s with cookies %v", method, name, got.Status, got.Cookies())
			}
			if method == "GET" && !strings.Contains(got.body, `<form method="post" action="/auth/logout">`) {
				t.Errorf("%s: no page that asks: %.200q", name, got.body)
			}
			v.wantUser(idxtest.Ada)
		}
	}
	v.open("/auth/logout", own...).want(t, 303, "") // a click on one of our own pages
	v.wantStranger()
}

// H3. After logout somebody presses Back, or asks whether the page has changed.
func TestH3BackAfterLogout(t *testing.T) {
	s := newApp(t)
	s.protect("/report", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"1"`)
		http.ServeContent(w, r, "report.html", time.Unix(1, 0), strings.NewReader("report of "+middleware.User(r.Context()).Email))
	})
	v := s.browser()
	v.login("/dashboard/", idxtest.Ada)
	for _, path := range []string{"/dashboard/", "/report", "/"} {
		got := v.open(path)
		got.want(t, 200, idxtest.Ada.Email)
		if cc := got.Header.Get("Cache-Control"); cc != "private, no-store" {
			t.Errorf("%s may be kept: Cache-Control %q", path, cc)
		}
	}
	same := []string{"If-None-Match", `"1"`, "If-Modified-Since", time.Now().UTC().Format(http.TimeFormat)}
	v.open("/report", same...).want(t, 304, "")
	v.signOut().want(t, 303, "")
	if got := v.open("/report", same...); got.StatusCode != 302 {
		t.Errorf("after logout the page is still good: %s", got.Status)
	}
}

// H4. The hosted page still knows the visitor and would sign him in again in silence, also if
// he never arrives at its logout.
func TestH4HubSessionAfterLogout(t *testing.T) {
	s := newApp(t)
	v := s.browser()
	v.login("/dashboard/", idxtest.Ada)
	stolen := v.pair("session")
	s.auth.Sessions().RevokeUser(t.Context(), s.hub.User(idxtest.Ada.Email).UID, nil)
	v.follow("/dashboard/").want(t, 200, "user "+idxtest.Ada.Email) // so silent it is, while the hosted page knows him
	stolenNow := v.pair("session")

	out := v.signOut()
	if at := out.location(); !strings.HasPrefix(at, s.hub.URL+"/auth.aspx?action=logout") {
		t.Fatalf("logout leads to %q", at)
	}
	redistest.Eventually(t, "the token is ended at LoginRadius", func() bool {
		return s.hub.Count("GET /identity/v2/auth/access_token/InValidate") == 1
	})
	for _, cookie := range []string{stolen, stolenNow} {
		thief := s.browser()
		thief.open("/dashboard/", "Cookie", cookie).want(t, 302, "")
	}
	if got := v.follow("/dashboard/"); !strings.HasPrefix(got.Request.URL.String(), s.hub.URL) || got.StatusCode != 200 {
		t.Errorf("signed in again in silence: at %s", got.Request.URL)
	}
	v.login("/dashboard/", idxtest.Ada).want(t, 200, "user "+idxtest.Ada.Email)
	// The honest way, to its end.
	at := v.follow(v.signOut().location())
	at.want(t, 200, "stranger")
}

// H5. Redis is down at the logout, and a thief has the cookie.
func TestH5StoreDownAtLogout(t *testing.T) {
	server := redistest.Start(t)
	s := newApp(t, onRedis(server))
	v, thief := s.browser(), s.browser()
	v.enter(idxtest.Ada)
	stolen := v.pair("session")
	server.Stop()
	redistest.Eventually(t, "nothing is served from memory any more", func() bool {
		return thief.open("/dashboard/", "Cookie", stolen).StatusCode == 503
	})
	got := v.signOut()
	got.want(t, 503, "logout_unconfirmed")
	if v.pair("session") != "" || got.Header.Get("Retry-After") == "" {
		t.Errorf("cookie %q, Retry-After %q", v.pair("session"), got.Header.Get("Retry-After"))
	}
	server.Restart()
	redistest.Eventually(t, "the session is ended after all", func() bool {
		return thief.open("/dashboard/", "Cookie", stolen).StatusCode == 302
	})
	v.enter(idxtest.Ada)
	v.wantUser(idxtest.Ada)
}

// H6. An account is blocked, or its password changed, because somebody else has it; his
// session goes on.
func TestH6BlockedAndPasswordChange(t *testing.T) {
	t.Run("webhooks", func(t *testing.T) {
		for _, event := range []idx.Event{idx.EventBlockAccount, idx.EventChangePassword, idx.EventResetPassword, idx.EventSetPassword, idx.EventDeleteAccount} {
			s := newApp(t, func(c *middleware.Config) { c.Webhooks = true })
			s.hub.SetWebhook(s.origin + "/auth/webhook")
			intruder, grace := s.browser(), s.browser()
			intruder.enter(idxtest.Ada)
			grace.enter(idxtest.Grace)
			intruder.wantUser(idxtest.Ada)
			s.hub.SendWebhook(event, idxtest.Ada.Email)
			s.hub.WaitWebhooks()
			if got := intruder.open("/dashboard/"); got.StatusCode != 302 {
				t.Errorf("after %s the session goes on: %s", event, got.Status)
			}
			grace.wantUser(idxtest.Grace)
		}
	})
	for name, change := range map[string]func(u *idxtest.User){
		"blocked": func(u *idxtest.User) { u.Blocked = true },
		"deleted": func(u *idxtest.User) { u.Deleted = true },
	} {
		t.Run(name+", without webhooks", func(t *testing.T) {
			s := newApp(t, func(c *middleware.Config) { c.Revalidate = 50 * time.Millisecond })
			intruder, grace := s.browser(), s.browser()
			intruder.enter(idxtest.Ada)
			grace.enter(idxtest.Grace)
			intruder.wantUser(idxtest.Ada)
			s.hub.UpdateUser(idxtest.Ada.Email, change)
			redistest.Eventually(t, "the session is over", func() bool { return intruder.open("/dashboard/").StatusCode == 302 })
			grace.wantUser(idxtest.Grace)
			// Nor is there a way back in.
			if got := intruder.open(intruder.ticket("/dashboard/", idxtest.Ada)); got.StatusCode == 303 {
				t.Error(fmt.Sprint("signed in again: ", got.Status))
			}
		})
	}
}
