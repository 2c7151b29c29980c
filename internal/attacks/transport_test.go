package attacks_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/idxauth/idxauth/idx"
	"github.com/idxauth/idxauth/idx/idxtest"
	"github.com/idxauth/idxauth/middleware"
	"github.com/idxauth/idxauth/session"
)

// K1. Somebody in between shows a certificate that nobody has signed, or there is no TLS.
func TestK1UnverifiedTLS(t *testing.T) {
	goFiles(t, func(path, source string) {
		for _, bad := range []string{"InsecureSkipVerify", "VersionTLS10", "VersionTLS11", "VersionSSL30"} {
			if strings.Contains(source, bad) {
				t.Errorf("%s mentions %s", path, bad)
			}
		}
	})
	hub := idxtest.NewServer(t)
	var calls atomic.Int64
	api := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		hub.Handler().ServeHTTP(w, r)
	}))
	api.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	api.StartTLS()
	t.Cleanup(api.Close)
	trust := x509.NewCertPool()
	trust.AddCert(api.Certificate())
	for name, client := range map[string]*http.Client{
		"as configured":   nil,
		"another name":    {Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: trust, ServerName: "api.loginradius.com"}}},
		"trusted nowhere": {Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: x509.NewCertPool()}}},
	} {
		t.Run(name, func(t *testing.T) {
			a := startApp(t, &app{hub: hub}, []func(*middleware.Config){func(c *middleware.Config) { c.IDX.APIURL, c.IDX.HTTPClient = api.URL, client }})
			wantNoLogin(t, a, 503, middleware.ProviderDown)
			if calls.Load() > 0 {
				t.Error("the token was sent to it")
			}
		})
	}
	a := startApp(t, &app{hub: hub}, []func(*middleware.Config){func(c *middleware.Config) {
		c.IDX.APIURL = api.URL
		c.IDX.HTTPClient = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: trust}}}
	}})
	a.browser().enter(idxtest.Grace)
	if calls.Load() == 0 {
		t.Error("nobody has called it: nothing is tested")
	}
	for _, field := range []func(c *middleware.Config){
		func(c *middleware.Config) { c.IDX.APIURL = "http://api.example.com" },
		func(c *middleware.Config) { c.IDX.HubURL = "http://login.example.com" },
		func(c *middleware.Config) { c.BaseURL = "http://www.example.com" },
	} {
		cfg := validConfig()
		field(&cfg)
		if _, err := middleware.New(cfg); err == nil {
			t.Errorf("plain http to another host was accepted: %+v", cfg.BaseURL)
		}
	}
}

func validConfig() middleware.Config {
	return middleware.Config{
		IDX:     idx.Config{AppName: "my-app", APIKey: "key", APISecret: "secret"},
		BaseURL: "https://www.example.com",
		Store:   session.NewMemory(),
	}
}

// K2. A setting is missing or wrong, and the application starts all the same, open.
func TestK2WrongConfiguration(t *testing.T) {
	wrong := map[string]func(c *middleware.Config){
		"app name":        func(c *middleware.Config) { c.IDX.AppName = "" },
		"app name, host":  func(c *middleware.Config) { c.IDX.AppName = "evil.example/" },
		"API key":         func(c *middleware.Config) { c.IDX.APIKey = "" },
		"API secret":      func(c *middleware.Config) { c.IDX.APISecret = "two\nlines" },
		"webhook secret":  func(c *middleware.Config) { c.IDX.WebhookSecrets = []idx.Secret{"a", ""} },
		"webhooks":        func(c *middleware.Config) { c.Webhooks, c.IDX.APISecret = true, "" },
		"base URL":        func(c *middleware.Config) { c.BaseURL = "" },
		"base URL, user":  func(c *middleware.Config) { c.BaseURL = "https://a@www.example.com" },
		"base URL, query": func(c *middleware.Config) { c.BaseURL = "https://www.example.com?" },
		"store":           func(c *middleware.Config) { c.Store = nil },
		"path":            func(c *middleware.Config) { c.Path = "/" },
		"landing":         func(c *middleware.Config) { c.Landing = "//evil.example" },
		"landing, login":  func(c *middleware.Config) { c.Landing = "/auth/login" },
		"idle":            func(c *middleware.Config) { c.Session.Idle, c.Session.Absolute = 2e12, 1e12 },
		"absolute":        func(c *middleware.Config) { c.Session.Absolute = -1 },
		"sessions":        func(c *middleware.Config) { c.Session.MaxPerUser = -1 },
	}
	for name, change := range wrong {
		cfg := validConfig()
		change(&cfg)
		if auth, err := middleware.New(cfg); err == nil || auth != nil {
			t.Errorf("%s: accepted", name)
		}
	}
	_, err := middleware.New(middleware.Config{})
	for _, problem := range []string{"AppName", "APIKey", "BaseURL", "Store"} {
		if err == nil || !strings.Contains(err.Error(), problem) {
			t.Errorf("nothing is said of %s: %v", problem, err)
		}
	}
	auth, err := middleware.New(validConfig())
	if err != nil {
		t.Fatal(err)
	}
	defer auth.Close()
	w := httptest.NewRecorder()
	reached := false
	auth.RequireLogin(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true })).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	if w.Code != 401 || reached {
		t.Errorf("the smallest configuration answers a stranger with %d, reached %v", w.Code, reached)
	}
}

