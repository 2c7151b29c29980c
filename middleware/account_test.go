package middleware_test

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/idxauth/idxauth/idx/idxtest"
	"github.com/idxauth/idxauth/middleware"
)

// newcomer is somebody who registers.
var newcomer = idxtest.User{Email: "marie@example.com", Password: "polonium", FirstName: "Marie"}

// submit sends a form of the hosted page that the browser has reached, and follows where
// it leads.
func (b *browser) submit(page *answer, fields ...string) *answer {
	b.app.t.Helper()
	form := make(url.Values)
	for i := 0; i < len(fields); i += 2 {
		form.Set(fields[i], fields[i+1])
	}
	req := b.request("POST", page.at(), "Content-Type", "application/x-www-form-urlencoded")
	body := form.Encode()
	req.Body, req.ContentLength = io.NopCloser(strings.NewReader(body)), int64(len(body))
	return b.do(req)
}

// register registers the newcomer on the hosted page.
func (b *browser) register(returnTo string) *answer {
	b.app.t.Helper()
	return b.submit(b.open("/auth/register?return_to="+url.QueryEscape(returnTo)),
		"email", newcomer.Email, "password", newcomer.Password, "firstname", newcomer.FirstName)
}

// mail returns the link of the last mail.
func (a *app) mail() string {
	a.t.Helper()
	mails := a.hub.Mails()
	if len(mails) == 0 {
		a.t.Fatal("no mail was sent")
	}
	return mails[len(mails)-1].Link
}

// hops counts how often the browser came to the callback.
func (b *browser) hops() int {
	n := 0
	for _, address := range b.seen {
		if strings.HasPrefix(address, b.app.origin+"/auth/callback") {
			n++
		}
	}
	return n
}

func verificationRequired(a *app) {
	a.hub.Set(func(s *idxtest.Settings) { s.Verification = idxtest.VerificationRequired })
}

// Without required verification, whoever registers is signed in.
func TestRegisterSignsIn(t *testing.T) {
	a := newApp(t)
	b := a.browser()
	b.register("/dashboard/welcome").want(t, 200, "user "+newcomer.Email)
}

func TestRegisterThenCheckYourMail(t *testing.T) {
	a := newApp(t)
	verificationRequired(a)
	b := a.browser()
	page := b.register("/dashboard/welcome?x=1")
	page.want(t, 200, "Check your mail")
	if _, ok := b.cookies()["session"]; ok {
		t.Error("somebody is signed in without a token")
	}
	// Its link to sign in leads on to the page that was asked for.
	link := regexp.MustCompile(`href="(/auth/login[^"]*)"`).FindStringSubmatch(page.body)
	if link == nil {
		t.Fatalf("no link to sign in: %s", page.body)
	}
	login, err := url.Parse(link[1])
	if err != nil || login.Query().Get("return_to") != "/dashboard/welcome?x=1" {
		t.Errorf("sign in leads to %s, %v", link[1], err)
	}
	// Here the mail's link is the end of the same login.
	b.seen = nil
	got := b.open(a.mail())
	got.want(t, 200, "user "+newcomer.Email)
	if got.Request.URL.RequestURI() != "/dashboard/welcome?x=1" || b.hops() != 1 {
		t.Errorf("ended at %s after %d callbacks", got.at(), b.hops())
	}
}

// The link in the mail is opened on another device, or long after, where no state of
// ours counts: the token is not believed, and one more trip brings a new one.
func TestMailLinkElsewhere(t *testing.T) {
	for _, tt := range []struct {
		name   string
		silent bool // the hosted page signs in whoever follows the link
	}{
		{"signed in by the link", true},
		{"asked to sign in", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := newApp(t)
			verificationRequired(a)
			a.hub.Set(func(s *idxtest.Settings) { s.LoginAfterVerification = tt.silent })
			a.browser().register("/dashboard/welcome")
			phone := a.browser()
			got := phone.open(a.mail())
			if !tt.silent {
				got.want(t, 200, "confirmed")
				got = phone.finish(got, newcomer)
			}
			got.want(t, 200, "user "+newcomer.Email)
			if got.Request.URL.Path != "/dashboard/welcome" || phone.hops() != 2 {
				t.Errorf("ended at %s after %d callbacks, want one extra", got.at(), phone.hops())
			}
		})
	}
}

func TestMailLinkAfterTheLoginWindow(t *testing.T) {
	timed(t, func(t *testing.T, a *app) {
		verificationRequired(a)
		b := a.browser()
		b.register("/dashboard/welcome")
		later(24 * time.Hour)
		b.seen = nil
		got := b.open(a.mail())
		got.want(t, 200, "user "+newcomer.Email)
		if got.Request.URL.Path != "/dashboard/welcome" || b.hops() != 2 {
			t.Errorf("ended at %s after %d callbacks, want one extra", got.at(), b.hops())
		}
	})
}

