package main

import (
	"io"
	"net/http"
	"regexp"
	"strconv"
	"time"
)

// kind is what a request is for.
type kind string

const (
	kindView   kind = "view"   // a protected page
	kindPublic kind = "public" // a page for everybody
	kindLogin  kind = "login"  // the start of a login, or its callback
	kindNote   kind = "note"   // writes into the session
	kindLogout kind = "logout"
	kindAdmin  kind = "admin" // shows other people to one who may see them
)

func kindOf(method, path string) kind {
	switch {
	case path == "/auth/logout":
		return kindLogout
	case path == "/auth/login", len(path) >= len("/auth/callback") && path[:len("/auth/callback")] == "/auth/callback":
		return kindLogin
	case path == "/note":
		return kindNote
	case path == "/admin" || path == "/admin/end":
		return kindAdmin
	case path == "/":
		return kindPublic
	}
	return kindView
}

// answer is what a visitor got from the application.
type answer struct {
	kind         kind
	path         string
	user         int    // who asks; 0 if nobody in particular
	token        string // of the session cookie that was sent; "" if there was none
	began, ended time.Time
	terms        *terms // of when it began or ended, whichever promises less
	status       int
	header       http.Header
	body         []byte
	err          error // it did not come whole
}

func (a *answer) took() time.Duration { return a.ended.Sub(a.began) }

// receive reads what came, if anything did.
func (a *answer) receive(resp *http.Response, err error) {
	if err == nil {
		a.status, a.header = resp.StatusCode, resp.Header
		a.body, err = io.ReadAll(io.LimitReader(resp.Body, 1<<20))
		resp.Body.Close()
	}
	a.ended, a.err = time.Now(), err
}

// isStranger reports whether the application took the visitor for nobody.
func (a *answer) isStranger() bool {
	return a.status == http.StatusUnauthorized || a.status == http.StatusFound && a.kind != kindLogin
}

// user returns the address by which pages show a visitor.
func user(n int) string { return "visitor-" + strconv.Itoa(n) }

var (
	userInPage = regexp.MustCompile(`visitor-(\d+)`)
	noteInPage = regexp.MustCompile(`name="note" maxlength="200" value="([^"]*)"`)
)

// users returns the visitors of whom the page says something.
func (a *answer) users() []int {
	var all []int
	for _, match := range userInPage.FindAllSubmatch(a.body, -1) {
		n, _ := strconv.Atoi(string(match[1]))
		all = append(all, n)
	}
	return all
}

// note returns the note that the page shows.
func (a *answer) note() (string, bool) {
	match := noteInPage.FindSubmatch(a.body)
	if match == nil {
		return "", false
	}
	return string(match[1]), true
}
