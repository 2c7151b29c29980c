package secrets

import (
	"context"
	"errors"
	"html/template"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/idxauth/idxauth/idx"
	"github.com/idxauth/idxauth/idx/idxtest"
	"github.com/idxauth/idxauth/middleware"
	"github.com/idxauth/idxauth/session"
)

// secondSecret signs webhooks, beside the API secret.
const secondSecret = "whs-9f27Kq0Vd5yTzX31mBnUe8Rc"

// app is an application on a real server, all of whose ways out lead into the record.
type app struct {
	*record
	t      *testing.T
	origin string
	auth   *middleware.Auth
	hub    *idxtest.Server
	api    *tap
	panics atomic.Value // which hook panics: a string
}

// newApp starts an application on store. change adjusts its configuration.
func newApp(t *testing.T, r *record, hub *idxtest.Server, store session.Store, change ...func(*middleware.Config)) *app {
	t.Helper()
	a := &app{record: r, t: t, hub: hub, api: &tap{record: r}}
	a.panics.Store("")
	server := httptest.NewUnstartedServer(nil)
	_, port, _ := net.SplitHostPort(server.Listener.Addr().String())
	a.origin = "http://localhost:" + port
	cfg := middleware.Config{
		IDX:      hub.Config(),
		BaseURL:  a.origin,
		Store:    store,
		Devices:  true,
		Webhooks: true,
		Logger:   r.logger(),
		Hooks: middleware.Hooks{
			OnLogin:   func(_ context.Context, u *middleware.Identity) error { return a.hook("OnLogin", u) },
			OnRefresh: func(_ context.Context, _, u *middleware.Identity) { a.hook("OnRefresh", u) },
			OnLogout:  func(_ context.Context, u *middleware.Identity) { a.hook("OnLogout", u) },
			OnWebhook: func(_ context.Context, h *idx.Webhook) { r.print("webhook in a hook", h); a.hook("OnWebhook", nil) },
			OnDenied:  a.problem("OnDenied"),
			OnError:   a.problem("OnError"),
		},
		AppUser: func(_ context.Context, u *middleware.Identity) (any, error) {
			return "customer 7", a.hook("AppUser", u)
		},
		ClientIP: func(*http.Request) netip.Addr {
			a.hook("ClientIP", nil)
			return netip.MustParseAddr("192.0.2.7")
		},
	}
	cfg.IDX.HTTPClient = &http.Client{Transport: a.api}
	cfg.IDX.WebhookSecrets = []idx.Secret{cfg.IDX.APISecret, secondSecret}
	r.enter(apiSecret, string(cfg.IDX.APISecret))
	r.enter(webhookSecret, secondSecret)
	for _, c := range change {
		c(&cfg)
	}
	var err error
	if a.auth, err = middleware.New(cfg); err != nil {
		t.Fatal(err)
	}
	r.print("configuration", cfg)
	r.print("Auth", a.auth)
	r.print("Manager", a.auth.Sessions())
	server.Config.Handler = a.routes()
	server.Config.ErrorLog = log.New(writer{r, logServer}, "", 0)
	server.Start()
	t.Cleanup(func() {
		server.Close()
		a.auth.Close()
	})
	return a
}

// logger writes each line in both forms.
func (r *record) logger() *slog.Logger {
	all := &slog.HandlerOptions{Level: slog.LevelDebug, AddSource: true}
	return slog.New(slog.NewMultiHandler(
		slog.NewTextHandler(writer{r, logText}, all), slog.NewJSONHandler(writer{r, logJSON}, all)))
}

// hook is what the application does in a hook. The worst that it may panic with is the
// token itself.
func (a *app) hook(name string, u *middleware.Identity) error {
	switch a.panics.Load() {
	case name:
		if u != nil {
			panic(u.AccessToken())
		}
		panic(name + " panics")
	case "error in " + name:
		return errors.New(name + " says no")
	}
	return nil
}

func (a *app) problem(hook string) func(context.Context, middleware.Problem) {
	return func(_ context.Context, p middleware.Problem) {
		a.keepError(hookError, hook, p.Err)
		a.print("Problem", p)
		a.told(string(p.Reason))
		a.hook(hook, nil)
	}
}

var broken = template.Must(template.New("").Parse("<p>{{.AccessToken}} {{.NoSuchThing}}"))

