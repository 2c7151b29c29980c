package main

import (
	"strings"
	"testing"

	"github.com/idxauth/idxauth/idx/idxtest"
)

func TestDevices(t *testing.T) {
	base, hub := start(t)
	here, there := newVisitor(t, base), newVisitor(t, base)
	here.signIn(hub, "/dashboard", idxtest.Grace)
	there.signIn(hub, "/dashboard", idxtest.Grace)
	_, page := here.open("GET", "/auth/devices", "text/html")
	if n := strings.Count(page, "a Go program"); n < 2 || !strings.Contains(page, "this device") || !strings.Contains(page, "Harbour") {
		t.Errorf("the page shows %d devices:\n%s", n, page)
	}
	if resp, body := here.open("GET", "/auth/devices", "application/json"); !strings.Contains(body, `"devices":[{"id":`) {
		t.Errorf("for programs: %s:\n%s", resp.Status, body)
	}

	resp, page := here.post("/auth/devices", "end", "others")
	if resp.Request.URL.String() != base+"/auth/devices" || strings.Contains(page, "everywhere else") {
		t.Errorf("came to %s, %s:\n%s", resp.Request.URL, resp.Status, page)
	}
	if resp, _ := there.open("GET", "/api/me", "application/json"); resp.StatusCode != 401 {
		t.Errorf("a session that was ended: %s, want 401", resp.Status)
	}
}
