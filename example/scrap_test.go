package main

import (
	"strings"
	"testing"
	"time"

	"github.com/idxauth/idxauth/idx/idxtest"
)

func TestScrapWantsAFreshLogin(t *testing.T) {
	base, hub := start(t)
	v := newVisitor(t, base)
	hub.Advance(-10 * time.Minute) // the login is ten minutes old, and the tokens live
	_, body := v.signIn(hub, "/dashboard", idxtest.Grace)
	hub.Advance(10 * time.Minute)
	if !strings.Contains(body, "Kittiwake") {
		t.Fatalf("the dashboard shows no ship:\n%.2000s", body)
	}

	// A form that was open for too long leads to a fresh login, and back.
	resp, body := v.post("/scrap")
	if resp.StatusCode != 401 || !strings.Contains(body, "login_too_old") ||
		!strings.Contains(body, `href="/auth/login?fresh=1&amp;return_to=%2Fscrap"`) {
		t.Errorf("POST with an old login: %s:\n%.2000s", resp.Status, body)
	}
	if resp, _ := v.open("GET", "/scrap", "text/html"); !strings.HasPrefix(resp.Request.URL.String(), hub.URL) {
		t.Errorf("an old login came to %s", resp.Request.URL)
	}
	resp, body = v.signIn(hub, "/scrap", idxtest.Grace)
	if resp.Request.URL.String() != base+"/scrap" || !strings.Contains(body, "Scrap the Kittiwake") {
		t.Fatalf("came to %s:\n%.2000s", resp.Request.URL, body)
	}
	if resp, body = v.post("/scrap"); resp.Request.URL.String() != base+"/dashboard" || !strings.Contains(body, "it was scrapped") {
		t.Errorf("came to %s, %s", resp.Request.URL, resp.Status)
	}
	if _, body = v.open("GET", "/scrap", "text/html"); !strings.Contains(body, "nothing left to scrap") {
		t.Error("a ship is offered that is gone")
	}
}