// routes are an application's pages, some of them careless.
func (a *app) routes() http.Handler {
	auth, mux := a.auth, http.NewServeMux()
	page := func(then func(w http.ResponseWriter, r *http.Request, user *middleware.Identity)) http.Handler {
		return auth.Protect(then)
	}
	show := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user := middleware.User(r.Context())
		if user == nil {
			io.WriteString(w, "stranger")
			return
		}
		a.print("session in a handler", session.FromContext(r.Context()))
		a.print("identity in a handler", user)
		a.print("token in a handler", user.AccessToken())
		io.WriteString(w, "user "+user.Email)
	})
	mux.Handle("/auth/", auth.Handler())
	mux.Handle("/", auth.LoadUser(show))
	mux.Handle("/dashboard/", auth.RequireLogin(show))
	mux.Handle("/admin", auth.Require(middleware.HasRole("admin"))(show))
	mux.Handle("/verified", auth.Require(middleware.EmailVerified())(show))
	mux.Handle("/fresh", auth.Require(middleware.RecentLogin(5*time.Minute))(show))
	mux.Handle("/checked", auth.Require(middleware.Check("checked", func(_ *http.Request, u *middleware.Identity) (bool, error) { return true, a.hook("Check", u) }))(show))
	mux.Handle("POST /note", page(func(w http.ResponseWriter, r *http.Request, _ *middleware.Identity) {
		if err := session.Put(r.Context(), "note", r.PostFormValue("note")); err != nil {
			a.keepError(anError, "Put", err)
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
		}
	}))
	mux.Handle("/customer", page(func(w http.ResponseWriter, r *http.Request, _ *middleware.Identity) {
		_, err := middleware.AppUser[string](r.Context())
		_, errType := middleware.AppUser[int](r.Context())
		a.keepError(anError, "AppUser", errors.Join(err, errType))
	}))
	mux.Handle("/refresh", page(func(w http.ResponseWriter, r *http.Request, _ *middleware.Identity) {
		if _, err := auth.Refresh(r.Context()); err != nil {
			a.keepError(anError, "Refresh", err)
			http.Error(w, err.Error(), http.StatusBadGateway)
		}
	}))
	mux.Handle("/panic/token", page(func(_ http.ResponseWriter, _ *http.Request, user *middleware.Identity) { panic(user.AccessToken()) }))
	mux.Handle("/panic/session", page(func(_ http.ResponseWriter, r *http.Request, _ *middleware.Identity) {
		panic(session.FromContext(r.Context()))
	}))
	mux.Handle("/panic/auth", page(func(http.ResponseWriter, *http.Request, *middleware.Identity) { panic(auth) }))
	mux.Handle("/panic/deep", page(func(_ http.ResponseWriter, r *http.Request, _ *middleware.Identity) {
		session.Put(r.Context(), "x", panicsInJSON{})
	}))
	mux.Handle("/panic/template", page(func(w http.ResponseWriter, _ *http.Request, user *middleware.Identity) {
		if err := broken.Execute(w, user); err != nil {
			panic(err)
		}
	}))
	return mux
}

// panicsInJSON panics while a session is being changed.
type panicsInJSON struct{}

func (panicsInJSON) MarshalJSON() ([]byte, error) { panic("no JSON of this") }

// client returns a client of Redis that waits as long as a busy machine may take.
func client(t *testing.T, address string) *redis.Client {
	t.Helper()
	return newClient(t, address, func(o *redis.Options) {
		o.DialTimeout, o.ReadTimeout, o.WriteTimeout, o.PoolTimeout = patience, patience, patience, patience
	})
}

// impatient returns a client as the README makes it, for a Redis that does not answer.
func impatient(t *testing.T, address string) *redis.Client {
	t.Helper()
	return newClient(t, address, func(*redis.Options) {})
}

const patience = 5 * time.Second

func newClient(t *testing.T, address string, change func(*redis.Options)) *redis.Client {
	t.Helper()
	options, err := session.ParseRedisURL(address)
	if err != nil {
		t.Fatal(err)
	}
	simple := options.Simple()
	change(simple)
	c := redis.NewClient(simple)
	t.Cleanup(func() { c.Close() })
	return c
}

// redisLog is what go-redis says by itself.
type redisLog struct{ *record }

// currentLog leads to the record of the test that runs. It is set once, since go-redis
// reads its logger without a lock.
type currentLog struct{ atomic.Pointer[record] }

var redisLogger currentLog

func init() { redis.SetLogger(&redisLogger) }

func (l *currentLog) Printf(ctx context.Context, format string, v ...any) {
	if r := l.Load(); r != nil {
		redisLog{r}.Printf(ctx, format, v...)
	}
}

func (l redisLog) Printf(_ context.Context, format string, v ...any) {
	w := writer{l.record, logRedis}
	log.New(w, "", 0).Printf(format, v...)
}

