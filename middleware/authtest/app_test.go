package authtest_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/idxauth/idxauth/idx/idxtest"
	"github.com/idxauth/idxauth/middleware"
	"github.com/idxauth/idxauth/middleware/authtest"
	"github.com/idxauth/idxauth/session"
)

// routes is an application as users write it.
func routes(auth *middleware.Auth) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/auth/", auth.Handler())
	mux.Handle("/hello", auth.RequireLogin(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		session.Put(r.Context(), "seen", true)
		fmt.Fprintf(w, "Hello, %s", middleware.User(r.Context()).FirstName)
	})))
	mux.Handle("/delete", auth.Require(middleware.HasRole("admin"), middleware.EmailVerified(),
		middleware.RecentLogin(time.Hour))(http.NotFoundHandler()))
	mux.HandleFunc("/{$}", func(http.ResponseWriter, *http.Request) { panic("the landing page is not part of a login") })
	return mux
}

func get(t *testing.T, c *http.Client, url string, headers ...string) (int, string) {
	t.Helper()
	req, err := http.NewRequest("GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

func want(t *testing.T, c *http.Client, url string, status int, text string) {
	t.Helper()
	if code, body := get(t, c, url); code != status || !strings.Contains(body, text) {
		t.Errorf("GET %s = %d %q, want %d with %q", url, code, body, status, text)
	}
}

func TestApp(t *testing.T) {
	app := authtest.New(t, routes)
	hello := app.URL + "/hello"
	want(t, app.Stranger(), hello, 401, "login_required")

	laptop, phone, grace := app.SignIn(idxtest.Ada.Email), app.SignIn(idxtest.Ada.Email), app.SignIn(idxtest.Grace.Email)
	want(t, laptop, hello, 200, "Hello, Ada")
	want(t, phone, hello, 200, "Hello, Ada")
	want(t, grace, app.URL+"/delete", 403, "role_missing")
	want(t, laptop, app.URL+"/delete", 404, "")

	app.Expire(idxtest.Ada.Email)
	want(t, laptop, hello, 401, "session_expired")
	if code, body := get(t, laptop, hello, "Accept", "text/html"); code != 200 || body != "Hello, Ada" {
		t.Errorf("page visit after the end of a session: %d %q, want a silent login", code, body)
	}
	if n := app.Revoke(idxtest.Ada.Email); n != 1 {
		t.Errorf("Revoke ended %d sessions, want 1", n)
	}
	want(t, phone, hello, 401, "session_expired")
	want(t, grace, hello, 200, "Hello, Grace")

	app.Block(idxtest.Grace.Email)
	want(t, grace, hello, 401, "session_expired")
	if _, body := get(t, grace, hello, "Accept", "text/html"); strings.Contains(body, "Hello") {
		t.Error("a blocked user has signed in again")
	}
}

func TestBasePath(t *testing.T) {
	app := authtest.New(t, func(auth *middleware.Auth) http.Handler {
		return http.StripPrefix("/shop", routes(auth))
	}, func(c *middleware.Config) { c.BaseURL += "/shop" })
	want(t, app.SignIn(idxtest.Ada.Email), app.URL+"/shop/hello", 200, "Hello, Ada")
}

func TestWebhooks(t *testing.T) {
	app := authtest.New(t, routes, func(c *middleware.Config) { c.Webhooks = true })
	grace := app.SignIn(idxtest.Grace.Email)
	want(t, grace, app.URL+"/delete", 403, "role_missing")
	app.Hub.UpdateUser(idxtest.Grace.Email, func(u *idxtest.User) { u.Roles = []string{"admin"} })
	app.Hub.WaitWebhooks()
	want(t, grace, app.URL+"/delete", 404, "")
}

// What cannot sign in ends the test, with a reason.
func TestSignInFailures(t *testing.T) {
	for _, tt := range []struct{ name, email, want string }{
		{"blocked", idxtest.Mallory.Email, "nobody is signed in"},
		{"unknown", "nobody@example.com", "no user"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			wantFatal(t, tt.want, func(t testing.TB) { authtest.New(t, routes).SignIn(tt.email) })
		})
	}
	t.Run("not mounted", func(t *testing.T) {
		wantFatal(t, "is auth.Handler() mounted there?", func(t testing.TB) {
			authtest.New(t, func(*middleware.Auth) http.Handler { return http.NewServeMux() }).SignIn(idxtest.Ada.Email)
		})
	})
	t.Run("bad configuration", func(t *testing.T) {
		wantFatal(t, "BaseURL", func(t testing.TB) {
			authtest.New(t, routes, func(c *middleware.Config) { c.BaseURL = "" })
		})
	})
}

// failing is a test that is expected to fail.
type failing struct {
	testing.TB
	message string
}

func (f *failing) Fatal(args ...any)                 { f.fatal(fmt.Sprint(args...)) }
func (f *failing) Fatalf(format string, args ...any) { f.fatal(fmt.Sprintf(format, args...)) }
func (f *failing) fatal(message string) {
	f.message = message
	panic(f)
}

func wantFatal(t *testing.T, text string, test func(t testing.TB)) {
	t.Helper()
	f := &failing{TB: t}
	func() {
		defer func() {
			if broken := recover(); broken != nil && broken != any(f) {
				panic(broken)
			}
		}()
		test(f)
	}()
	if !strings.Contains(f.message, text) {
		t.Errorf("the test ended with %q, want %q", f.message, text)
	}
}

func TestUser(t *testing.T) {
	auth := authtest.New(t, routes).Auth
	w := httptest.NewRecorder()
	r := authtest.NewRequest(authtest.User("ada@example.com", "admin"), "GET", "/delete", nil)
	routes(auth).ServeHTTP(w, r)
	if w.Code != 404 {
		t.Errorf("a user with all that the rules want got %d", w.Code)
	}
	if user, err := auth.Refresh(r.Context()); user != middleware.User(r.Context()) || err != nil {
		t.Errorf("Refresh in a test of a handler = %v, %v", user, err)
	}

	w = httptest.NewRecorder()
	r = authtest.NewRequest(authtest.User("grace@example.com"), "GET", "/hello", nil)
	routes(auth).ServeHTTP(w, r)
	if seen, _, err := session.Get[bool](r.Context(), "seen"); w.Body.String() != "Hello, Grace" || !seen || err != nil {
		t.Errorf("%q, seen %v, %v", w.Body, seen, err)
	}
	if a, b := authtest.User("a@example.com").UID, authtest.User("b@example.com").UID; a == b || a != authtest.User("a@example.com").UID {
		t.Errorf("UIDs %s and %s", a, b)
	}
}
