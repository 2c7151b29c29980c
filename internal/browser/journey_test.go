package browser_test

import (
	"strings"
	"testing"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
)

// The tutorial's journey: register, login, dashboard with the profile, logout.
func TestJourney(t *testing.T) {
	app, hub := startExample(t)
	ctx := newBrowser(t)

	run(t, ctx, chromedp.Navigate(app), heading("A calm place"))
	picture(t, ctx, "home-stranger")

	run(t, ctx, click("Create an account"), heading("Create an account"))
	if at := location(t, ctx); !strings.HasPrefix(at, hub+"/auth.aspx?action=register&return_url=") {
		t.Fatalf("registration is at %s", at)
	}
	picture(t, ctx, "hub-register")
	run(t, ctx,
		chromedp.SendKeys(`input[name=firstname]`, "Katherine", chromedp.ByQuery),
		chromedp.SendKeys(`input[name=lastname]`, "Johnson", chromedp.ByQuery),
		chromedp.SendKeys(`input[name=email]`, "katherine@example.com", chromedp.ByQuery),
		chromedp.SendKeys(`input[name=password]`, "orbit-mechanics", chromedp.ByQuery),
		chromedp.Click(`button.main`, chromedp.ByQuery),
		heading("Dashboard"))
	wantClean(t, location(t, ctx), app+"/dashboard")
	for _, want := range []string{"Katherine Johnson", "katherine@example.com", "not verified"} {
		if got := text(t, ctx); !strings.Contains(got, want) {
			t.Errorf("the dashboard does not show %q:\n%s", want, got)
		}
	}
	run(t, ctx, chromedp.Navigate(app+"/account"), heading("Please confirm your e-mail address"))
	picture(t, ctx, "refused-unverified")

	// Out, and Back shows nothing.
	run(t, ctx, chromedp.Navigate(app+"/dashboard"), heading("Dashboard"), click("Sign out"), heading("A calm place"))
	run(t, ctx, chromedp.NavigateBack(), heading("Sign in"))
	if got := text(t, ctx); strings.Contains(got, "katherine@example.com") {
		t.Errorf("Back shows the user:\n%s", got)
	}

	// In again, by password, for a deep link.
	const deep = "/dashboard/reports?year=2026&q=a%26b"
	run(t, ctx, chromedp.Navigate(app+deep), heading("Sign in"))
	picture(t, ctx, "hub-login")
	run(t, ctx,
		chromedp.SendKeys(`input[name=email]`, "katherine@example.com", chromedp.ByQuery),
		chromedp.SendKeys(`input[name=password]`, "orbit-mechanics\n", chromedp.ByQuery),
		heading("Dashboard"))
	wantClean(t, location(t, ctx), app+deep)
	picture(t, ctx, "dashboard")
}

func wantClean(t *testing.T, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("the address is %s, want %s", got, want)
	}
}

func TestPagesOfAnAdmin(t *testing.T) {
	app, _ := startExample(t)
	ctx := newBrowser(t)
	run(t, ctx, chromedp.Navigate(app+"/admin"), heading("Sign in"), click("Continue as Ada Lovelace"), heading("Administration"))
	picture(t, ctx, "admin")
	run(t, ctx, click("Account"), heading("Account"))
	picture(t, ctx, "account")
	run(t, ctx, chromedp.Navigate(app), heading("Welcome back, Ada"))
	picture(t, ctx, "home-user")

	// The hosted profile, and back.
	run(t, ctx, chromedp.Navigate(app+"/dashboard"), click("Edit on the hosted page"), heading("Your account"))
	picture(t, ctx, "hub-profile")
	run(t, ctx,
		chromedp.SetValue(`input[name=company]`, "Difference Engines", chromedp.ByQuery),
		click("Save"), heading("Your account"), click("Back to the application"), heading("Dashboard"))
	wantClean(t, location(t, ctx), app+"/dashboard")
	if got := text(t, ctx); !strings.Contains(got, "Difference Engines") {
		t.Errorf("the dashboard does not show what was just saved:\n%s", got)
	}

	// Typed into the address bar, logout asks first.
	run(t, ctx, chromedp.Navigate(app+"/auth/logout"), heading("Sign out?"))
	picture(t, ctx, "logout-question")
	run(t, ctx, click("Sign out"), heading("A calm place"))
	if cookies := ownCookies(t, ctx, app); len(cookies) != 1 {
		t.Errorf("after logout the browser keeps %d cookies of ours", len(cookies))
	}
}

func TestRefusals(t *testing.T) {
	app, _ := startExample(t)
	ctx := newBrowser(t)
	run(t, ctx, chromedp.Navigate(app+"/admin"), heading("Sign in"), click("Continue as Grace Hopper"), heading("This page is not for you"))
	picture(t, ctx, "refused-role")
	run(t, ctx, chromedp.Navigate(app+"/nowhere"), heading("Page not found"))
	picture(t, ctx, "not-found")
	run(t, ctx, chromedp.Navigate(app+"/auth/callback?action_completed=register"), heading("Check your mail"))
	picture(t, ctx, "check-your-mail")
}

func TestWhatTheBrowserKeeps(t *testing.T) {
	app, hub := startExample(t)
	ctx := newBrowser(t)
	run(t, ctx, chromedp.Navigate(app+"/dashboard"), heading("Sign in"), click("Continue as Ada Lovelace"), heading("Dashboard"))
	cookies := ownCookies(t, ctx, app)
	if len(cookies) != 2 {
		t.Errorf("the browser keeps %d cookies of ours, want 2", len(cookies))
	}
	for _, c := range cookies {
		if !c.HTTPOnly || c.SameSite != network.CookieSameSiteLax || c.Path != "/" {
			t.Errorf("cookie %s: HttpOnly %v, SameSite %s, Path %s", c.Name, c.HTTPOnly, c.SameSite, c.Path)
		}
		if strings.HasSuffix(c.Name, "-session") && !c.Session {
			t.Errorf("cookie %s outlives the browser", c.Name)
		}
	}
	var kept int
	run(t, ctx, chromedp.Evaluate(`localStorage.length + sessionStorage.length + document.cookie.length`, &kept))
	if kept != 0 {
		t.Error("page scripts can read something of ours")
	}

	// Without our cookies, the hosted page still knows the visitor; its token has been
	// used in "another" browser, so it asks again.
	for _, c := range cookies {
		run(t, ctx, network.DeleteCookies(c.Name).WithURL(app))
	}
	run(t, ctx, chromedp.Navigate(app+"/dashboard"), heading("Sign in"))
	if at := location(t, ctx); !strings.HasPrefix(at, hub) {
		t.Errorf("at %s", at)
	}
	run(t, ctx, click("Continue as Ada Lovelace"), heading("Dashboard"))

	// Without the session cookie alone, nobody is asked.
	for _, c := range ownCookies(t, ctx, app) {
		if strings.HasSuffix(c.Name, "-session") {
			run(t, ctx, network.DeleteCookies(c.Name).WithURL(app))
		}
	}
	run(t, ctx, chromedp.Navigate(app+"/dashboard/again"), heading("Dashboard"))
	wantClean(t, location(t, ctx), app+"/dashboard/again")
}
