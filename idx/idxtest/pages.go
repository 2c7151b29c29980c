package idxtest

import (
	"bytes"
	"embed"
	"html/template"
	"net/http"
	"strings"
)

// authPage is what the hosted page shows.
type authPage struct {
	App, Action                string
	Error, Notice              string
	Email, FirstName, LastName string
	Login, Register, Forgot    string // addresses of the same page with another action
	Users                      []readyUser
}

// readyUser is one to continue as with a click.
type readyUser struct{ Name, Initials, Email, About string }

type profilePage struct {
	App, Name, Notice, Back string
	User                    User
}

type mailsPage struct {
	App   string
	Mails []Mail
}

type message struct{ App, Title, Text string }

// ready lists the users that can be chosen with a click.
func (t *tenant) ready() []readyUser {
	var users []readyUser
	for _, a := range t.users.all {
		if a.Deleted || a.Password != Password {
			continue
		}
		about := strings.Join(a.Roles, ", ")
		switch {
		case a.Blocked:
			about = "blocked"
		case a.LoginLocked:
			about = "locked"
		case !a.EmailVerified:
			about = "e-mail not verified"
		case about == "":
			about = "no role"
		}
		users = append(users, readyUser{Name: a.name(), Initials: initials(a.User), Email: a.Email, About: about})
	}
	return users
}

func initials(u User) string {
	var b strings.Builder
	for _, name := range []string{u.FirstName, u.LastName} {
		for _, r := range name {
			b.WriteRune(r)
			break
		}
	}
	return b.String()
}

//go:embed templates
var templateFiles embed.FS

var templates = template.Must(template.New("").Funcs(template.FuncMap{
	"password": func() string { return Password },
}).ParseFS(templateFiles, "templates/*.html"))

func render(w http.ResponseWriter, status int, name string, data any) {
	var body bytes.Buffer
	if err := templates.ExecuteTemplate(&body, name, data); err != nil {
		panic(err) // our own templates and data; the tests show every page
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	w.Write(body.Bytes())
}