// K3. Redis is somewhere on the network, without TLS: the operator is told, once, and not the
// password.
func TestK3PlainRedis(t *testing.T) {
	for name, tt := range map[string]struct {
		options redis.Options
		warned  int
	}{
		"another host":          {redis.Options{Addr: "192.0.2.1:6379", Password: "sesame-1", ReadTimeout: 3e8, WriteTimeout: 3e8, ContextTimeoutEnabled: true}, 1},
		"another host with TLS": {redis.Options{Addr: "192.0.2.1:6379", Password: "sesame-1", TLSConfig: &tls.Config{}, ReadTimeout: 3e8, WriteTimeout: 3e8, ContextTimeoutEnabled: true}, 0},
		"this host":             {redis.Options{Addr: "127.0.0.1:6379", Password: "sesame-1", ReadTimeout: 3e8, WriteTimeout: 3e8, ContextTimeoutEnabled: true}, 0},
	} {
		var log logBuffer
		client := redis.NewClient(&tt.options)
		cfg := validConfig()
		cfg.Store, cfg.Logger = session.NewRedis(client, nil), slog.New(slog.NewTextHandler(&log, nil))
		auth, err := middleware.New(cfg)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		auth.Close()
		client.Close()
		if n := strings.Count(log.String(), "TLS"); n != tt.warned || strings.Contains(log.String(), "sesame-1") {
			t.Errorf("%s: %d warnings, want %d: %s", name, n, tt.warned, log.String())
		}
	}
}

// K4. A hook, a rule or an error page of the application panics: no door opens.
func TestK4PanicOpensNothing(t *testing.T) {
	var armed atomic.Bool
	boom := func() {
		if armed.Load() {
			panic("boom")
		}
	}
	a := newApp(t, func(c *middleware.Config) {
		c.Hooks.OnLogin = func(context.Context, *middleware.Identity) error { boom(); return nil }
		c.Hooks.OnDenied = func(context.Context, middleware.Problem) { boom() }
		c.Hooks.OnLogout = func(context.Context, *middleware.Identity) { boom() }
		c.ErrorPage = func(http.ResponseWriter, *http.Request, middleware.Problem) { boom() }
		c.ClientIP = func(*http.Request) (none netip.Addr) { boom(); return none }
	})
	a.mux.Handle("/checked", a.auth.Require(middleware.Check("fine", func(*http.Request, *middleware.Identity) (bool, error) {
		boom()
		return true, nil
	}))(http.HandlerFunc(a.page)))
	inside, stranger := a.browser(), a.browser()
	inside.enter(idxtest.Ada)
	inside.open("/checked").want(t, 200, "user")
	back := stranger.ticket("/dashboard/", idxtest.Grace)
	armed.Store(true)
	served := a.served.Load()
	for name, tt := range map[string]struct {
		*browser
		req *http.Request
	}{
		"OnLogin or ClientIP": {stranger, stranger.request("GET", back)},
		"OnDenied":            {stranger, stranger.request("POST", "/dashboard/")},
		"ErrorPage":           {inside, inside.request("POST", "/auth/logout", "Sec-Fetch-Site", "cross-site")},
		"Check":               {inside, inside.request("GET", "/checked")},
	} {
		if got, err := tt.send(tt.req); err == nil && got.StatusCode < 500 {
			t.Errorf("%s panics: %s", name, got.Status)
		}
	}
	if a.served.Load() != served {
		t.Error("a page was shown")
	}
	if stranger.session() != "" {
		t.Error("a login that panicked left a session")
	}
	if n := a.sessionsOf(idxtest.Grace); n != 0 {
		t.Errorf("Grace has %d sessions", n)
	}
	stolen := inside.copy()
	inside.client.Do(inside.request("POST", "/auth/logout", "Sec-Fetch-Site", "same-origin")) // OnLogout panics
	armed.Store(false)
	stolen.wantStranger()
	stranger.enter(idxtest.Grace)
	if !strings.Contains(a.log.String(), "boom") {
		t.Error("nobody was told")
	}
}
