package middleware_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/idxauth/idxauth/idx"
	"github.com/idxauth/idxauth/idx/idxtest"
	"github.com/idxauth/idxauth/middleware"
	"github.com/idxauth/idxauth/session"
)

const (
	onWindows = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:143.0) Gecko/20100101 Firefox/143.0"
	onIPhone  = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Mobile/15E148 Safari/604.1"
)

func devices(c *middleware.Config) { c.Devices = true }

// as signs a user in on a browser that calls itself agent.
func (a *app) as(user idxtest.User, agent string) *browser {
	a.t.Helper()
	b := a.browser()
	b.client.Transport = saying{agent, b.client.Transport}
	b.signIn("/dashboard/", user)
	return b
}

// saying adds a user agent.
type saying struct {
	agent string
	next  http.RoundTripper
}

func (s saying) RoundTrip(req *http.Request) (*http.Response, error) {
	req = req.Clone(req.Context())
	req.Header.Set("User-Agent", s.agent)
	if s.next == nil {
		return http.DefaultTransport.RoundTrip(req)
	}
	return s.next.RoundTrip(req)
}

var script = []string{"Sec-Fetch-Mode", "cors", "Sec-Fetch-Dest", "empty", "Accept", "application/json"}

// devices returns the list as programs get it.
func (b *browser) devices() []middleware.Device {
	b.app.t.Helper()
	got := b.step(b.request("GET", "/auth/devices", script...))
	got.want(b.app.t, 200, `"devices"`)
	return devicesIn(b.app.t, got)
}

func devicesIn(t *testing.T, got *answer) []middleware.Device {
	t.Helper()
	var list struct{ Devices []middleware.Device }
	if err := json.Unmarshal([]byte(got.body), &list); err != nil {
		t.Fatalf("%v: %s", err, got.body)
	}
	return list.Devices
}

// end posts to the page, as its forms do or as a script does.
func (b *browser) end(id string, headers ...string) *answer {
	b.app.t.Helper()
	all := append([]string{"Origin", b.app.origin, "Sec-Fetch-Site", "same-origin", "Content-Type", "application/x-www-form-urlencoded"}, headers...)
	req := b.request("POST", "/auth/devices", all...)
	body := url.Values{"end": {id}}.Encode()
	req.Body, req.ContentLength = io.NopCloser(strings.NewReader(body)), int64(len(body))
	return b.step(req)
}

func TestDevicesPage(t *testing.T) {
	a := newApp(t, devices)
	laptop, phone, grace := a.as(idxtest.Ada, onWindows), a.as(idxtest.Ada, onIPhone), a.as(idxtest.Grace, onIPhone)
	page := laptop.open("/auth/devices")
	page.want(t, 200, "Your devices")
	for _, want := range []string{"Firefox on Windows", "this device", "Safari on iPhone", "local network", "signed in just now", "Sign out everywhere else"} {
		if !strings.Contains(page.body, want) {
			t.Errorf("the page lacks %q:\n%s", want, page.body)
		}
	}
	if strings.Contains(page.body, "<script") || page.Header.Get("Cache-Control") != "no-store" ||
		!strings.HasPrefix(page.Header.Get("Content-Security-Policy"), "default-src 'none'; style-src 'sha256-") {
		t.Errorf("headers %v", page.Header)
	}

	list := laptop.devices()
	if len(list) != 2 || !list[0].Current || list[0].Name != "Firefox on Windows" || list[1].Current || list[1].Name != "Safari on iPhone" {
		t.Fatalf("devices of the laptop: %+v", list)
	}
	if d := list[1]; d.Network != "local network" || time.Since(d.Created) > time.Minute || time.Since(d.LastSeen) > time.Minute || time.Until(d.Expires) < time.Hour {
		t.Errorf("the phone: %+v", d)
	}

	// A form of the page ends the phone's session, by its own button.
	button := regexp.MustCompile(`name="end" value="([^"]*)" aria-label="Sign out Safari on iPhone"`).FindStringSubmatch(page.body)
	if button == nil || button[1] != list[1].ID {
		t.Fatalf("button: %v", button)
	}
	got := laptop.end(button[1])
	if got.StatusCode != 303 || got.Header.Get("Location") != a.origin+"/auth/devices" {
		t.Errorf("form: %s to %s", got.Status, got.Header.Get("Location"))
	}
	phone.step(phone.request("GET", "/dashboard/")).want(t, 302, "")
	page = laptop.open("/auth/devices")
	if strings.Contains(page.body, "iPhone") || strings.Contains(page.body, "everywhere else") {
		t.Errorf("the page after it:\n%s", page.body)
	}
	grace.open("/dashboard/").want(t, 200, "user "+idxtest.Grace.Email)
}

