package middleware_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/idxauth/idxauth/idx"
	"github.com/idxauth/idxauth/idx/idxtest"
	"github.com/idxauth/idxauth/middleware"
	"github.com/idxauth/idxauth/session"
)

// customer is the user as an application knows it.
type customer struct {
	ID   int
	Name string
}

func TestAppUser(t *testing.T) {
	var loads atomic.Int64
	a := newApp(t, func(c *middleware.Config) {
		c.Hooks.OnLogin = func(ctx context.Context, user *middleware.Identity) error {
			return session.Put(ctx, "customer", 4711)
		}
		c.AppUser = func(ctx context.Context, user *middleware.Identity) (any, error) {
			loads.Add(1)
			id, _, err := session.Get[int](ctx, "customer")
			return &customer{id, user.FirstName}, err
		}
	})
	named := middleware.Check("nameless", func(r *http.Request, _ *middleware.Identity) (bool, error) {
		c, err := middleware.AppUser[*customer](r.Context())
		return err == nil && c.Name != "", err
	})
	show := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() { middleware.AppUser[*customer](r.Context()) })
		}
		all.Wait()
		c, err := middleware.AppUser[*customer](r.Context())
		fmt.Fprint(w, c, err)
	})
	a.mux.Handle("/orders", a.auth.Require(named)(show))
	a.mux.Handle("/start", a.auth.LoadUser(show))
	b := a.browser()
	b.signIn("/orders", idxtest.Ada).want(t, 200, "&{4711 Ada} <nil>")
	if n := loads.Load(); n != 1 {
		t.Errorf("loaded %d times in one request, want once", n)
	}
	b.open("/start").want(t, 200, "&{4711 Ada} <nil>")
	a.browser().open("/start").want(t, 200, "no session")
}

func TestAppUserIsLoadedAgainAfterARefresh(t *testing.T) {
	a := newApp(t, func(c *middleware.Config) {
		c.AppUser = func(_ context.Context, user *middleware.Identity) (any, error) {
			return customer{Name: user.FirstName}, nil
		}
	})
	a.mux.Handle("/refresh", a.auth.RequireLogin(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		before, _ := middleware.AppUser[customer](r.Context())
		a.hub.UpdateUser(idxtest.Ada.Email, func(u *idxtest.User) { u.FirstName = "Augusta" })
		if _, err := a.auth.Refresh(r.Context()); err != nil {
			t.Error(err)
		}
		after, _ := middleware.AppUser[customer](r.Context())
		fmt.Fprint(w, before.Name, " then ", after.Name)
	})))
	a.browser().signIn("/refresh", idxtest.Ada).want(t, 200, "Ada then Augusta")
}

// Hooks that have a session have the application's user too.
func TestAppUserInHooks(t *testing.T) {
	var seen notes[string]
	note := func(ctx context.Context, hook string) {
		c, err := middleware.AppUser[customer](ctx)
		seen.add(fmt.Sprint(hook, " ", c.Name, " ", err))
	}
	timed(t, func(t *testing.T, a *app) {
		b := a.browser()
		b.signIn("/dashboard/", idxtest.Ada)
		a.hub.UpdateUser(idxtest.Ada.Email, func(u *idxtest.User) { u.FirstName = "Augusta" })
		later(6 * time.Minute)
		b.open("/dashboard/")
		later(0)
		b.post("/auth/logout")
	}, func(c *middleware.Config) {
		c.AppUser = func(_ context.Context, user *middleware.Identity) (any, error) {
			return customer{Name: user.FirstName}, nil
		}
		c.Hooks.OnRefresh = func(ctx context.Context, _, _ *middleware.Identity) { note(ctx, "refresh") }
		c.Hooks.OnLogout = func(ctx context.Context, _ *middleware.Identity) { note(ctx, "logout") }
	})
	if want := []string{"refresh Augusta <nil>", "logout Augusta <nil>"}; !slices.Equal(seen.all(), want) {
		t.Errorf("hooks saw %q, want %q", seen.all(), want)
	}
}

