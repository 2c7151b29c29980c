package idxtest

import (
	"net/http"
	"net/url"
	"slices"

	"github.com/idxauth/idxauth/idx"
)

// serveProfile shows the account to its user. Without a session of the hub the
// visitor logs in first.
func (s *Server) serveProfile(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.hubAccount(r)
	if a == nil {
		w.Header()["Location"] = []string{"/auth.aspx?action=login&return_url=" + url.QueryEscape(s.originOf(r)+r.URL.RequestURI())}
		w.WriteHeader(http.StatusFound)
		return
	}
	s.showProfile(w, r, a, "")
}

func (s *Server) serveProfileForm(w http.ResponseWriter, r *http.Request) {
	if !readForm(w, r) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.hubAccount(r)
	if a == nil {
		http.Redirect(w, r, "/auth.aspx", http.StatusSeeOther)
		return
	}
	a.FirstName, a.LastName = r.PostForm.Get("firstname"), r.PostForm.Get("lastname")
	a.Company, a.Phone = r.PostForm.Get("company"), r.PostForm.Get("phone")
	a.modified = s.tenant.clock.now()
	s.tenant.report(idx.EventUpdateProfile, a)
	s.showProfile(w, r, a, "Saved.")
}

func (s *Server) showProfile(w http.ResponseWriter, r *http.Request, a *account, notice string) {
	page := profilePage{App: appName, User: a.User.clone(), Notice: notice, Name: a.name()}
	query, err := parseQuery(r.URL.RawQuery)
	if back := query["return_url"]; err == nil && s.tenant.settings.allows(back, s.originOf(r)) {
		page.Back = back
	}
	render(w, http.StatusOK, "profile.html", page)
}

// hubAccount returns the account of the hub's session, or nil.
func (s *Server) hubAccount(r *http.Request) *account {
	tok := s.hubToken(r)
	if tok == nil {
		return nil
	}
	a, err := s.tenant.holder(tok)
	if err != nil || a.Deleted || a.Blocked {
		return nil
	}
	return a
}

func (s *Server) serveMails(w http.ResponseWriter, r *http.Request) {
	mails := s.Mails()
	slices.Reverse(mails)
	render(w, http.StatusOK, "mails.html", mailsPage{App: appName, Mails: mails})
}
