package main

import (
	"bytes"
	"embed"
	"html/template"
	"log/slog"
	"net/http"
	"time"

	"github.com/idxauth/idxauth/middleware"
)

// page is what the templates show.
type page struct {
	Title, Detail         string
	Code, RequestID       string // of a refusal
	LoginPath, LogoutPath string // ways out of one
	Unconfirmed           bool   // the user can do something about it: confirm the address
	Again                 bool   // the same address may do next time
	Note, Path            string // of the dashboard
	Skipper               skipper
	Devices               []middleware.Device
	People                []person
	User                  *middleware.Identity
	Here                  string // path of this page, for the navigation
}

//go:embed templates
var files embed.FS

var pages = template.Must(template.New("").Funcs(template.FuncMap{
	"when": func(t time.Time) string {
		if t.IsZero() {
			return "–"
		}
		return t.UTC().Format("2 January 2006, 15:04 UTC")
	},
}).ParseFS(files, "templates/*.html"))

// render shows a page in the frame that all share. The user, if there is one, is in
// the request's context.
func render(w http.ResponseWriter, r *http.Request, status int, name string, p page) {
	p.User = middleware.User(r.Context())
	p.Here = r.URL.Path
	var body bytes.Buffer
	if err := pages.ExecuteTemplate(&body, name, p); err != nil {
		slog.Error("example: page not shown", "page", name, "error", err)
		http.Error(w, "something went wrong", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	w.Write(body.Bytes())
}

func serveFile(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "max-age=300")
	http.ServeFileFS(w, r, files, "templates"+r.URL.Path)
}
