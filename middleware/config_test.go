package middleware_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/idxauth/idxauth/idx"
	"github.com/idxauth/idxauth/middleware"
)

func TestNewReportsEveryProblem(t *testing.T) {
	_, err := middleware.New(middleware.Config{IDX: idx.Config{AppName: "evil.example/", HubURL: "http://hub.example"}, BaseURL: "http://app.example", Path: "auth"})
	for _, want := range []string{"AppName", "APIKey", "HubURL", "BaseURL", "Store"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error does not name %s:\n%v", want, err)
		}
	}
}

func TestBaseURL(t *testing.T) {
	for _, tt := range []struct {
		base string
		ok   bool
	}{
		{"https://app.example", true},
		{"https://app.example/", true},
		{"https://app.example/shop", true},
		{"https://app.example:8443", true},
		{"https://192.0.2.1", true},
		{"https://[2001:db8::1]:8443", true},
		{"http://localhost:8080", true},
		{"http://127.0.0.1", true},
		{"http://[::1]:8080", true},
		{"http://localhost:443", true},
		{"https://app.example:80", true},
		{"https://app.example:65535", true},
		{"https://xn--bcher-kva.example", true},
		{"https://4711.example", true},
		{"https://0xproxy", true},
		{"", false},
		// Browsers leave the usual port out: their Origin would be another one.
		{"https://app.example:443", false},
		{"http://localhost:80", false},
		{"http://[::1]:80", false},
		{"https://app.example:", false},
		{"https://app.example:0", false},
		{"https://app.example:65536", false},
		{"https://app.example:08443", false},
		{"https://app.example:99999999999999999999", false},
		// Browsers write these hosts in another way.
		{"https://app.example.", false},
		{"https://.app.example", false},
		{"https://app..example", false},
		{"https://192.0.2.01", false},
		{"https://192.0.513", false},
		{"https://3221225985", false},
		{"https://0xc0000201", false},
		{"http://127.1", false},
		{"http://0x7f.0.0.1", false},
		{"https://app.0x1", false},
		{"https://app.0x", false},
		{"https://app.08", false},
		{"https://[2001:db8:0:0::1]", false},
		{"https://[::ffff:192.0.2.1]", false},
		{"HTTPS://app.example", false},
		{"app.example", false},
		{"//app.example", false},
		{"http://app.example", false},
		{"http://localhost.evil.example", false},
		{"http://127.0.0.1.evil.example", false},
		{"ftp://app.example", false},
		{"javascript:alert(1)", false},
		{"https://user@app.example", false},
		{"https://user:secret@app.example", false},
		{"https://app.example?x=1", false},
		{"https://app.example/#", false},
		{"https://app.example/a/../b", false},
		{"https://app.example/a b", false},
		{"https://App.example", false},
		{"https://app.example\\evil", false},
		{"https://app_example\r\nx", false},
	} {
		t.Run(tt.base, func(t *testing.T) {
			cfg := validConfig()
			cfg.BaseURL = tt.base
			auth, err := middleware.New(cfg)
			if (err == nil) != tt.ok {
				t.Errorf("New with BaseURL %q: %v", tt.base, err)
			}
			if err != nil && strings.Contains(err.Error(), "secret") {
				t.Errorf("error shows the password: %v", err)
			}
			if auth != nil {
				auth.Close()
			}
		})
	}
}

func validConfig() middleware.Config {
	return middleware.Config{
		IDX:     idx.Config{AppName: "my-app", APIKey: "0f4e7a53-0000-4000-8000-000000000001", APISecret: "top-secret-value"},
		BaseURL: "https://app.example",
		Store:   newStore(),
	}
}

func TestPathAndLanding(t *testing.T) {
	for _, change := range []func(*middleware.Config){
		func(c *middleware.Config) { c.Path = "auth" },
		func(c *middleware.Config) { c.Path = "/" },
		func(c *middleware.Config) { c.Path = "/auth/" },
		func(c *middleware.Config) { c.Path = "/a/../b" },
		func(c *middleware.Config) { c.Landing = "https://evil.example/" },
		func(c *middleware.Config) { c.Landing = "/auth/logout" },
	} {
		cfg := validConfig()
		change(&cfg)
		if auth, err := middleware.New(cfg); err == nil {
			t.Errorf("New accepted Path %q, Landing %q", cfg.Path, cfg.Landing)
			auth.Close()
		}
	}
}

func TestMustPanics(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("Must did not panic")
		}
	}()
	middleware.Must(middleware.New(middleware.Config{}))
}

