package routers_test

import (
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"
	"github.com/go-chi/chi/v5"
	"github.com/labstack/echo/v4"

	"github.com/idxauth/idxauth/idx/idxtest"
	"github.com/idxauth/idxauth/middleware"
	"github.com/idxauth/idxauth/session"
)

// page answers with the user's address and what the router made of the path.
func page(param func(*http.Request) string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, middleware.User(r.Context()).Email+" "+param(r))
	})
}

// Each router serves /dashboard/{name} to users and mounts the login routes.
var routers = []struct {
	name  string
	base  string // path of the base URL
	build func(*middleware.Auth) http.Handler
}{
	{"net/http", "", func(a *middleware.Auth) http.Handler {
		mux := http.NewServeMux()
		mux.Handle("/auth/", a.Handler())
		mux.Handle("GET /dashboard/{name}", a.RequireLogin(page(func(r *http.Request) string { return r.PathValue("name") })))
		return mux
	}},
	{"net/http, wrapped as a whole", "", func(a *middleware.Auth) http.Handler {
		inner := http.NewServeMux()
		inner.Handle("/dashboard/{name}", page(func(r *http.Request) string { return r.PathValue("name") }))
		mux := http.NewServeMux()
		mux.Handle("/auth/", a.Handler())
		mux.Handle("/", a.RequireLogin(inner))
		return mux
	}},
	{"net/http behind StripPrefix", "/shop", func(a *middleware.Auth) http.Handler {
		inner := http.NewServeMux()
		inner.Handle("/auth/", a.Handler())
		inner.Handle("/dashboard/{name}", a.RequireLogin(page(func(r *http.Request) string { return r.PathValue("name") })))
		mux := http.NewServeMux()
		mux.Handle("/shop/", http.StripPrefix("/shop", inner))
		return mux
	}},
	{"net/http below a path", "/shop", func(a *middleware.Auth) http.Handler {
		mux := http.NewServeMux()
		mux.Handle("/shop/auth/", a.Handler())
		mux.Handle("/shop/dashboard/{name}", a.RequireLogin(page(func(r *http.Request) string { return r.PathValue("name") })))
		return mux
	}},
	{"chi", "", func(a *middleware.Auth) http.Handler {
		r := chi.NewRouter()
		r.Mount("/auth", a.Handler())
		r.Group(func(r chi.Router) {
			r.Use(a.RequireLogin)
			r.Get("/dashboard/{name}", page(func(r *http.Request) string { return chi.URLParam(r, "name") }).ServeHTTP)
		})
		return r
	}},
	{"gin", "", func(a *middleware.Auth) http.Handler {
		gin.SetMode(gin.ReleaseMode)
		r := gin.New()
		r.Any("/auth/*route", gin.WrapH(a.Handler()))
		r.GET("/dashboard/:name", func(c *gin.Context) {
			show := page(func(*http.Request) string { return c.Param("name") })
			a.RequireLogin(show).ServeHTTP(c.Writer, c.Request)
		})
		return r
	}},
	{"echo", "", func(a *middleware.Auth) http.Handler {
		e := echo.New()
		e.Any("/auth/*", echo.WrapHandler(a.Handler()))
		e.GET("/dashboard/:name", func(c echo.Context) error {
			return c.String(http.StatusOK, middleware.User(c.Request().Context()).Email+" "+c.Param("name"))
		}, echo.WrapMiddleware(a.RequireLogin))
		return e
	}},
}

func TestLogin(t *testing.T) {
	for _, tt := range routers {
		t.Run(tt.name, func(t *testing.T) {
			hub := idxtest.NewServer(t)
			app := httptest.NewUnstartedServer(nil)
			origin := "http://" + app.Listener.Addr().String()
			auth := middleware.Must(middleware.New(middleware.Config{
				IDX:     hub.Config(),
				BaseURL: origin + tt.base,
				Store:   session.NewMemory(),
			}))
			t.Cleanup(func() { auth.Close() })
			app.Config.Handler = tt.build(auth)
			app.Start()
			t.Cleanup(app.Close)

			jar, err := cookiejar.New(nil)
			if err != nil {
				t.Fatal(err)
			}
			browser := &http.Client{Jar: jar}
			wanted := origin + tt.base + "/dashboard/reports?year=2026&q=a%26b"
			at := get(t, browser, wanted)
			if !strings.HasPrefix(at.Request.URL.String(), hub.URL) {
				t.Fatalf("stranger ended on %s, want the hosted page", at.Request.URL)
			}
			at, err = hub.SignIn(browser, at, idxtest.Ada.Email)
			if err != nil {
				t.Fatal(err)
			}
			if got := at.Request.URL.String(); got != wanted {
				t.Errorf("came back to %s, want %s", got, wanted)
			}
			body, err := io.ReadAll(at.Body)
			if err != nil {
				t.Fatal(err)
			}
			if want := idxtest.Ada.Email + " reports"; string(body) != want {
				t.Errorf("page = %q, want %q", body, want)
			}
		})
	}
}

func get(t *testing.T, browser *http.Client, address string) *http.Response {
	t.Helper()
	req, err := http.NewRequest("GET", address, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", "text/html")
	resp, err := browser.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	return resp
}