// browser is a person's, and tells the record which secrets it is given.
type browser struct {
	*app
	client *http.Client
}

func (a *app) browser() *browser {
	a.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		a.t.Fatal(err)
	}
	b := &browser{app: a}
	b.client = &http.Client{Jar: jar, Transport: &watcher{a}, CheckRedirect: func(_ *http.Request, via []*http.Request) error {
		if len(via) > 20 {
			return errors.New("redirect loop")
		}
		return nil
	}}
	return b
}

// watcher sees each answer that a browser gets.
type watcher struct{ *app }

func (w *watcher) RoundTrip(req *http.Request) (*http.Response, error) {
	w.learnFrom(req.URL)
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	if at, err := resp.Location(); err == nil {
		w.learnFrom(at)
	}
	if "http://"+req.URL.Host != w.origin {
		return resp, nil // the emulator's answers are LoginRadius'
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	resp.Body = io.NopCloser(strings.NewReader(string(body)))
	w.keepAnswer(req.URL.Path, resp.Header, string(body))
	return resp, err
}

func (a *app) keepAnswer(path string, header http.Header, body string) {
	cookies := (&http.Response{Header: header}).Cookies()
	for _, c := range cookies {
		switch {
		case c.Value == "":
		case strings.HasSuffix(c.Name, "-session"):
			a.enter(sessionToken, c.Value)
		case strings.HasSuffix(c.Name, "-login"):
			a.enter(bindingCookie, c.Value)
		}
		a.keep(answerHead, "Set-Cookie "+c.Name, c.Raw)
	}
	for name, values := range header {
		for _, v := range values {
			if name != "Set-Cookie" || len(cookies) == 0 {
				a.keep(answerHead, name+" from "+path, v)
			}
		}
	}
	a.keep(answerBody, path, body)
}

// learnFrom enters what an address hands over.
func (a *app) learnFrom(u *url.URL) {
	query := u.Query()
	if back, err := url.Parse(query.Get("return_url")); err == nil && query.Has("return_url") {
		query = back.Query()
	}
	a.enter(loginState, query.Get("state"))
	if token := query.Get("token"); len(token) > 20 {
		a.enter(accessToken, token)
	}
}

// send makes one request; headers are names and values. It follows redirects if follow
// is set. An answer that does not come is no fault here: panics cut it off.
func (b *browser) send(follow bool, method, target string, body string, headers ...string) (resp *http.Response, text string) {
	b.t.Helper()
	if strings.HasPrefix(target, "/") {
		target = b.origin + target
	}
	req, err := http.NewRequest(method, target, strings.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	req.Header.Set("Accept", "text/html")
	req.Header.Set("Sec-Fetch-Mode", "navigate")
	if body != "" {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	c := *b.client
	if !follow {
		c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	}
	if resp, err = c.Do(req); err != nil {
		return &http.Response{Request: req}, ""
	}
	defer resp.Body.Close()
	raw, _ := io.ReadAll(resp.Body)
	resp.Body = io.NopCloser(strings.NewReader(string(raw)))
	return resp, string(raw)
}

func (b *browser) open(target string, headers ...string) (*http.Response, string) {
	b.t.Helper()
	return b.send(true, "GET", target, "", headers...)
}

func (b *browser) fetch(target string) (*http.Response, string) {
	b.t.Helper()
	return b.send(false, "GET", target, "", "Accept", "application/json", "Sec-Fetch-Mode", "cors")
}

func (b *browser) post(target, body string, headers ...string) (*http.Response, string) {
	b.t.Helper()
	return b.send(false, "POST", target, body, headers...)
}

// signIn opens a page and signs in on the hosted page.
func (b *browser) signIn(target string, user idxtest.User) (*http.Response, string) {
	b.t.Helper()
	page, _ := b.open(target)
	if "http://"+page.Request.URL.Host != b.hub.URL {
		b.t.Fatalf("%s: at %s, want the hosted page", b.now(), page.Request.URL)
	}
	resp, err := b.hub.SignIn(b.client, page, user.Email)
	if err != nil {
		return &http.Response{Request: page.Request}, ""
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(resp.Body)
	return resp, string(text)
}

// start begins a login and returns its state and the address of the callback, to be
// visited with whatever token.
func (b *browser) start() (callback string) {
	b.t.Helper()
	resp, _ := b.send(false, "GET", "/auth/login", "")
	at, err := resp.Location()
	if err != nil {
		b.t.Fatal(err)
	}
	return at.Query().Get("return_url")
}
