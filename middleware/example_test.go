package middleware_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/idxauth/idxauth/idx"
	"github.com/idxauth/idxauth/idx/idxtest"
	"github.com/idxauth/idxauth/middleware"
	"github.com/idxauth/idxauth/session"
)

// The smallest program: three nouns (app, address, store) and two verbs (mount,
// wrap).
func Example() {
	auth := middleware.Must(middleware.New(middleware.Config{
		IDX:     idx.Config{AppName: "my-app", APIKey: "my-api-key"},
		BaseURL: "http://localhost:8080",
		Store:   session.NewRedis(redis.NewClient(&redis.Options{Addr: "localhost:6379"}), nil),
	}))
	http.Handle("/auth/", auth.Handler())
	http.Handle("/", auth.RequireLogin(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, "Hello", middleware.User(r.Context()).FirstName)
	})))
	log.Fatal(http.ListenAndServe(":8080", nil))
}

// A whole login, against the emulator.
func ExampleAuth_RequireLogin() {
	hub, err := idxtest.Start("")
	if err != nil {
		log.Fatal(err)
	}
	defer hub.Close()
	hub.Set(func(s *idxtest.Settings) { s.Headless = true })

	mux := http.NewServeMux()
	app := httptest.NewServer(mux)
	defer app.Close()
	auth := middleware.Must(middleware.New(middleware.Config{
		IDX:     hub.Config(),
		BaseURL: app.URL,
		Store:   session.NewMemory(),
	}))
	defer auth.Close()
	mux.Handle("/auth/", auth.Handler())
	mux.Handle("/", auth.RequireLogin(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Printf("%s sees %s\n", middleware.User(r.Context()).FirstName, r.URL)
	})))

	jar, _ := cookiejar.New(nil)
	browser := &http.Client{Jar: jar}
	req, _ := http.NewRequest("GET", app.URL+"/reports?year=2026", nil)
	req.Header.Set("Accept", "text/html") // a page visit
	page, err := browser.Do(req)
	if err != nil {
		log.Fatal(err)
	}
	defer page.Body.Close()
	fmt.Println("a stranger sees", page.Request.URL.Path)
	home, err := hub.SignIn(browser, page, idxtest.Ada.Email)
	if err != nil {
		log.Fatal(err)
	}
	home.Body.Close()
	// Output:
	// a stranger sees /auth.aspx
	// Ada sees /reports?year=2026
}

func newExampleAuth() *middleware.Auth {
	return middleware.Must(middleware.New(middleware.Config{
		IDX:     idx.Config{AppName: "my-app", APIKey: "my-api-key"},
		BaseURL: "https://www.example.com",
		Store:   session.NewMemory(),
	}))
}

// Handlers are tested with a user in the context: no login, no store, no cookie.
func ExampleWithUser() {
	greet := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "Hello, %s", middleware.User(r.Context()).FirstName)
	})
	ada := &middleware.Identity{Profile: idx.Profile{FirstName: "Ada"}}
	ctx := middleware.WithUser(context.Background(), ada)
	w := httptest.NewRecorder()
	greet.ServeHTTP(w, httptest.NewRequestWithContext(ctx, "GET", "/", nil))
	fmt.Println(w.Body)
	// Output: Hello, Ada
}

// On public pages there may be nobody.
func ExampleUser() {
	auth := newExampleAuth()
	defer auth.Close()
	public := auth.LoadUser(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user := middleware.User(r.Context()); user != nil {
			fmt.Fprintf(w, "Welcome back, %s", user.FirstName)
			return
		}
		fmt.Fprint(w, "Welcome, stranger")
	}))
	w := httptest.NewRecorder()
	public.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	fmt.Println(w.Body)
	// Output: Welcome, stranger
}

// Rules compose, per route.
func ExampleAuth_Require() {
	auth := newExampleAuth()
	defer auth.Close()
	admins := auth.Require(middleware.HasRole("admin"), middleware.EmailVerified())
	careful := auth.Require(middleware.HasRole("admin"), middleware.RecentLogin(10*time.Minute))

	mux := http.NewServeMux()
	mux.Handle("GET /admin/", admins(http.NotFoundHandler()))
	mux.Handle("POST /admin/delete", careful(http.NotFoundHandler()))

	grace := &middleware.Identity{Profile: idx.Profile{UID: "42", Email: "grace@example.test"}}
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, httptest.NewRequestWithContext(middleware.WithUser(context.Background(), grace), "GET", "/admin/", nil))
	fmt.Println(w.Code)
	// Output: 403
}

