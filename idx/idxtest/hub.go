package idxtest

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const hubCookie = "lr-session-token"

func (s *Server) routeHub(mux *http.ServeMux) {
	// A stranger's page must not send the forms: it could log its visitor in as
	// somebody else, or change the profile.
	protection := http.NewCrossOriginProtection()
	form := func(serve http.HandlerFunc) http.Handler { return protection.Handler(serve) }
	for _, path := range []string{"/auth.aspx", "/auth"} {
		mux.HandleFunc("GET "+path, s.serveAuth)
		mux.Handle("POST "+path, form(s.serveAuthForm))
	}
	for _, path := range []string{"/profile.aspx", "/profile"} {
		mux.HandleFunc("GET "+path, s.serveProfile)
		mux.Handle("POST "+path, form(s.serveProfileForm))
	}
	mux.HandleFunc("GET /ssologin/{call}", s.serveSSO)
	mux.HandleFunc("GET /_mail", s.serveMails)
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/auth.aspx", http.StatusFound) })
}

// visit is one request for the hosted page. The server is locked while it is handled.
type visit struct {
	*Server
	w     http.ResponseWriter
	r     *http.Request
	query map[string]string // as the page's script reads it
	page  authPage
}

// visit reads the page's address and refuses it if the tenant's list does not have
// its return URL.
func (s *Server) visit(w http.ResponseWriter, r *http.Request) (v *visit, ok bool) {
	query, err := parseQuery(r.URL.RawQuery)
	v = &visit{Server: s, w: w, r: r, query: query}
	v.page = authPage{App: appName, Action: "login", Users: s.tenant.ready()}
	if err != nil {
		v.page.Error = "This address cannot be read."
		v.show()
		return nil, false
	}
	switch action := query["action"]; action { // compared exactly, in lower case
	case "register", "forgotpassword", "logout":
		v.page.Action = action
	}
	if back := query["return_url"]; back != "" && !s.tenant.settings.allows(back, s.originOf(r)) {
		if !s.tenant.settings.IgnoreReturnURL {
			w.Header().Set("Cache-Control", "no-store")
			render(w, http.StatusBadRequest, "message.html", message{App: appName, Title: "This address is not allowed", Text: "The application's address is not on the list of this tenant."})
			return nil, false
		}
		delete(query, "return_url")
	}
	v.page.Login, v.page.Register, v.page.Forgot = v.sibling("login"), v.sibling("register"), v.sibling("forgotpassword")
	return v, true
}

// serveAuth shows the page, or does at once what needs no form.
func (s *Server) serveAuth(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v, ok := s.visit(w, r)
	if !ok {
		return
	}
	switch {
	case v.page.Action == "logout":
		v.logout()
	case v.query["vtype"] == vtypeVerify:
		v.verify()
	case v.query["vtype"] == vtypeReset:
		v.page.Action = "reset"
		if _, err := s.tenant.peek(v.query["vtoken"], vtypeReset); err != nil {
			v.page.Action, v.page.Error = "login", err.message
		}
		v.show()
	default:
		v.greet()
	}
}

// greet sends a visitor whom the hub knows on with the same token, in silence; others
// see the form. A dead token is an error on the page, never a redirect.
func (v *visit) greet() {
	c, err := v.r.Cookie(hubCookie)
	if err != nil || c.Value == "" {
		v.show()
		return
	}
	tok, problem := v.tenant.use(c.Value)
	if problem == nil {
		problem = v.tenant.mayReturn(tok)
	}
	if problem != nil {
		v.forget()
		v.page.Error = problem.message
		v.show()
		return
	}
	v.finish("token", tok.value)
}

// serveAuthForm handles the forms of the page, which post to its own address.
func (s *Server) serveAuthForm(w http.ResponseWriter, r *http.Request) {
	if !readForm(w, r) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	v, ok := s.visit(w, r)
	if !ok {
		return
	}
	switch {
	case v.query["vtype"] == vtypeReset && r.PostForm.Has("newpassword"):
		v.reset()
	case v.page.Action == "register":
		v.register()
	case v.page.Action == "forgotpassword":
		v.tenant.forgot(r.PostForm.Get("email"), resetPage(v.address()))
		v.complete("forgotpassword", "If there is an account with this address, we have sent it a message.")
	default:
		v.login()
	}
}

// readForm reads the body into r.PostForm. ParseForm would mind a query that the
// page's script has to read by its own rules.
func readForm(w http.ResponseWriter, r *http.Request) bool {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 64<<10))
	if err == nil {
		r.PostForm, err = url.ParseQuery(string(body))
	}
	if err != nil {
		http.Error(w, "malformed form", http.StatusBadRequest)
	}
	return err == nil
}