func TestAppUserFailures(t *testing.T) {
	down := errors.New("database is down")
	answers := []error{down, nil}
	a := newApp(t, func(c *middleware.Config) {
		c.AppUser = func(context.Context, *middleware.Identity) (any, error) {
			err := answers[0]
			answers = answers[1:]
			return "a string", err
		}
	})
	plain := newApp(t)
	show := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := middleware.AppUser[string](r.Context()); !errors.Is(err, down) {
			t.Errorf("a failed load: %v", err)
		}
		if got, err := middleware.AppUser[string](r.Context()); got != "a string" || err != nil {
			t.Errorf("the next try: %q, %v", got, err)
		}
		if _, err := middleware.AppUser[int](r.Context()); err == nil || !strings.Contains(err.Error(), "returned a string, want int") {
			t.Errorf("another type: %v", err)
		}
	})
	grace := &middleware.Identity{Profile: idx.Profile{UID: "1"}}
	serveAs(a.auth.RequireLogin(show), grace, "GET", "/")

	// The user of another application is not looked up in this one's database.
	plain.mux.Handle("/inner", a.auth.LoadUser(plain.auth.RequireLogin(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, err := middleware.AppUser[string](r.Context())
		fmt.Fprint(w, err)
	}))))
	plain.browser().signIn("/inner", idxtest.Ada).want(t, 200, "Config.AppUser is not set")
}

func TestWithAppUser(t *testing.T) {
	a := newApp(t, func(c *middleware.Config) {
		c.AppUser = func(context.Context, *middleware.Identity) (any, error) { return nil, errors.New("asked the database") }
	})
	h := a.auth.RequireLogin(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := middleware.AppUser[customer](r.Context())
		fmt.Fprint(w, c.Name, err)
	}))
	ctx := middleware.WithUser(t.Context(), &middleware.Identity{Profile: idx.Profile{UID: "1"}})
	ctx = middleware.WithAppUser(ctx, customer{Name: "Ada"})
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(ctx, "GET", "/", nil))
	if got := w.Body.String(); got != "Ada<nil>" {
		t.Errorf("AppUser in a test: %s", got)
	}
}

// A change is told once, whoever finds it; readings that find none are not.
func TestOnRefresh(t *testing.T) {
	var changes notes[string]
	timed(t, func(t *testing.T, a *app) {
		a.mux.Handle("/refresh", a.auth.RequireLogin(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			a.auth.Refresh(r.Context())
			changes, _, err := session.Get[int](r.Context(), "changes")
			fmt.Fprintf(w, "changes %d %v", changes, err)
		})))
		b := a.browser()
		b.signIn("/dashboard/", idxtest.Grace)
		b.open("/refresh").want(t, 200, "changes 0 <nil>")
		a.hub.UpdateUser(idxtest.Grace.Email, func(u *idxtest.User) { u.Roles = []string{"editor", "admin"} })
		b.open("/refresh").want(t, 200, "changes 1 <nil>")
		a.hub.UpdateUser(idxtest.Grace.Email, func(u *idxtest.User) { u.Roles = nil })
		later(6 * time.Minute)
		b.open("/dashboard/") // in the background
		later(0)
		b.open("/refresh").want(t, 200, "changes 2 <nil>")
	}, func(c *middleware.Config) {
		c.Hooks.OnRefresh = func(ctx context.Context, old, new *middleware.Identity) {
			changes.add(fmt.Sprint(old.Roles, new.Roles))
			n, _, _ := session.Get[int](ctx, "changes")
			if err := session.Put(ctx, "changes", n+1); err != nil {
				t.Error(err)
			}
		}
	})
	if want := []string{"[editor] [editor admin]", "[editor admin] []"}; !slices.Equal(changes.all(), want) {
		t.Errorf("changes: %q, want %q", changes.all(), want)
	}
}
