package idx_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/idxauth/idxauth/idx"
)

func TestURL(t *testing.T) {
	const hub = "https://my-app.hub.loginradius.com"
	tests := []struct {
		name      string
		action    idx.Action
		returnURL string
		want      string
	}{
		{"login", idx.ActionLogin, "https://a.example/cb?state=x_Y-1", hub + "/auth.aspx?action=login&return_url=https%3A%2F%2Fa.example%2Fcb%3Fstate%3Dx_Y-1"},
		{"register", idx.ActionRegister, "https://a.example/cb", hub + "/auth.aspx?action=register&return_url=https%3A%2F%2Fa.example%2Fcb"},
		{"forgot password", idx.ActionForgotPassword, "https://a.example/cb", hub + "/auth.aspx?action=forgotpassword&return_url=https%3A%2F%2Fa.example%2Fcb"},
		{"logout", idx.ActionLogout, "https://a.example/", hub + "/auth.aspx?action=logout&return_url=https%3A%2F%2Fa.example%2F"},
		{"profile has no action", idx.ActionProfile, "https://a.example/", hub + "/profile.aspx?return_url=https%3A%2F%2Fa.example%2F"},
		{"profile without return URL", idx.ActionProfile, "", hub + "/profile.aspx"},
		{"logout without return URL", idx.ActionLogout, "", hub + "/auth.aspx?action=logout"},
		{"no action is login", "", "", hub + "/auth.aspx?action=login"},
		{"action smuggles nothing", "login&return_url=//evil", "", hub + "/auth.aspx?action=login%26return_url%3D%2F%2Fevil"},
		{"percent signs are encoded once more", idx.ActionLogin, "https://a.example/%2Fx?a=1&b=%20", hub + "/auth.aspx?action=login&return_url=https%3A%2F%2Fa.example%2F%252Fx%3Fa%3D1%26b%3D%2520"},
	}
	client := mustNew(t, idx.Config{})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := client.URL(tt.action, tt.returnURL); got != tt.want {
				t.Errorf("URL(%q, %q) =\n %s, want\n %s", tt.action, tt.returnURL, got, tt.want)
			}
		})
	}
}

func TestURLOnCustomDomain(t *testing.T) {
	client := mustNew(t, idx.Config{HubURL: "https://login.example.com"})
	const want = "https://login.example.com/auth.aspx?action=login&return_url=https%3A%2F%2Fa.example"
	if got := client.URL(idx.ActionLogin, "https://a.example"); got != want {
		t.Errorf("URL = %s, want %s", got, want)
	}
	if got := client.HubOrigin(); got != "https://login.example.com" {
		t.Errorf("HubOrigin = %s", got)
	}
}

func FuzzURL(f *testing.F) {
	f.Add("login", "https://a.example/cb?state=abc&x=1#frag")
	f.Add("x\r\ny", "\x00 +%zz&token=1")
	client := mustNew(f, idx.Config{})
	f.Fuzz(func(t *testing.T, action, returnURL string) {
		got := client.URL(idx.Action(action), returnURL)
		u, err := url.Parse(got)
		if err != nil {
			t.Fatalf("URL(%q, %q) = %q: %v", action, returnURL, got, err)
		}
		if !strings.HasPrefix(got, client.HubOrigin()+"/") || u.Host != "my-app.hub.loginradius.com" || u.Fragment != "" {
			t.Errorf("URL(%q, %q) = %q leaves the hub", action, returnURL, got)
		}
		if q, err := url.ParseQuery(u.RawQuery); err != nil || q.Get("return_url") != returnURL || len(q) > 2 {
			t.Errorf("URL(%q, %q) = %q: query %v, %v", action, returnURL, got, q, err)
		}
	})
}