// Protect hands the user over as an argument.
func ExampleAuth_Protect() {
	auth := newExampleAuth()
	defer auth.Close()
	page := auth.Protect(func(w http.ResponseWriter, r *http.Request, user *middleware.Identity) {
		fmt.Fprintf(w, "%s may edit", user.FirstName)
	}, middleware.HasRole("editor", "admin"))

	grace := &middleware.Identity{Profile: idx.Profile{FirstName: "Grace", Roles: []string{"editor"}}}
	w := httptest.NewRecorder()
	page.ServeHTTP(w, httptest.NewRequestWithContext(middleware.WithUser(context.Background(), grace), "GET", "/", nil))
	fmt.Println(w.Body)
	// Output: Grace may edit
}

// A rule of the application's own has a reason code, which pages and programs see.
func ExampleCheck() {
	auth := newExampleAuth()
	defer auth.Close()
	ownDomain := middleware.Check("wrong_company", func(r *http.Request, user *middleware.Identity) (bool, error) {
		return user.EmailVerified && user.CustomFields["company"] == "example", nil
	})
	page := auth.Require(ownDomain)(http.NotFoundHandler())

	ada := &middleware.Identity{Profile: idx.Profile{FirstName: "Ada"}}
	w := httptest.NewRecorder()
	page.ServeHTTP(w, httptest.NewRequestWithContext(middleware.WithUser(context.Background(), ada), "GET", "/", nil))
	fmt.Println(w.Code, w.Header().Get("Content-Type"))
	// Output: 403 application/problem+json
}

// OnLogin loads or creates the application's own user, keeps its id in the session,
// and can refuse; OnRefresh sees what LoginRadius has changed since.
func ExampleHooks() {
	hooks := middleware.Hooks{
		OnLogin: func(ctx context.Context, user *middleware.Identity) error {
			if !user.EmailVerified {
				return middleware.Refuse("not_invited", "Please ask us for an invitation.")
			}
			id, err := db.customerID(ctx, user.UID) // creates it, the first time
			if err != nil {
				return err
			}
			return session.Put(ctx, "customer", id)
		},
		OnRefresh: func(ctx context.Context, old, new *middleware.Identity) {
			if old.Email != new.Email {
				db.setEmail(ctx, new.UID, new.Email)
			}
		},
	}
	fmt.Println(hooks.OnLogin(context.Background(), &middleware.Identity{}))
	// Output: not_invited
}

// Handlers get the application's own type. It is loaded once in a request.
func ExampleAppUser() {
	auth := middleware.Must(middleware.New(middleware.Config{
		IDX:     idx.Config{AppName: "my-app", APIKey: "my-api-key"},
		BaseURL: "https://www.example.com",
		Store:   session.NewMemory(),
		AppUser: func(ctx context.Context, user *middleware.Identity) (any, error) {
			return db.customer(ctx, user.UID)
		},
	}))
	defer auth.Close()
	orders := auth.RequireLogin(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		customer, err := middleware.AppUser[*customer](r.Context())
		if err != nil {
			http.Error(w, "please try again", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintf(w, "Orders of %s, customer %d", customer.Name, customer.ID)
	}))

	ada := &middleware.Identity{Profile: idx.Profile{UID: "ada"}}
	w := httptest.NewRecorder()
	orders.ServeHTTP(w, httptest.NewRequestWithContext(middleware.WithUser(context.Background(), ada), "GET", "/", nil))
	fmt.Println(w.Body)
	// Output: Orders of Ada, customer 4711
}

// Handlers that use AppUser are tested without a database.
func ExampleWithAppUser() {
	greet := func(w http.ResponseWriter, r *http.Request) {
		customer, _ := middleware.AppUser[*customer](r.Context())
		fmt.Fprintf(w, "Hello, %s", customer.Name)
	}
	ctx := middleware.WithAppUser(context.Background(), &customer{Name: "Ada"})
	w := httptest.NewRecorder()
	greet(w, httptest.NewRequestWithContext(ctx, "GET", "/", nil))
	fmt.Println(w.Body)
	// Output: Hello, Ada
}

// A devices page of the application's own. Its forms can post to the ready one, which
// Config.Devices mounts.
func ExampleAuth_Devices() {
	auth := newExampleAuth()
	defer auth.Close()
	page := func(w http.ResponseWriter, r *http.Request) {
		devices, err := auth.Devices(r.Context())
		if err != nil {
			http.Error(w, "please try again", http.StatusServiceUnavailable)
			return
		}
		for _, device := range devices {
			fmt.Fprintln(w, device.Name, device.Network, device.LastSeen, device.Current)
		}
	}
	http.Handle("/settings/devices", auth.RequireLogin(http.HandlerFunc(page)))
}

