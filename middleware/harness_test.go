package middleware_test

import (
	"bytes"
	"cmp"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/idxauth/idxauth/idx/idxtest"
	"github.com/idxauth/idxauth/middleware"
	"github.com/idxauth/idxauth/session"
)

// app is an application as users write it, on a real server, with the emulator as
// LoginRadius.
type app struct {
	t      *testing.T
	origin string
	auth   *middleware.Auth
	hub    *idxtest.Server
	mux    *http.ServeMux
	log    *logBuffer
	served atomic.Int64 // how often the protected page was shown

	transport http.RoundTripper // nil: the network
}

// newApp starts an application whose pages below /dashboard/ and at /admin, /fresh
// are protected and whose page / is public. change adjusts its configuration.
func newApp(t *testing.T, change ...func(*middleware.Config)) *app {
	t.Helper()
	a := &app{t: t, hub: idxtest.NewServer(t), mux: http.NewServeMux(), log: new(logBuffer)}
	server := httptest.NewUnstartedServer(a.mux)
	// By name, so that the emulator, by address, is another site with cookies of its own.
	_, port, _ := net.SplitHostPort(server.Listener.Addr().String())
	a.origin = "http://localhost:" + port
	a.configure(change...)
	server.Start()
	t.Cleanup(func() {
		server.Close()
		a.auth.Close()
	})
	return a
}

// newTimedApp makes the same application without a network, for use in a synctest
// bubble, where time passes as the test sleeps. hub was started outside of it.
func newTimedApp(t *testing.T, hub *idxtest.Server, change ...func(*middleware.Config)) *app {
	t.Helper()
	a := &app{t: t, hub: hub, mux: http.NewServeMux(), log: new(logBuffer), origin: "https://app.example"}
	a.transport = inProcess{"app.example": a.mux, strings.TrimPrefix(hub.URL, "http://"): hub.Handler()}
	a.configure(append([]func(*middleware.Config){func(c *middleware.Config) {
		c.IDX.HTTPClient = &http.Client{Transport: a.transport}
	}}, change...)...)
	return a
}

// inProcess answers requests by calling the handler of their host.
type inProcess map[string]http.Handler

func (hosts inProcess) RoundTrip(req *http.Request) (resp *http.Response, err error) {
	defer func() { // as servers and connections do
		if broken := recover(); broken == http.ErrAbortHandler {
			resp, err = nil, cmp.Or(req.Context().Err(), io.ErrUnexpectedEOF)
		} else if broken != nil {
			panic(broken)
		}
	}()
	r := httptest.NewRequestWithContext(req.Context(), req.Method, req.URL.String(), req.Body)
	r.Header = req.Header.Clone()
	r.RequestURI = req.URL.RequestURI()
	w := httptest.NewRecorder()
	hosts[req.URL.Host].ServeHTTP(w, r)
	resp = w.Result()
	resp.Request = req
	return resp, nil
}

func (a *app) configure(change ...func(*middleware.Config)) {
	a.t.Helper()
	cfg := middleware.Config{
		IDX:     a.hub.Config(),
		BaseURL: a.origin,
		Store:   session.NewMemory(),
		Logger:  slog.New(slog.NewTextHandler(a.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	for _, c := range change {
		c(&cfg)
	}
	auth, err := middleware.New(cfg)
	if err != nil {
		a.t.Fatal(err)
	}
	a.auth = auth
	a.mux.Handle("/auth/", auth.Handler())
	a.mux.Handle("/dashboard/", auth.RequireLogin(http.HandlerFunc(a.page)))
	a.mux.Handle("/admin", auth.Require(middleware.HasRole("admin"))(http.HandlerFunc(a.page)))
	a.mux.Handle("/verified", auth.Require(middleware.EmailVerified())(http.HandlerFunc(a.page)))
	a.mux.Handle("/", auth.LoadUser(http.HandlerFunc(a.page)))
}

// page shows who is there.
func (a *app) page(w http.ResponseWriter, r *http.Request) {
	user := middleware.User(r.Context())
	if user == nil {
		io.WriteString(w, "stranger")
		return
	}
	a.served.Add(1)
	io.WriteString(w, "user "+user.Email)
}

// logBuffer collects what was logged.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// notes is what handlers and hooks, which run in goroutines of the server, write down for
// the test.
type notes[T any] struct {
	mu    sync.Mutex
	taken []T
}

func (n *notes[T]) add(one T) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.taken = append(n.taken, one)
}

func (n *notes[T]) all() []T {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.taken)
}

// browser opens pages as a person's browser does: it says so in its headers, keeps
// cookies and, unless told otherwise, follows redirects.
type browser struct {
	app    *app
	client *http.Client
	seen   []string // every address it was sent to, in order
}

func (a *app) browser() *browser {
	a.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		a.t.Fatal(err)
	}
	b := &browser{app: a}
	b.client = &http.Client{Transport: a.transport, Jar: jar, CheckRedirect: func(req *http.Request, via []*http.Request) error {
		b.seen = append(b.seen, req.URL.String())
		if len(via) > 20 {
			a.t.Errorf("redirect loop: %s", strings.Join(b.seen, "\n"))
			return http.ErrUseLastResponse
		}
		return nil
	}}
	return b
}

