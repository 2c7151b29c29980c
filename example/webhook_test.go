package main

import (
	"net/http"
	"testing"

	"github.com/idxauth/idxauth/idx/idxtest"
)

// With a tenant of one's own there are webhooks if there is a secret to know them by.
func TestWebhooksWantASecret(t *testing.T) {
	tenant := idxtest.NewServer(t).Config()
	for secret, want := range map[string]int{"": http.StatusNotFound, string(tenant.APISecret): http.StatusUnauthorized} {
		withoutSettings(t)
		t.Setenv("LOGINRADIUS_APP_NAME", tenant.AppName)
		t.Setenv("LOGINRADIUS_API_KEY", tenant.APIKey)
		t.Setenv("LOGINRADIUS_API_SECRET", secret)
		t.Setenv("LOGINRADIUS_HUB_URL", tenant.HubURL)
		t.Setenv("LOGINRADIUS_API_URL", tenant.APIURL)
		base, _, stop := begin(t)
		if resp, _ := newVisitor(t, base).open("POST", "/auth/webhook", "*/*"); resp.StatusCode != want {
			t.Errorf("with a secret: %v: an unsigned webhook: %s, want %d", secret != "", resp.Status, want)
		}
		stop()
	}
}
