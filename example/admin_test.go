package main

import (
	"net/http"
	"strings"
	"testing"

	"github.com/idxauth/idxauth/idx/idxtest"
)

func TestAdminSeesAndEndsSessions(t *testing.T) {
	base, hub := start(t)
	grace, ada := newVisitor(t, base), newVisitor(t, base)
	grace.signIn(hub, "/dashboard", idxtest.Grace)
	_, page := ada.signIn(hub, "/admin", idxtest.Ada)
	for _, want := range []string{"Berth 1 · grace@example.com", "Berth 2 · ada@example.com", "a Go program", "local network", "this session"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page does not show %q:\n%s", want, page)
		}
	}

	if resp, _ := grace.post("/admin/end", "uid", idxtest.Ada.UID); resp.StatusCode != 403 {
		t.Errorf("POST without the role: %s, want 403", resp.Status)
	}
	resp, page := ada.post("/admin/end", "uid", idxtest.Grace.UID)
	if resp.Request.URL.String() != base+"/admin" || !strings.Contains(page, "Not signed in.") {
		t.Errorf("came to %s, %s:\n%s", resp.Request.URL, resp.Status, page)
	}
	if resp, _ := grace.open("GET", "/api/me", "application/json"); resp.StatusCode != 401 {
		t.Errorf("a session that was ended: %s, want 401", resp.Status)
	}
	// The one that asks stays.
	if resp, _ := ada.post("/admin/end", "uid", idxtest.Ada.UID); resp.StatusCode != 200 {
		t.Errorf("ending one's own other sessions: %s", resp.Status)
	}
}

func TestAdminBlocksInTheEmulator(t *testing.T) {
	base, hub := start(t)
	grace, ada := newVisitor(t, base), newVisitor(t, base)
	grace.signIn(hub, "/dashboard", idxtest.Grace)
	ada.signIn(hub, "/admin", idxtest.Ada)
	if _, page := ada.post("/admin/block", "uid", idxtest.Grace.UID, "blocked", "true"); !strings.Contains(page, "Not signed in.") ||
		!strings.Contains(page, "Unblock") {
		t.Errorf("after the block:\n%s", page)
	}
	if !hub.User(idxtest.Grace.Email).Blocked {
		t.Error("the account is not blocked")
	}
	if _, page := ada.post("/admin/block", "uid", idxtest.Grace.UID, "blocked", "false"); strings.Contains(page, "Unblock") {
		t.Errorf("after the end of the block:\n%s", page)
	}
	if resp, _ := ada.post("/admin/block", "uid", "nobody", "blocked", "true"); resp.StatusCode != 200 {
		t.Errorf("an account that nobody knows: %s", resp.Status)
	}
}

func TestFormsOfOtherSites(t *testing.T) {
	base, hub := start(t)
	ada := newVisitor(t, base)
	ada.signIn(hub, "/admin", idxtest.Ada)
	for _, path := range []string{"/admin/end", "/admin/block", "/scrap", "/note", "/auth/devices"} {
		req, err := http.NewRequest("POST", base+path, strings.NewReader("uid="+idxtest.Ada.UID+"&end=others"))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Sec-Fetch-Site", "cross-site")
		resp, err := ada.client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		if ada.read(resp); resp.StatusCode != 403 {
			t.Errorf("%s: %s, want 403", path, resp.Status)
		}
	}
}

// An account that was deleted at LoginRadius is forgotten here.
func TestDeletedAccountIsForgotten(t *testing.T) {
	base, hub := start(t)
	newVisitor(t, base).signIn(hub, "/dashboard", idxtest.Grace)
	hub.UpdateUser(idxtest.Grace.Email, func(u *idxtest.User) { u.Deleted = true })
	hub.WaitWebhooks()
	if _, page := newVisitor(t, base).signIn(hub, "/admin", idxtest.Ada); strings.Contains(page, idxtest.Grace.Email) {
		t.Errorf("the page shows a deleted account:\n%s", page)
	}
}
