package main

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"github.com/idxauth/idxauth/idx/idxtest"
	"github.com/idxauth/idxauth/middleware"
	"github.com/idxauth/idxauth/session"
)

// app is what the pages share.
type app struct {
	auth     *middleware.Auth
	harbour  *harbour
	hub      *idxtest.Server // the emulator; nil with the real hosted page
	stopping <-chan struct{} // closed when the program is to end
}

// routes says which page is for whom.
func (a *app) routes(hubOrigin string) http.Handler {
	auth, mux := a.auth, http.NewServeMux()
	mux.Handle("/auth/", auth.Handler())

	mux.Handle("/", auth.LoadUser(http.HandlerFunc(notFound)))
	mux.Handle("GET /{$}", auth.LoadUser(http.HandlerFunc(home)))
	mux.Handle("GET /dashboard", auth.RequireLogin(http.HandlerFunc(dashboard)))
	mux.Handle("GET /dashboard/", auth.RequireLogin(http.HandlerFunc(dashboard)))
	mux.Handle("POST /note", form(auth.RequireLogin(http.HandlerFunc(saveNote))))
	mux.Handle("GET /auth/devices", auth.RequireLogin(http.HandlerFunc(a.devices)))

	mux.Handle("GET /live", auth.RequireLogin(http.HandlerFunc(live)))
	mux.Handle("GET /live/events", auth.RequireLogin(http.HandlerFunc(a.liveEvents)))

	careful := auth.Require(middleware.RecentLogin(5 * time.Minute))
	mux.Handle("GET /scrap", careful(http.HandlerFunc(confirmScrap)))
	mux.Handle("POST /scrap", form(careful(http.HandlerFunc(a.scrap))))

	mux.Handle("GET /dashboard/changed", auth.RequireLogin(changed(auth, "/dashboard")))
	mux.Handle("GET /account/changed", auth.RequireLogin(changed(auth, "/account")))

	admins := auth.Require(middleware.HasRole("admin"))
	mux.Handle("GET /admin", admins(http.HandlerFunc(a.admin)))
	mux.Handle("POST /admin/end", form(admins(http.HandlerFunc(a.endSessions))))
	if a.hub != nil {
		mux.Handle("POST /admin/block", form(admins(http.HandlerFunc(a.block))))
	}

	mux.Handle("GET /account", auth.Protect(account, middleware.EmailVerified()))
	mux.Handle("GET /api/me", auth.Protect(apiMe))

	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, r *http.Request) {
		w.Write([]byte("ok\n"))
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		if err := auth.Health(r.Context()); err != nil {
			http.Error(w, "sessions cannot be read", http.StatusServiceUnavailable)
			return
		}
		w.Write([]byte("ok\n"))
	})
	mux.HandleFunc("GET /style.css", serveFile)
	mux.HandleFunc("GET /live.js", serveFile)
	return withSecurityHeaders(hubOrigin, mux)
}

func home(w http.ResponseWriter, r *http.Request) {
	render(w, r, http.StatusOK, "home", page{Title: "Harbour"})
}

// dashboard is the one page of everything below /dashboard.
func dashboard(w http.ResponseWriter, r *http.Request) {
	note, _, err := session.Get[string](r.Context(), "note")
	if err != nil {
		failed(w, r, err)
		return
	}
	me, err := middleware.AppUser[skipper](r.Context())
	if err != nil {
		failed(w, r, err)
		return
	}
	render(w, r, http.StatusOK, "dashboard", page{Title: "Dashboard", Note: note, Path: r.URL.RequestURI(), Skipper: me})
}

// changed is where users come who have changed their account on the hosted page, or
// confirmed their address: the copy in the session is some minutes old, and they want
// to see what they did. Links from elsewhere cost one call to the API, no more.
func changed(auth *middleware.Auth, then string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if _, err := auth.Refresh(r.Context()); err != nil {
			// The old copy stays in use, or the session has ended: the next page says so.
			slog.WarnContext(r.Context(), "example: account not read again", "error", err)
		}
		http.Redirect(w, r, then, http.StatusSeeOther)
	}
}

// saveNote keeps a value in the session. It is in Redis when Put returns.
func saveNote(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil { // PostFormValue would make an empty note of it
		http.Error(w, "the note is too long or unreadable", http.StatusBadRequest)
		return
	}
	err := session.Put(r.Context(), "note", r.PostFormValue("note"))
	switch {
	case errors.Is(err, session.ErrRevoked): // signed out meanwhile: the dashboard leads to the login
	case err != nil:
		slog.ErrorContext(r.Context(), "example: note not saved", "error", err)
		w.Header().Set("Retry-After", "2")
		http.Error(w, "not saved, please try again", http.StatusServiceUnavailable)
		return
	}
	http.Redirect(w, r, "/dashboard", http.StatusSeeOther)
}

func account(w http.ResponseWriter, r *http.Request, _ *middleware.Identity) {
	render(w, r, http.StatusOK, "account", page{Title: "Account"})
}

// apiMe answers programs: strangers get 401 with a reason, not a login page.
func apiMe(w http.ResponseWriter, _ *http.Request, user *middleware.Identity) {
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(map[string]any{
		"uid": user.UID, "email": user.Email, "email_verified": user.EmailVerified,
		"name": user.FullName, "roles": user.Roles, "signed_in_at": user.AuthTime,
	})
}

func notFound(w http.ResponseWriter, r *http.Request) {
	render(w, r, http.StatusNotFound, "problem", page{Title: "Page not found", Detail: "There is nothing at this address."})
}

// failed is for what the visitor can do nothing about but to try again.
func failed(w http.ResponseWriter, r *http.Request, err error) {
	slog.ErrorContext(r.Context(), "example: page not shown", "path", r.URL.Path, "error", err)
	w.Header().Set("Retry-After", "2")
	render(w, r, http.StatusServiceUnavailable, "problem", page{Title: "Please try again", Detail: "Something here does not answer."})
}

// errorPage shows the library's refusals in the application's own look.
func errorPage(w http.ResponseWriter, r *http.Request, p middleware.Problem) {
	if p.Reason == middleware.LoginTooOld { // a form that was open for too long: back to it
		p.LoginPath += "&return_to=" + url.QueryEscape(r.URL.Path)
	}
	render(w, r, p.Status, "problem", page{
		Title: p.Title, Detail: p.Detail, Code: string(p.Reason), RequestID: p.RequestID,
		LoginPath: p.LoginPath, LogoutPath: p.LogoutPath,
		Unconfirmed: p.Reason == middleware.EmailUnverified,
		Again:       p.Status == http.StatusServiceUnavailable && p.LogoutPath == "" && r.Method == http.MethodGet,
	})
}

// form refuses forms that other sites post, and more than the small ones here send.
func form(next http.Handler) http.Handler {
	return http.NewCrossOriginProtection().Handler(http.MaxBytesHandler(next, 4<<10))
}

// withSecurityHeaders allows what the pages need. Signing out is a form whose answer
// leads to the hosted page, and browsers hold form-action against redirects too.
func withSecurityHeaders(hubOrigin string, next http.Handler) http.Handler {
	policy := "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self' data:; base-uri 'none'; frame-ancestors 'none'; form-action 'self' " + hubOrigin
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin")
		next.ServeHTTP(w, r)
	})
}
