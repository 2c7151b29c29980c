package browser_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// signIn opens a page of the application and signs in with a click. name is a ready
// user's; title is what the page says.
func signIn(t *testing.T, ctx context.Context, page, name, title string) {
	t.Helper()
	run(t, ctx, chromedp.Navigate(page), heading("Sign in"), click("Continue as "+name), heading(title))
}

// shows waits until the element with this id shows text.
func shows(id, text string) chromedp.Action {
	return chromedp.WaitVisible(fmt.Sprintf(`//*[@id=%q][contains(., %q)]`, id, text), chromedp.BySearch)
}

// clickLabelled clicks on a button by what it is called for people who do not see it.
func clickLabelled(label string) chromedp.Action {
	return chromedp.Click(fmt.Sprintf(`button[aria-label=%q]`, label), chromedp.ByQuery)
}

func TestOneDeviceEndsAnother(t *testing.T) {
	app, tenant := startWithTenant(t)
	here, there := newBrowser(t), newBrowser(t)
	signIn(t, there, app+"/dashboard", "Grace Hopper", "Dashboard")
	signIn(t, here, app+"/dashboard", "Grace Hopper", "Dashboard")
	run(t, here, click("Devices"), heading("Your devices"))
	picture(t, here, "devices")

	// The hosted page has a session of its own, in the other browser too; while that
	// lives, it signs its browser in again in silence.
	tenant.ExpireTokens()
	run(t, here, chromedp.Click(`button[name=end]:not([value=others])`, chromedp.ByQuery), // whatever this browser calls itself
		chromedp.WaitNotPresent(`button[value=others]`, chromedp.ByQuery), heading("Your devices"))
	wantClean(t, location(t, here), app+"/auth/devices")
	picture(t, here, "devices-one")
	run(t, there, click("Account"), heading("Sign in"))
	if at := location(t, there); !strings.HasPrefix(at, tenant.URL) {
		t.Errorf("the other browser is at %s", at)
	}
}

// openLive opens the live page and leaves a mark in it that a reload would wipe off.
func openLive(t *testing.T, ctx context.Context, app string) {
	t.Helper()
	signIn(t, ctx, app+"/live", "Grace Hopper", "Harbour clock")
	run(t, ctx, shows("state", "live"), chromedp.Evaluate(`window.mark = true`, nil))
}

// wantLiveEnded waits for the live page to say that it is over, which nothing else than
// the end of the session would bring about for hours.
func wantLiveEnded(t *testing.T, ctx context.Context) {
	t.Helper()
	began := time.Now()
	var same bool
	run(t, ctx, shows("ended", "You were signed out."), chromedp.Evaluate(`window.mark === true`, &same))
	if took := time.Since(began); took > 20*time.Second || !same {
		t.Errorf("the live page ended after %v, without a reload: %v", took, same)
	}
}

func TestAdminEndsALivePage(t *testing.T) {
	app, tenant := startWithTenant(t)
	grace, ada := newBrowser(t), newBrowser(t)
	openLive(t, grace, app)
	picture(t, grace, "live")
	signIn(t, ada, app+"/admin", "Ada Lovelace", "Administration")
	tenant.ExpireTokens()
	run(t, ada, clickLabelled("End the sessions of Grace Hopper"))
	wantLiveEnded(t, grace)
	picture(t, grace, "live-ended")
	run(t, grace, click("Sign in again"), heading("Sign in"), click("Continue as Grace Hopper"), shows("state", "live"))
	wantClean(t, location(t, grace), app+"/live")
}

// Nothing in the example ends these sessions: LoginRadius' webhook does.
func TestBlockingEndsALivePage(t *testing.T) {
	app, _ := startExample(t)
	grace, ada := newBrowser(t), newBrowser(t)
	openLive(t, grace, app)
	signIn(t, ada, app+"/admin", "Ada Lovelace", "Administration")
	picture(t, ada, "admin-people")
	run(t, ada, clickLabelled("Block Grace Hopper at LoginRadius"))
	wantLiveEnded(t, grace)
	run(t, ada, chromedp.WaitVisible(`button[aria-label="Unblock Grace Hopper at LoginRadius"]`, chromedp.ByQuery))
	picture(t, ada, "admin-blocked")
}

func TestStepUp(t *testing.T) {
	app, tenant := startWithTenant(t)
	ctx := newBrowser(t)
	tenant.Advance(-10 * time.Minute) // to the application, a login of ten minutes ago
	signIn(t, ctx, app+"/dashboard", "Grace Hopper", "Dashboard")
	tenant.Advance(10 * time.Minute)

	run(t, ctx, click("Scrap the ship"), heading("Sign in"))
	if at := location(t, ctx); !strings.HasPrefix(at, tenant.URL) {
		t.Errorf("at %s", at)
	}

	// A form that was open for too long.
	run(t, ctx, chromedp.Navigate(app+"/dashboard"), heading("Dashboard"), chromedp.Evaluate(`{
		const form = document.createElement("form")
		form.method = "post"
		form.action = "/scrap"
		document.body.append(form)
		form.submit()
	}`, nil), heading("Please sign in again"))
	picture(t, ctx, "refused-old-login")
	run(t, ctx, click("Sign in"), heading("Sign in"), click("Continue as Grace Hopper"), heading("Scrap the ship"))
	wantClean(t, location(t, ctx), app+"/scrap")
	picture(t, ctx, "scrap")
	run(t, ctx, click("Scrap the Kittiwake"), heading("Dashboard"))
	if got := text(t, ctx); !strings.Contains(got, "it was scrapped") {
		t.Errorf("the dashboard still has a ship:\n%s", got)
	}
	picture(t, ctx, "dashboard-without-ship")
}
