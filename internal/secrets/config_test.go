package secrets

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/idxauth/idxauth/idx"
	"github.com/idxauth/idxauth/middleware"
	"github.com/idxauth/idxauth/session"
)

// TestSecretsInWrongFields puts a secret where it does not belong. No error may show it;
// and where New does not mind, no address and no cookie.
func TestSecretsInWrongFields(t *testing.T) {
	const (
		guid  = "9c7e0d52-41b8-4f6a-8e13-5ad0c2b7f964" // as LoginRadius makes them
		word  = "hX7-Rt45+Lm9/Qw2=Zk8vBn"
		plain = "pw9f8e7d6c5b4a3f2e1d"
	)
	values := map[string]string{
		"secret": guid, "with a line break": guid + "\n", "upper case": strings.ToUpper(guid), "base64": word, "label": plain,
		"address of Redis": "redis://user:" + plain + "@redis.example:6379/0", "broken address": "redis://user:" + word + "@[redis",
		"query": "https://app.example/?secret=" + guid, "fragment": "https://app.example/#" + guid, "user": "https://" + plain + "@app.example",
		"path": "https://app.example/" + word, "header": "Bearer " + guid,
	}
	fields := map[string]func(*middleware.Config, string){
		"AppName":        func(c *middleware.Config, v string) { c.IDX.AppName = v },
		"APIKey":         func(c *middleware.Config, v string) { c.IDX.APIKey, c.IDX.APISecret = v, idx.Secret(v) },
		"APISecret":      func(c *middleware.Config, v string) { c.IDX.APISecret = idx.Secret(v) },
		"WebhookSecrets": func(c *middleware.Config, v string) { c.IDX.WebhookSecrets = []idx.Secret{idx.Secret(v), ""} },
		"HubURL":         func(c *middleware.Config, v string) { c.IDX.HubURL = v },
		"APIURL":         func(c *middleware.Config, v string) { c.IDX.APIURL = v },
		"Fields":         func(c *middleware.Config, v string) { c.IDX.Fields = []string{v, "a b"} },
		"BaseURL":        func(c *middleware.Config, v string) { c.BaseURL = v },
		"Path":           func(c *middleware.Config, v string) { c.Path = v },
		"Landing":        func(c *middleware.Config, v string) { c.Landing = v },
		"Session.Name":   func(c *middleware.Config, v string) { c.Session.Name = v },
	}
	// What New cannot tell from a right value: a name, a path, a host.
	mayBe := map[string]bool{"AppName label": true, "Session.Name label": true, "Session.Name secret": true}

	r := newRecord()
	for _, secret := range []string{guid, word, plain} {
		r.enter(apiSecret, secret)
	}
	for field, set := range fields {
		for name, value := range values {
			r.does(field + ": " + name)
			cfg := middleware.Config{
				IDX:     idx.Config{AppName: "my-app", APIKey: "key-of-the-app"},
				BaseURL: "https://app.example", Store: session.NewMemory(), Logger: r.logger(),
			}
			set(&cfg, value)
			auth, err := middleware.New(cfg)
			if err != nil {
				r.keepError(anError, field, err)
				r.print("error of New", err)
				continue
			}
			if mayBe[field+" "+name] {
				auth.Close()
				continue
			}
			r.print("Auth", auth)
			w := httptest.NewRecorder()
			auth.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/auth/login", nil))
			r.keep(answerHead, field, headerText(w.Result()))
			auth.Close()
		}
	}
	r.fromEnvironment(t, values)
	if r.count(anError) < 50 {
		t.Errorf("New has refused %d values only", r.count(anError))
	}
	r.judge(t)
}

func headerText(resp *http.Response) string {
	var b strings.Builder
	resp.Header.Write(&b)
	return b.String()
}

// fromEnvironment does the same with FromEnv.
func (r *record) fromEnvironment(t *testing.T, values map[string]string) {
	names := []string{"BASE_URL", "LOGINRADIUS_APP_NAME", "LOGINRADIUS_API_KEY", "LOGINRADIUS_API_SECRET", "LOGINRADIUS_HUB_URL",
		"LOGINRADIUS_API_URL", "REDIS_URL", "LOGINRADIUS_API_SECRET_FILE", "REDIS_URL_FILE"}
	for _, name := range names {
		t.Setenv(name, "")
	}
	file := filepath.Join(t.TempDir(), "secret")
	for _, name := range names {
		for what, value := range values {
			r.does(name + ": " + what)
			if strings.HasSuffix(name, "_FILE") {
				if err := os.WriteFile(file, []byte(value), 0o600); err != nil {
					t.Fatal(err)
				}
				value = file
			}
			t.Setenv(name, value)
			cfg, err := middleware.FromEnv()
			r.keepError(anError, name, err)
			cfg.Logger = r.logger()
			_, err = middleware.New(cfg)
			r.keepError(anError, name, err)
		}
		t.Setenv(name, "")
	}
}