// Webhooks make changes known at once; the application can follow them too.
func ExampleConfig_webhooks() {
	cfg := middleware.Config{
		IDX:      idx.Config{AppName: "my-app", APIKey: "my-api-key", APISecret: "my-api-secret"},
		BaseURL:  "https://www.example.com",
		Store:    session.NewMemory(),
		Webhooks: true, // LoginRadius sends them to https://www.example.com/auth/webhook
		Hooks: middleware.Hooks{
			OnWebhook: func(ctx context.Context, hook *idx.Webhook) {
				if hook.Event == idx.EventDeleteAccount {
					db.forget(ctx, hook.UID)
				}
			},
		},
	}
	auth := middleware.Must(middleware.New(cfg))
	defer auth.Close()
	http.Handle("/auth/", auth.Handler())
}

// database stands for the application's own.
type database struct{}

var db database

func (database) customerID(context.Context, string) (int, error) { return 4711, nil }
func (database) forget(context.Context, string)                  {}
func (database) setEmail(_ context.Context, _, _ string)         {}
func (database) customer(_ context.Context, uid string) (*customer, error) {
	return map[string]*customer{"ada": {ID: 4711, Name: "Ada"}}[uid], nil
}

// The routes must be mounted where Path says. Below another path they are not found,
// and the hosted page would send browsers to nowhere.
func ExampleAuth_Handler_wrongMount() {
	auth := newExampleAuth() // Path is /auth
	defer auth.Close()
	mux := http.NewServeMux()
	mux.Handle("/login/", auth.Handler())
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, httptest.NewRequest("GET", "/login/callback", nil))
	fmt.Println(w.Code)
	// Output: 404
}

// Everything from the environment; New says what is missing.
func ExampleFromEnv() {
	cfg, err := middleware.FromEnv()
	if err != nil {
		log.Fatal(err)
	}
	auth, err := middleware.New(cfg)
	if err != nil {
		log.Fatal(err)
	}
	defer auth.Close()
}

// A handler can start a login where it sees fit.
func ExampleAuth_Login() {
	auth := newExampleAuth()
	defer auth.Close()
	join := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		auth.Login(w, r, "/welcome")
	})
	w := httptest.NewRecorder()
	join.ServeHTTP(w, httptest.NewRequest("GET", "/join", nil))
	hosted, _ := w.Result().Location()
	fmt.Println(w.Code, hosted.Host, hosted.Query().Get("action"))
	// Output: 302 my-app.hub.loginradius.com login
}

// Logout answers the request. Whoever mounts it elsewhere makes sure that the request
// is the user's own, as the mounted route does.
func ExampleAuth_Logout() {
	auth := newExampleAuth()
	defer auth.Close()
	own := http.NewCrossOriginProtection()
	bye := own.Handler(http.HandlerFunc(auth.Logout))
	w := httptest.NewRecorder()
	bye.ServeHTTP(w, httptest.NewRequest("POST", "/bye", nil))
	hosted, _ := w.Result().Location()
	fmt.Println(w.Code, hosted.Host, hosted.Query().Get("action"))
	// Output: 303 my-app.hub.loginradius.com logout
}

// A handler that knows the account has changed reads it again.
func ExampleAuth_Refresh() {
	auth := newExampleAuth()
	defer auth.Close()
	http.Handle("/verified", auth.RequireLogin(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, err := auth.Refresh(r.Context())
		if err != nil {
			http.Error(w, "please try again", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, user.EmailVerified)
	})))
}

// Readiness is about the store. LoginRadius being down signs nobody out.
func ExampleAuth_Health() {
	auth := newExampleAuth()
	defer auth.Close()
	fmt.Println(auth.Health(context.Background()))
	// Output: <nil>
}

// A page where a session left open is not enough.
func ExampleRecentLogin() {
	auth := newExampleAuth()
	defer auth.Close()
	page := auth.Require(middleware.RecentLogin(10 * time.Minute))(http.NotFoundHandler())

	ada := &middleware.Identity{Profile: idx.Profile{UID: "1"}, AuthTime: time.Now().Add(-time.Hour)}
	w := httptest.NewRecorder()
	r := httptest.NewRequestWithContext(middleware.WithUser(context.Background(), ada), "GET", "/delete", nil)
	page.ServeHTTP(w, r)
	fmt.Println(w.Code)
	// Output: 401
}