// Where the hosted page only confirms the address, the link changes nobody's session.
func TestMailLinkOfAnother(t *testing.T) {
	a := newApp(t)
	verificationRequired(a)
	a.hub.Set(func(s *idxtest.Settings) { s.LoginAfterVerification = false })
	a.browser().register("/dashboard/")
	victim := a.browser()
	victim.signIn("/dashboard/", idxtest.Ada)
	victim.open(a.mail())
	victim.open("/dashboard/").want(t, 200, "user "+idxtest.Ada.Email)
}

func TestForgotPassword(t *testing.T) {
	for _, elsewhere := range []bool{false, true} {
		t.Run(fmt.Sprintf("elsewhere %v", elsewhere), func(t *testing.T) {
			a := newApp(t)
			b := a.browser()
			b.submit(b.open("/auth/forgot-password?return_to=/dashboard/x"), "email", idxtest.Ada.Email).want(t, 200, "choose a new password")
			// Nobody learns whether there is such an account.
			b.submit(b.open("/auth/forgot-password"), "email", "nobody@example.com").want(t, 200, "choose a new password")

			if elsewhere {
				b = a.browser()
			}
			b.seen = nil
			form := b.submit(b.open(a.mail()), "newpassword", "analytical")
			form.want(t, 200, "has been changed")
			got := b.finish(form, idxtest.Ada)
			got.want(t, 200, "user "+idxtest.Ada.Email)
			// The link has lost the state, and with it the page that was asked for.
			if got.Request.URL.Path != "/" || b.hops() != 2 {
				t.Errorf("ended at %s after %d callbacks, want one extra", got.at(), b.hops())
			}
		})
	}
}

func TestHostedProfilePage(t *testing.T) {
	timed(t, testHostedProfilePage)
}

func testHostedProfilePage(t *testing.T, a *app) {
	a.mux.Handle("/name", a.auth.Protect(func(w http.ResponseWriter, _ *http.Request, user *middleware.Identity) {
		io.WriteString(w, "name "+user.FirstName)
	}))
	b := a.browser()
	b.signIn("/name", idxtest.Ada).want(t, 200, "name Ada")
	profile := b.open("/auth/profile?return_to=" + url.QueryEscape("/name?a=1&b=2"))
	b.submit(profile, "firstname", "Augusta")
	back := regexp.MustCompile(`href="([^"]*)">Back`).FindStringSubmatch(profile.body)
	if back == nil {
		t.Fatalf("no way back: %s", profile.body)
	}
	got := b.open(strings.ReplaceAll(back[1], "&amp;", "&"))
	got.want(t, 200, "name Augusta") // at once, not Revalidate later
	if got.Request.URL.RequestURI() != "/name?a=1&b=2" {
		t.Errorf("back at %s", got.at())
	}

	// The way back is for everybody; calls it makes for few.
	a.browser().step(b.request("GET", "/auth/profile/back?return_to=https://evil.example/")).want(t, 303, "")
	calls := len(a.hub.Requests())
	for range 10 {
		got := b.step(b.request("GET", "/auth/profile/back?return_to=/name"))
		if got.StatusCode != 303 || got.Header.Get("Location") != a.origin+"/name" {
			t.Errorf("back: %s to %s", got.Status, got.Header.Get("Location"))
		}
	}
	if n := len(a.hub.Requests()) - calls; n > 0 {
		t.Errorf("ten ways back made %d calls", n)
	}
}

// A profile page that cannot be read again does not keep the visitor.
func TestWayBackWithTheAPIDown(t *testing.T) {
	a := newApp(t)
	b := a.browser()
	b.signIn("/dashboard/", idxtest.Ada)
	a.hub.SetFault(idxtest.Fault{Kind: idxtest.ServerError})
	b.open("/auth/profile/back?return_to=/dashboard/").want(t, 200, "user "+idxtest.Ada.Email)
}

// Whoever is blocked meanwhile is out.
func TestWayBackOfABlockedUser(t *testing.T) {
	a := newApp(t)
	b := a.browser()
	b.signIn("/dashboard/", idxtest.Ada)
	a.hub.UpdateUser(idxtest.Ada.Email, func(u *idxtest.User) { u.Blocked = true })
	b.open("/auth/profile/back?return_to=/dashboard/")
	b.step(b.request("GET", "/dashboard/")).want(t, 302, "")
}

// A user with many sessions gets no more of the API than one with a single one.
func TestManySessionsAskOutOfTurn(t *testing.T) {
	timedPair(t, 50, func(t *testing.T, p *pair) {
		n := p.calls(func() {
			for _, b := range p.browsers {
				p.onBoth(0, b, "/auth/profile/back")
			}
		})
		if n > 1 {
			t.Errorf("%d sessions of a user made %d calls at once, want 1", len(p.browsers), n)
		}
	})
}
