package idxtest

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// SignIn fills in the login form of the hosted page that page has reached, as the
// user with the given e-mail address, and sends it with c, with whatever redirects c
// follows: on a headless server the answer is that of the application's page. c
// needs a cookie jar, as browsers have. The caller closes the answer's body.
func (s *Server) SignIn(c *http.Client, page *http.Response, email string) (*http.Response, error) {
	at := page.Request.URL
	if !strings.HasPrefix(strings.ToLower(at.Path), "/auth") {
		return nil, fmt.Errorf("idxtest: sign in: at %s%s, want the hosted page", at.Host, at.Path)
	}
	s.mu.Lock()
	user := s.tenant.users.find(email)
	s.mu.Unlock()
	if user == nil {
		return nil, fmt.Errorf("%w: %q", errNoUser, email)
	}
	form := url.Values{"email": {user.Email}, "password": {user.Password}}
	req, err := http.NewRequestWithContext(page.Request.Context(), http.MethodPost, at.String(), strings.NewReader(form.Encode()))
	if err != nil {
		return nil, fmt.Errorf("idxtest: sign in: %w", err)
	}
	// What a browser says of a person's click, so that the application takes it for one.
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "text/html,application/xhtml+xml,*/*;q=0.8")
	return c.Do(req)
}