// answer is a response that was read to its end.
type answer struct {
	*http.Response
	body string
}

// at returns the address that was reached.
func (p *answer) at() string { return p.Request.URL.String() }

func (b *browser) do(req *http.Request) *answer {
	b.app.t.Helper()
	resp, err := b.client.Do(req)
	if err != nil {
		b.app.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		b.app.t.Fatal(err)
	}
	resp.Body = io.NopCloser(bytes.NewReader(body)) // the emulator's SignIn reads the page
	return &answer{resp, string(body)}
}

// request makes a request for a path of the app, or for an absolute address.
// headers are names and values; an empty value removes the header.
func (b *browser) request(method, target string, headers ...string) *http.Request {
	b.app.t.Helper()
	if strings.HasPrefix(target, "/") {
		target = b.app.origin + target
	}
	req, err := http.NewRequest(method, target, nil)
	if err != nil {
		b.app.t.Fatal(err)
	}
	req.Header.Set("Accept", "text/html,application/xhtml+xml,*/*;q=0.8")
	req.Header.Set("Sec-Fetch-Mode", "navigate")
	req.Header.Set("Sec-Fetch-Dest", "document")
	for i := 0; i < len(headers); i += 2 {
		if headers[i+1] == "" {
			req.Header.Del(headers[i])
			continue
		}
		req.Header.Set(headers[i], headers[i+1])
	}
	return req
}

// open opens a page and follows where it leads.
func (b *browser) open(target string, headers ...string) *answer {
	b.app.t.Helper()
	return b.do(b.request("GET", target, headers...))
}

// step opens a page and follows nothing.
func (b *browser) step(req *http.Request) *answer {
	b.app.t.Helper()
	check := b.client.CheckRedirect
	b.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	defer func() { b.client.CheckRedirect = check }()
	return b.do(req)
}

// signIn opens a page as a stranger and signs in on the hosted page.
func (b *browser) signIn(target string, user idxtest.User) *answer {
	b.app.t.Helper()
	return b.finish(b.open(target), user)
}

// finish signs in on the hosted page that the browser has reached.
func (b *browser) finish(page *answer, user idxtest.User) *answer {
	b.app.t.Helper()
	if !strings.HasPrefix(page.at(), b.app.hub.URL) {
		b.app.t.Fatalf("browser is at %s (%s), want the hosted page", page.at(), page.Status)
	}
	resp, err := b.app.hub.SignIn(b.client, page.Response, user.Email)
	if err != nil {
		b.app.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		b.app.t.Fatal(err)
	}
	return &answer{resp, string(body)}
}

// callback goes to the hosted page, signs in there unless it knows the visitor, and
// returns the address of the callback that it wants to send the browser to, without
// going there.
func (b *browser) callback(target string, user idxtest.User) *url.URL {
	b.app.t.Helper()
	start := b.step(b.request("GET", target))
	at := b.step(b.request("GET", start.Header.Get("Location")))
	if at.StatusCode == http.StatusOK {
		check := b.client.CheckRedirect
		b.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		at = b.finish(at, user)
		b.client.CheckRedirect = check
	}
	address, err := at.Location()
	if err != nil {
		b.app.t.Fatal(err)
	}
	return address
}

// cookies returns the browser's cookies for the app, by the end of their names.
func (b *browser) cookies() map[string]string {
	b.app.t.Helper()
	u, err := url.Parse(b.app.origin)
	if err != nil {
		b.app.t.Fatal(err)
	}
	found := make(map[string]string)
	for _, c := range b.client.Jar.Cookies(u) {
		found[c.Name[strings.LastIndex(c.Name, "-")+1:]] = c.Value
	}
	return found
}

func (p *answer) want(t *testing.T, status int, body string) {
	t.Helper()
	if p.StatusCode != status || !strings.Contains(p.body, body) {
		t.Errorf("%s %s = %d with body %.300q, want %d with %q", p.Request.Method, p.Request.URL.Path, p.StatusCode, p.body, status, body)
	}
}

func (b *browser) dropCookie(purpose string) {
	u, _ := url.Parse(b.app.origin)
	for _, c := range b.client.Jar.Cookies(u) {
		if strings.HasSuffix(c.Name, "-"+purpose) {
			b.client.Jar.SetCookies(u, []*http.Cookie{{Name: c.Name, MaxAge: -1, Path: "/"}})
		}
	}
}

func newStore() session.Store { return session.NewMemory() }

// serve makes one request without a network.
func serve(h http.Handler, method, target string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, nil)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func serveAs(h http.Handler, user *middleware.Identity, method, target string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, nil)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r.WithContext(middleware.WithUser(r.Context(), user)))
	return w
}
