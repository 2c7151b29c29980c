package authtest

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/idxauth/idxauth/idx/idxtest"
	"github.com/idxauth/idxauth/middleware"
	"github.com/idxauth/idxauth/session"
)

// App is an application on a server of its own, with the emulator as LoginRadius. Its
// methods end the test, with t.Fatal, where something fails.
type App struct {
	// URL is the address of the application, without a slash at the end.
	URL string

	// Auth is the one that New has made.
	Auth *middleware.Auth

	// Hub is LoginRadius: its users, mails and faults.
	Hub *idxtest.Server

	t     testing.TB
	mount string // where Auth.Handler has to be
}

// New starts an application and ends it with the test. handler returns all of its
// routes, those of [middleware.Auth.Handler] among them. change adjusts the
// configuration: at first IDX, BaseURL, a Store in memory and a Logger that writes to
// the test's output are set; a path can be added to BaseURL. With Webhooks the emulator sends them: what a.Hub.UpdateUser
// changes is known when a.Hub.WaitWebhooks returns.
func New(t testing.TB, handler func(auth *middleware.Auth) http.Handler, change ...func(*middleware.Config)) *App {
	t.Helper()
	a := &App{t: t, Hub: idxtest.NewServer(t)}
	server := httptest.NewUnstartedServer(nil)
	// By name, so that the emulator, by address, is another site with cookies of its own.
	_, port, err := net.SplitHostPort(server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	a.URL = "http://localhost:" + port
	cfg := middleware.Config{
		IDX:     a.Hub.Config(),
		BaseURL: a.URL,
		Path:    "/auth",
		Store:   session.NewMemory(),
		Logger:  slog.New(slog.NewTextHandler(t.Output(), nil)),
	}
	for _, c := range change {
		c(&cfg)
	}
	if a.Auth, err = middleware.New(cfg); err != nil {
		t.Fatal(err)
	}
	a.mount = cfg.BaseURL + cfg.Path
	server.Config.Handler = handler(a.Auth)
	if cfg.Webhooks {
		a.Hub.SetWebhook(a.mount + "/webhook")
	}
	server.Start()
	t.Cleanup(func() {
		server.Close()
		a.Auth.Close()
	})
	return a
}

// Stranger returns a client with a cookie jar and no session.
func (a *App) Stranger() *http.Client {
	a.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		a.t.Fatal(err)
	}
	return &http.Client{Jar: jar}
}

// SignIn signs a user of Hub in, through the hosted page, and returns the client: a new
// device each time. [idxtest.Ada] and five others are there from the start;
// a.Hub.AddUser makes more.
func (a *App) SignIn(email string) *http.Client {
	a.t.Helper()
	c := a.Stranger()
	if err := a.signIn(c, email); err != nil {
		a.t.Fatalf("authtest: SignIn(%q): %v", email, err)
	}
	return c
}

func (a *App) signIn(c *http.Client, email string) error {
	// The login ends here, before the landing page, which is none of it.
	c.CheckRedirect = func(to *http.Request, via []*http.Request) error {
		if to.URL.Host == via[len(via)-1].URL.Host {
			return http.ErrUseLastResponse
		}
		return nil
	}
	defer func() { c.CheckRedirect = nil }()
	page, err := c.Get(a.mount + "/login")
	if err != nil {
		return err
	}
	defer page.Body.Close()
	if page.StatusCode != http.StatusOK || page.Request.URL.Host == hostOf(a.URL) {
		return fmt.Errorf("%s/login answered %s, and did not lead to the hosted page: is auth.Handler() mounted there?", a.mount, page.Status)
	}
	end, err := a.Hub.SignIn(c, page, email)
	if err != nil {
		return err
	}
	defer end.Body.Close()
	if !a.hasSession(c) {
		body, _ := io.ReadAll(io.LimitReader(end.Body, 4<<10))
		return fmt.Errorf("%s answered %s, and nobody is signed in:\n%s", end.Request.URL.Path, end.Status, body)
	}
	return nil
}

func (a *App) hasSession(c *http.Client) bool {
	u, err := url.Parse(a.URL)
	if err != nil {
		return false
	}
	for _, cookie := range c.Jar.Cookies(u) {
		if cookie.Name == a.Auth.Sessions().CookieName() {
			return true
		}
	}
	return false
}

// Expire ends a user's sessions as their limits do. The hosted page still knows the
// clients: one that visits a page is signed in again in silence.
func (a *App) Expire(email string) {
	a.t.Helper()
	a.Revoke(email) // to all who ask, a session that has ended is one that has expired
}

// Revoke ends a user's sessions as an administrator does, and returns how many there
// were.
func (a *App) Revoke(email string) int {
	a.t.Helper()
	n, err := a.Auth.Sessions().RevokeUser(a.t.Context(), a.Hub.User(email).UID, nil)
	if err != nil {
		a.t.Fatalf("authtest: Revoke(%q): %v", email, err)
	}
	return n
}

// Block blocks a user's account in LoginRadius, and ends the sessions, as reading the
// account again does. The user cannot sign in any more.
func (a *App) Block(email string) {
	a.t.Helper()
	a.Hub.UpdateUser(email, func(u *idxtest.User) { u.Blocked = true })
	a.Revoke(email)
}

func hostOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return u.Host
}
