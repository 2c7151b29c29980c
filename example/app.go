package main

import (
	"encoding/json"
	"net/http"

	"github.com/idxauth/idxauth/middleware"
	"github.com/idxauth/idxauth/session"
)

// newApp says which page is for whom.
func newApp(auth *middleware.Auth) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/auth/", auth.Handler())

	mux.Handle("/", auth.LoadUser(http.HandlerFunc(notFound)))
	mux.Handle("GET /{$}", auth.LoadUser(http.HandlerFunc(home)))
	mux.Handle("GET /dashboard", auth.RequireLogin(http.HandlerFunc(dashboard)))
	mux.Handle("GET /dashboard/", auth.RequireLogin(http.HandlerFunc(dashboard)))
	mux.Handle("POST /note", sameOrigin(auth.RequireLogin(http.HandlerFunc(saveNote))))

	admins := auth.Require(middleware.HasRole("admin"))
	mux.Handle("GET /admin", admins(http.HandlerFunc(admin)))

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
	mux.HandleFunc("GET /style.css", serveStyle)
	return withSecurityHeaders(mux)
}

func home(w http.ResponseWriter, r *http.Request) {
	render(w, r, http.StatusOK, "home", page{Title: "Harbour"})
}

// dashboard is the one page of everything below /dashboard.
func dashboard(w http.ResponseWriter, r *http.Request) {
	note, _, err := session.Get[string](r.Context(), "note")
	if err != nil {
		http.Error(w, "the session cannot be read", http.StatusInternalServerError)
		return
	}
	render(w, r, http.StatusOK, "dashboard", page{Title: "Dashboard", Note: note, Path: r.URL.RequestURI()})
}

// saveNote keeps a value in the session. It is in Redis when Put returns.
func saveNote(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 4<<10)
	if err := session.Put(r.Context(), "note", r.PostFormValue("note")); err != nil {
		http.Error(w, "not saved, please try again", http.StatusServiceUnavailable)
		return
	}
	http.Redirect(w, r, "/dashboard", http.StatusSeeOther)
}

func admin(w http.ResponseWriter, r *http.Request) {
	render(w, r, http.StatusOK, "admin", page{Title: "Administration"})
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

// errorPage shows the library's refusals in the application's own look.
func errorPage(w http.ResponseWriter, r *http.Request, p middleware.Problem) {
	render(w, r, p.Status, "problem", page{
		Title: p.Title, Detail: p.Detail, Code: string(p.Reason), RequestID: p.RequestID,
		LoginPath: p.LoginPath, LogoutPath: p.LogoutPath,
	})
}

// sameOrigin refuses forms that other sites post.
func sameOrigin(next http.Handler) http.Handler {
	return http.NewCrossOriginProtection().Handler(next)
}

func withSecurityHeaders(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; img-src 'self' data:; base-uri 'none'; frame-ancestors 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin")
		next.ServeHTTP(w, r)
	})
}