func (v *visit) login() {
	form := v.r.PostForm
	var tok *token
	var err *apiError
	if chosen := v.tenant.users.find(form.Get("user")); chosen != nil {
		tok, err = v.tenant.admit(chosen)
	} else {
		tok, err = v.tenant.login(form.Get("email"), form.Get("password"))
	}
	if err != nil {
		v.page.Error, v.page.Email = err.message, form.Get("email")
		v.show()
		return
	}
	tok.remember = form.Get("remember") != ""
	v.enter(tok)
}

func (v *visit) register() {
	form := v.r.PostForm
	u := User{
		Email: form.Get("email"), Password: form.Get("password"),
		FirstName: form.Get("firstname"), LastName: form.Get("lastname"),
	}
	a, admitted, err := v.tenant.register(u, verificationPage(v.address()))
	if err != nil {
		v.page.Error, v.page.Email, v.page.FirstName, v.page.LastName = err.message, u.Email, u.FirstName, u.LastName
		v.show()
		return
	}
	if !admitted {
		v.complete("register", "We have sent you a message. Please follow the link in it.")
		return
	}
	v.enter(v.tenant.issue(a))
}

func (v *visit) verify() {
	a, err := v.tenant.verify(v.query["vtoken"])
	if err != nil {
		v.page.Error = err.message
		v.show()
		return
	}
	if v.tenant.settings.LoginAfterVerification {
		if tok, err := v.tenant.admit(a); err == nil {
			v.enter(tok)
			return
		}
	}
	v.page.Notice = "Your e-mail address is confirmed."
	v.show()
}

func (v *visit) reset() {
	if err := v.tenant.reset(v.query["vtoken"], v.r.PostForm.Get("newpassword")); err != nil {
		v.page.Action, v.page.Error = "reset", err.message
		v.show()
		return
	}
	v.page.Action, v.page.Notice = "login", "Your password has been changed."
	v.show()
}

// logout ends the hub's session and goes back, with nothing appended.
func (v *visit) logout() {
	if c, err := v.r.Cookie(hubCookie); err == nil && v.tenant.settings.LogoutInvalidates {
		if tok := v.tenant.tokens.byValue[c.Value]; tok != nil {
			v.tenant.invalidate(tok, false)
		}
	}
	v.forget()
	back := v.query["return_url"]
	switch {
	case back == "":
		back = "/auth.aspx"
	case v.tenant.settings.LogoutAppends:
		back = appendPair(back, "action_completed", "logout")
	}
	v.send(back)
}

// enter begins the hub's session with tok and goes back.
func (v *visit) enter(tok *token) {
	v.remember(tok)
	v.finish("token", tok.value)
}

// complete goes back without a token, or says so here if there is no way back.
func (v *visit) complete(action, text string) {
	if v.query["return_url"] == "" {
		v.page.Notice = text
		v.page.Action = "login"
		v.show()
		return
	}
	v.finish("action_completed", action)
}

// finish sends the browser to the return URL as the script does, or to the profile.
func (v *visit) finish(name, value string) {
	back := v.query["return_url"]
	if back == "" {
		v.send("/profile.aspx")
		return
	}
	v.send(appendPair(back, name, value))
}

// send does what window.location = address does: with the script in a browser, and
// as a redirect to the same address where the server is headless.
func (v *visit) send(address string) {
	v.w.Header().Set("Cache-Control", "no-store")
	if v.tenant.settings.Headless {
		v.w.Header()["Location"] = []string{address}
		v.w.WriteHeader(http.StatusFound)
		return
	}
	render(v.w, http.StatusOK, "redirect.html", address)
}

func (v *visit) remember(tok *token) { setHubCookie(v.w, tok) }

func setHubCookie(w http.ResponseWriter, tok *token) {
	// Written and read by script on the real hub, so not HttpOnly there either.
	c := &http.Cookie{Name: hubCookie, Value: tok.value, Path: "/", SameSite: http.SameSiteLaxMode}
	if tok.remember {
		c.MaxAge = int(tok.lifetime / time.Second) // at most the token's life
	}
	http.SetCookie(w, c)
}

func (v *visit) forget() { clearHubCookie(v.w) }

func clearHubCookie(w http.ResponseWriter) {
	http.SetCookie(w, &http.Cookie{Name: hubCookie, Path: "/", MaxAge: -1, SameSite: http.SameSiteLaxMode})
}

func (v *visit) show() {
	v.w.Header().Set("Cache-Control", "no-store")
	render(v.w, http.StatusOK, "auth.html", v.page)
}

// address is the page's own, as in the browser's address bar.
func (v *visit) address() string {
	return v.originOf(v.r) + "/auth.aspx?" + v.r.URL.RawQuery
}

// sibling is the same page with another action.
func (v *visit) sibling(action string) string {
	address := "/auth.aspx?action=" + action
	for part := range strings.SplitSeq(v.r.URL.RawQuery, "&") {
		if strings.HasPrefix(part, "return_url=") {
			address += "&" + part
		}
	}
	return address
}

// originOf is the hub's origin as the visitor sees it.
func (s *Server) originOf(r *http.Request) string {
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	return scheme + "://" + r.Host
}