func TestSignOutEverywhereElse(t *testing.T) {
	a := newApp(t, devices)
	laptop, phone, tablet, grace := a.as(idxtest.Ada, onWindows), a.as(idxtest.Ada, onIPhone), a.as(idxtest.Ada, onIPhone), a.as(idxtest.Grace, onIPhone)
	got := laptop.end("others", script...)
	got.want(t, 200, `"current":true`)
	if list := devicesIn(t, got); len(list) != 1 {
		t.Errorf("left: %+v", list)
	}
	for _, b := range []*browser{phone, tablet} {
		b.step(b.request("GET", "/dashboard/")).want(t, 302, "")
	}
	laptop.open("/dashboard/").want(t, 200, "user "+idxtest.Ada.Email)
	grace.open("/dashboard/").want(t, 200, "user "+idxtest.Grace.Email)
}

// Own sessions only, from own pages only.
func TestDevicesAreTheUsersOwn(t *testing.T) {
	a := newApp(t, devices)
	ada, grace := a.as(idxtest.Ada, onWindows), a.as(idxtest.Grace, onIPhone)
	id := ada.devices()[0].ID
	grace.end(id).want(t, 303, "") // a name that is none of hers, like any other
	grace.end("made up").want(t, 303, "")
	ada.open("/dashboard/").want(t, 200, "user "+idxtest.Ada.Email)

	for _, headers := range [][]string{
		{"Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site"},
		{"Origin", "null", "Sec-Fetch-Site", "cross-site"},
		{"Origin", "https://sister.localhost", "Sec-Fetch-Site", "same-site"},
	} {
		ada.end("others", headers...).want(t, 403, "cross_site_request")
	}
	ada.end("").want(t, 400, "end")
	ada.end(strings.Repeat("x", 2000)).want(t, 400, "end")

	stranger := a.browser()
	if got := stranger.step(stranger.request("GET", "/auth/devices")); got.StatusCode != 302 {
		t.Errorf("a stranger gets %s", got.Status)
	}
	stranger.end("others").want(t, 401, "login_required")
	stranger.signIn("/auth/devices", idxtest.Radia).want(t, 200, "Your devices") // and comes back

	plain := newApp(t) // not asked for
	b := plain.browser()
	b.signIn("/dashboard/", idxtest.Ada)
	b.step(b.request("GET", "/auth/devices")).want(t, 404, "")
}

// To end this very session is to sign out.
func TestEndingTheCurrentDevice(t *testing.T) {
	a := newApp(t, devices)
	ada := a.as(idxtest.Ada, onWindows)
	got := ada.end(ada.devices()[0].ID)
	if to := got.Header.Get("Location"); got.StatusCode != 303 || !strings.HasPrefix(to, a.hub.URL+"/auth.aspx?action=logout") {
		t.Errorf("%s to %s", got.Status, to)
	}
	if _, ok := ada.cookies()["session"]; ok {
		t.Error("the cookie is still there")
	}
}

