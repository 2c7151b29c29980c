package browser_test

import (
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/idxauth/idxauth/idx/idxtest"
)

// The API is down just when a visitor comes back from the hosted page. The login is not
// lost: the same address does when it is up again.
func TestTryAgain(t *testing.T) {
	app, tenant := startWithTenant(t)
	ctx := newBrowser(t)
	run(t, ctx, chromedp.Navigate(app+"/dashboard/reports?year=2026"), heading("Sign in"))
	tenant.SetFault(idxtest.Fault{Kind: idxtest.ServerError})
	run(t, ctx, click("Continue as Ada Lovelace"), heading("Sign-in is unavailable"))
	picture(t, ctx, "refused-outage")
	run(t, ctx, click("Try again"), heading("Sign-in is unavailable"))
	tenant.ClearFault()
	run(t, ctx, click("Try again"), heading("Dashboard"))
	wantClean(t, location(t, ctx), app+"/dashboard/reports?year=2026")
}