// Two applications on one host, or two addresses of one, share no cookie name.
func TestCookieNamesTellApplicationsApart(t *testing.T) {
	names := make(map[string]string)
	for _, change := range []func(*middleware.Config){
		func(*middleware.Config) {},
		func(c *middleware.Config) { c.IDX.AppName = "other-app" },
		func(c *middleware.Config) { c.IDX.AppName = strings.Repeat("a", 63) },
		func(c *middleware.Config) { c.IDX.AppName = strings.Repeat("a", 62) + "b" },
		func(c *middleware.Config) { c.BaseURL = "https://app.example/shop" },
		func(c *middleware.Config) { c.IDX.HubURL = "https://login.example" },
	} {
		cfg := validConfig()
		change(&cfg)
		auth := middleware.Must(middleware.New(cfg))
		defer auth.Close()
		name := auth.Sessions().CookieName()
		if before, taken := names[name]; taken {
			t.Errorf("%s and %s share the cookie %s", before, cfg.BaseURL, name)
		}
		names[name] = cfg.BaseURL
	}
	same := validConfig()
	same.BaseURL += "/"
	auth := middleware.Must(middleware.New(same))
	defer auth.Close()
	if _, taken := names[auth.Sessions().CookieName()]; !taken {
		t.Error("a trailing slash makes another application")
	}
}

// Without a name two applications of one address, each with a Provider of its own, would
// share their cookies and keys.
func TestProviderNeedsAName(t *testing.T) {
	cfg := validConfig()
	client, err := idx.New(cfg.IDX)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Provider, cfg.IDX = client, idx.Config{}
	if auth, err := middleware.New(cfg); err == nil || !strings.Contains(err.Error(), "IDX.AppName") {
		t.Errorf("New with a Provider and no name: %v, want an error that names IDX.AppName", err)
		if auth != nil {
			auth.Close()
		}
	}
	cfg.IDX.AppName = "shop"
	auth, err := middleware.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	auth.Close()
}

func TestFromEnv(t *testing.T) {
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte("from-a-file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("BASE_URL", "https://app.example")
	t.Setenv("LOGINRADIUS_APP_NAME", "my-app")
	t.Setenv("LOGINRADIUS_API_KEY", "key")
	t.Setenv("LOGINRADIUS_API_SECRET", "")
	t.Setenv("LOGINRADIUS_API_SECRET_FILE", file)
	t.Setenv("REDIS_URL", "redis://localhost:6379")
	cfg, err := middleware.FromEnv()
	if err != nil {
		t.Fatal(err)
	}
	if cfg.IDX.AppName != "my-app" || cfg.IDX.APIKey != "key" || string(cfg.IDX.APISecret) != "from-a-file" || cfg.BaseURL != "https://app.example" || cfg.Store == nil {
		t.Errorf("FromEnv = %+v", cfg)
	}

	t.Setenv("LOGINRADIUS_API_SECRET", "twice")
	t.Setenv("REDIS_URL", "redis://user:hidden@:bad:port")
	_, err = middleware.FromEnv()
	if err == nil || !strings.Contains(err.Error(), "LOGINRADIUS_API_SECRET") || !strings.Contains(err.Error(), "REDIS_URL") {
		t.Errorf("FromEnv error = %v", err)
	}
	if err != nil && strings.Contains(err.Error(), "hidden") {
		t.Errorf("error shows the password: %v", err)
	}
}

// Nothing that a program can print by accident shows a secret, or a key that was
// derived from one.
func TestNothingPrintsSecrets(t *testing.T) {
	cfg := validConfig()
	auth := middleware.Must(middleware.New(cfg))
	defer auth.Close()
	var structured bytes.Buffer
	for _, handler := range []slog.Handler{slog.NewTextHandler(&structured, nil), slog.NewJSONHandler(&structured, nil)} {
		slog.New(handler).Info("started", "auth", auth, "config", cfg.IDX)
	}
	texts := map[string]string{"slog": structured.String()}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%o"} {
		for _, value := range []any{cfg, &cfg, auth, *validIdentity(t)} {
			texts[fmt.Sprintf("%s of a %T", verb, value)] = fmt.Sprintf(verb, value)
		}
		if got := fmt.Sprintf(verb, auth); got != "middleware.Auth(https://app.example)" {
			t.Errorf("%s of an Auth = %.200q", verb, got)
		}
	}
	for what, text := range texts {
		if strings.Contains(text, "top-secret-value") || strings.Contains(text, fmt.Sprintf("%x", "top-secret-value")) {
			t.Errorf("%s shows the secret: %.200s", what, text)
		}
	}
}

func validIdentity(*testing.T) *middleware.Identity {
	return &middleware.Identity{Profile: idx.Profile{UID: "1"}}
}

func TestWrongMount(t *testing.T) {
	auth := middleware.Must(middleware.New(validConfig()))
	defer auth.Close()
	for path, status := range map[string]int{
		"/auth/login":  302, // as it is
		"/login":       302, // prefix cut off by a router
		"/auth/nope":   404,
		"/auth/":       404,
		"/other/login": 404,
	} {
		if got := serve(auth.Handler(), "GET", path); got.Code != status {
			t.Errorf("GET %s = %d, want %d", path, got.Code, status)
		}
	}
	if got := serve(auth.Handler(), "DELETE", "/auth/login"); got.Code != http.StatusMethodNotAllowed || got.Header().Get("Allow") != "GET, HEAD" {
		t.Errorf("DELETE = %d, Allow %q", got.Code, got.Header().Get("Allow"))
	}
}