func TestManyDevices(t *testing.T) {
	a := newApp(t, devices)
	ada := a.as(idxtest.Ada, onWindows)
	for range 102 {
		a.as(idxtest.Ada, "something else")
	}
	page := ada.open("/auth/devices")
	page.want(t, 200, "And 3 more.")
	if n := strings.Count(page.body, "<li>"); n != 100 {
		t.Errorf("%d devices on the page", n)
	}
	if n := len(ada.devices()); n != 103 {
		t.Errorf("%d devices in all", n)
	}
	page.want(t, 200, "Unknown device")
}

func TestDevicesForOwnTemplates(t *testing.T) {
	a := newApp(t)
	a.mux.Handle("/mine", a.auth.RequireLogin(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		list, err := a.auth.Devices(r.Context())
		for _, d := range list {
			fmt.Fprintf(w, "%s %v;", d.Name, d.Current)
		}
		if err != nil {
			t.Error(err)
		}
	})))
	a.as(idxtest.Ada, onIPhone)
	a.as(idxtest.Ada, onWindows).open("/mine").want(t, 200, "Firefox on Windows true;Safari on iPhone false;")
	if _, err := a.auth.Devices(t.Context()); !errors.Is(err, session.ErrNoSession) {
		t.Errorf("of nobody: %v", err)
	}
	ctx := middleware.WithUser(t.Context(), &middleware.Identity{Profile: idx.Profile{UID: "1"}})
	if list, err := a.auth.Devices(ctx); len(list) != 1 || !list[0].Current || err != nil {
		t.Errorf("in a test of a handler: %+v, %v", list, err)
	}
}

// noLists is a store that cannot list while it is down.
type noLists struct {
	session.Store
	down atomic.Bool
}

func (n *noLists) List(ctx context.Context, k session.Key) ([]session.Entry, error) {
	if n.down.Load() {
		return nil, errDown
	}
	return n.Store.List(ctx, k)
}

func TestDevicesWithTheStoreDown(t *testing.T) {
	store := &noLists{Store: session.NewMemory()}
	a := newApp(t, devices, func(c *middleware.Config) { c.Store = store })
	ada := a.as(idxtest.Ada, onWindows)
	store.down.Store(true)
	ada.open("/auth/devices").want(t, 503, "store_unavailable")
	ada.end("others", script...).want(t, 503, "store_unavailable")
}

// Behind a proxy that cuts the base path off, the page's addresses have it.
func TestDevicesBelowABasePath(t *testing.T) {
	a := newApp(t, devices, func(c *middleware.Config) { c.BaseURL += "/shop" })
	a.mux.Handle("/shop/", http.StripPrefix("/shop", a.mux))
	b := a.browser()
	page := b.signIn("/shop/auth/devices", idxtest.Ada)
	page.want(t, 200, "Your devices")
	for _, want := range []string{`action="/shop/auth/logout"`, `href="/shop/auth/forgot-password"`, `href="/shop/"`} {
		if !strings.Contains(page.body, want) {
			t.Errorf("the page lacks %s", want)
		}
	}
	got := b.step(b.request("GET", "/shop/auth/profile?return_to=/auth/devices"))
	hosted, err := got.Location()
	if err != nil {
		t.Fatal(err)
	}
	back := b.step(b.request("GET", hosted.Query().Get("return_url")))
	if to := back.Header.Get("Location"); to != a.origin+"/shop/auth/devices" {
		t.Errorf("the profile page leads back to %s", to)
	}
}

// A user with as many sessions as are allowed gets a page that says so, no session and
// no loop.
func TestTooManySessions(t *testing.T) {
	a := newApp(t, func(cfg *middleware.Config) {
		cfg.Session.MaxPerUser, cfg.Session.WhenFull = 1, session.RefuseNew
	})
	first := a.as(idxtest.Ada, onWindows)
	second := a.browser()
	page := second.signIn("/dashboard/", idxtest.Ada)
	page.want(t, 403, "too many devices")
	if _, ok := second.cookies()["session"]; ok {
		t.Error("a session cookie was set")
	}
	first.open("/dashboard/").want(t, 200, "user")
}
