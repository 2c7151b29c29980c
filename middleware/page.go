package middleware

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"html/template"
	"net/http"
	"strings"
)

// page is what one of the built-in pages says. Its texts are our own or the
// application's, never a visitor's.
type page struct {
	Title, Detail string
	Link, LinkTo  string // a way on
	Form, PostTo  string // a button that posts
	Again         bool   // the same address may do next time; it is not printed, as it can hold a token
	Reason        Reason
	RequestID     string
}

func problemPage(r *http.Request, p Problem) page {
	pg := page{Title: p.Title, Detail: p.Detail, Reason: p.Reason, RequestID: p.RequestID}
	pg.Again = p.Status == http.StatusServiceUnavailable && p.LogoutPath == "" && (r.Method == http.MethodGet || r.Method == http.MethodHead)
	if p.LoginPath != "" {
		pg.Link, pg.LinkTo = "Sign in", p.LoginPath
	}
	if p.LogoutPath != "" {
		pg.Form, pg.PostTo = "Sign out", p.LogoutPath
	}
	return pg
}

func logoutPage(path, landing string) page {
	return page{Title: "Sign out?", Detail: "You will be signed out here and on the sign-in page.",
		Form: "Sign out", PostTo: path, Link: "Stay signed in", LinkTo: landing}
}

// mailPage is for visitors who come back without being signed in, because a mail is
// on its way to them.
func mailPage(action, loginPath string) page {
	pg := page{Title: "Check your mail", Link: "Sign in", LinkTo: loginPath,
		Detail: "We have sent you a message. Follow the link in it, on this device or another, to confirm your address. You can then sign in."}
	if action == "forgotpassword" {
		pg.Detail = "If there is an account with this address, we have sent it a message. Follow the link in it to choose a new password, then sign in."
	}
	return pg
}

//go:embed page.html
var pageSource string

//go:embed page.css
var pageStyle string

var pageTemplate = newPageTemplate("page", pageSource)

// newPageTemplate makes one of the built-in pages, which share a style sheet.
func newPageTemplate(name, source string) *template.Template {
	return template.Must(template.New(name).Funcs(template.FuncMap{
		"style": func() template.CSS { return template.CSS(pageStyle) },
	}).Parse(source))
}

// pagePolicy allows the one style sheet by its hash, and forms that post to us and
// are redirected to the hosted page; nothing else.
func pagePolicy(hub string) string {
	sum := sha256.Sum256([]byte(pageStyle))
	return strings.TrimSpace("default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) +
		"'; base-uri 'none'; frame-ancestors 'none'; form-action 'self' " + hub)
}

func (a *Auth) servePage(w http.ResponseWriter, r *http.Request, status int, p page) {
	a.writePage(w, r, status, pageTemplate, p)
}

// writePage answers with one of the built-in pages.
func (a *Auth) writePage(w http.ResponseWriter, r *http.Request, status int, t *template.Template, data any) {
	var body bytes.Buffer
	if err := t.Execute(&body, data); err != nil {
		panic(err) // the templates and their data are ours; tests execute every case
	}
	h := w.Header()
	h["Cache-Control"] = noStore
	h["Content-Type"] = contentHTML
	h["Content-Security-Policy"] = a.csp
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		w.Write(body.Bytes())
	}
}
