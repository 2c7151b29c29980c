package attacks_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
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
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/idxauth/idxauth/idx"
	"github.com/idxauth/idxauth/idx/idxtest"
	"github.com/idxauth/idxauth/internal/redistest"
	"github.com/idxauth/idxauth/middleware"
	"github.com/idxauth/idxauth/session"
)

var (
	// The people of these stories. Grace is the one who attacks.
	victim   = idxtest.Ada
	attacker = idxtest.Grace
)

// app is an application as users write it, on a server of its own, with the emulator as
// LoginRadius. Its pages:
//
//	/            public, says who is there
//	/dashboard/  for signed-in users, with all that is below it
//	/admin       for the role admin, which the victim has
//	/fresh       for users who have signed in within 5 minutes
//	/note        keeps a value in the session: /note?keep=x puts it there
//
// A page says "stranger" or "user ada@example.com".
type app struct {
	t      *testing.T
	origin string // http://localhost:port or https://app.example.com
	addr   string // where its server listens
	auth   *middleware.Auth
	hub    *idxtest.Server
	store  session.Store
	mux    *http.ServeMux
	log    *logBuffer
	served atomic.Int64 // how often a page was shown to a signed-in user

	// root answers all requests; at first it is mux. A test that wants the middleware
	// elsewhere replaces it with answersWith.
	root atomic.Pointer[http.Handler]

	hosts map[string]string // of https: host:port to where that listens; shared by siblings

	mu      sync.Mutex
	reasons []middleware.Reason // of every refusal and fault, in order
}

// newApp starts an application on http://localhost, as one is developed: its cookies have
// no prefix and are not Secure. change adjusts its configuration.
func newApp(t *testing.T, change ...func(*middleware.Config)) *app {
	t.Helper()
	return startApp(t, &app{}, change)
}

// newSecureApp starts an application on https://app.example.com, as one is in production:
// with __Host- cookies. Browsers find it, and every other name below example.com that
// a test gives an address in hosts.
func newSecureApp(t *testing.T, change ...func(*middleware.Config)) *app {
	t.Helper()
	return startApp(t, &app{origin: "https://app.example.com", hosts: make(map[string]string)}, change)
}

// sibling starts another application of the same company: the same tenant of LoginRadius
// and the same store, at another address. On http that is another port of the same host,
// where browsers send all cookies too; on https it is https://other.example.com.
func (a *app) sibling(change ...func(*middleware.Config)) *app {
	a.t.Helper()
	b := &app{hub: a.hub, store: a.store, hosts: a.hosts}
	if a.hosts != nil {
		b.origin = "https://other.example.com"
	}
	return startApp(a.t, b, change)
}

// instance starts another process of the same application, as far as a test can tell: the
// same address, tenant and store. Its browsers come to it. Only for https.
func (a *app) instance(change ...func(*middleware.Config)) *app {
	a.t.Helper()
	return startApp(a.t, &app{origin: a.origin, hub: a.hub, store: a.store, hosts: maps.Clone(a.hosts)}, change)
}

func startApp(t *testing.T, a *app, change []func(*middleware.Config)) *app {
	t.Helper()
	a.t, a.mux, a.log = t, http.NewServeMux(), new(logBuffer)
	a.answersWith(a.mux)
	if a.hub == nil {
		a.hub = idxtest.NewServer(t)
	}
	if a.store == nil {
		a.store = session.NewMemory()
	}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { (*a.root.Load()).ServeHTTP(w, r) }))
	server.Config.ErrorLog = slog.NewLogLogger(slog.NewTextHandler(a.log, nil), slog.LevelError)
	a.addr = server.Listener.Addr().String()
	if a.origin == "" {
		// By name, so that the emulator, by address, is another site with cookies of its own.
		_, port, _ := net.SplitHostPort(a.addr)
		a.origin = "http://localhost:" + port
	} else {
		a.hosts[strings.TrimPrefix(a.origin, "https://")+":443"] = a.addr
	}
	a.configure(change)
	if a.hosts != nil {
		server.EnableHTTP2 = false // raw requests and browsers meet the same server
		server.StartTLS()
	} else {
		server.Start()
	}
	t.Cleanup(func() {
		server.Close()
		a.auth.Close()
	})
	return a
}

func (a *app) answersWith(root http.Handler) { a.root.Store(&root) }

func (a *app) configure(change []func(*middleware.Config)) {
	a.t.Helper()
	cfg := middleware.Config{
		IDX:     a.hub.Config(),
		BaseURL: a.origin,
		Store:   a.store,
		Logger:  slog.New(slog.NewTextHandler(a.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	for _, c := range change {
		c(&cfg)
	}
	a.store = cfg.Store
	cfg.Hooks.OnDenied = a.noting(cfg.Hooks.OnDenied)
	cfg.Hooks.OnError = a.noting(cfg.Hooks.OnError)
	auth, err := middleware.New(cfg)
	if err != nil {
		a.t.Fatal(err)
	}
	a.auth = auth
	page := http.HandlerFunc(a.page)
	a.mux.Handle("/auth/", auth.Handler())
	a.mux.Handle("/dashboard/", auth.RequireLogin(page))
	a.mux.Handle("/admin", auth.Require(middleware.HasRole("admin"))(page))
	a.mux.Handle("/fresh", auth.Require(middleware.RecentLogin(5*time.Minute))(page))
	a.mux.Handle("/note", auth.RequireLogin(http.HandlerFunc(a.note)))
	a.mux.Handle("/", auth.LoadUser(page))
}

// noting returns hook, with a note of what it was told.
func (a *app) noting(hook func(context.Context, middleware.Problem)) func(context.Context, middleware.Problem) {
	return func(ctx context.Context, p middleware.Problem) {
		a.mu.Lock()
		a.reasons = append(a.reasons, p.Reason)
		a.mu.Unlock()
		if hook != nil {
			hook(ctx, p)
		}
	}
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

// note keeps a value of the application's in the session, and shows it.
func (a *app) note(w http.ResponseWriter, r *http.Request) {
	if r.URL.Query().Has("keep") {
		if err := session.Put(r.Context(), "note", r.URL.Query().Get("keep")); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
	}
	note, _, err := session.Get[string](r.Context(), "note")
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	fmt.Fprintf(w, "note %q", note)
}

// refused returns how many requests were refused, or could not be answered, for reason.
func (a *app) refused(reason middleware.Reason) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	n := 0
	for _, r := range a.reasons {
		if r == reason {
			n++
		}
	}
	return n
}

// refusals returns the reasons of all of them, in order.
func (a *app) refusals() []middleware.Reason {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.reasons)
}

// apiCalls returns how many calls of the API there were so far: what costs the tenant's
// quota. Visits of the hosted page are none.
func (a *app) apiCalls() int {
	n := 0
	for _, r := range a.hub.Requests() {
		if strings.HasPrefix(r.Path, "/identity/") || strings.HasPrefix(r.Path, "/api/") {
			n++
		}
	}
	return n
}

// onRedis keeps the sessions in Redis, and waits for it longer than is the default: a busy
// machine is no attack. Where it matters how long a silent Redis is waited for, use
// session.NewRedis(server.Client(), nil).
func onRedis(server *redistest.Server) func(*middleware.Config) {
	options := *server.Client().Options()
	options.DialTimeout, options.ReadTimeout, options.WriteTimeout, options.PoolTimeout = patience, patience, patience, patience
	client := redis.NewClient(&options) // ends with the server
	return func(c *middleware.Config) {
		c.Store = session.NewRedis(client, &session.RedisOptions{Timeout: patience})
	}
}

const patience = 5 * time.Second

// editing changes what the API answers, on its way to the application.
func editing(edit func(path string, answer map[string]any)) func(*middleware.Config) {
	return func(c *middleware.Config) {
		c.IDX.HTTPClient = &http.Client{Transport: editor(edit)}
	}
}

type editor func(path string, answer map[string]any)

func (e editor) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	var answer map[string]any
	if json.Unmarshal(body, &answer) == nil {
		e(req.URL.Path, answer)
		if body, err = json.Marshal(answer); err != nil {
			return nil, err
		}
	}
	resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	return resp, nil
}

// plantHubSession makes the hosted page take the browser for one that has just signed in
// with token: what any page can do, by an image with the tenant's public key.
func (b *browser) plantHubSession(token idx.Token) {
	b.app.t.Helper()
	b.open(b.app.hub.URL+"/ssologin/setToken?"+url.Values{"token": {string(token)}, "apikey": {b.app.hub.Config().APIKey}}.Encode(),
		"Sec-Fetch-Mode", "no-cors", "Sec-Fetch-Dest", "image").want(b.app.t, 200, `"istokenvalid":true`)
}

// keys returns the names of all that is in Redis, in order.
func keys(t *testing.T, server *redistest.Server) []string {
	t.Helper()
	found, err := server.Patient().Keys(t.Context(), "*").Result()
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(found)
	return found
}

// sessionsOf returns how many live sessions a user has.
func (a *app) sessionsOf(user idxtest.User) int {
	a.t.Helper()
	infos, err := a.auth.Sessions().List(a.t.Context(), user.UID)
	if err != nil {
		a.t.Fatal(err)
	}
	return len(infos)
}

// raw sends bytes to the application's server as they are, and returns its answer: for
// requests that no honest client makes.
func (a *app) raw(request string) *answer {
	a.t.Helper()
	var conn net.Conn
	var err error
	dialer := &net.Dialer{Timeout: 5 * time.Second}
	if a.hosts != nil {
		conn, err = tls.DialWithDialer(dialer, "tcp", a.addr, a.tls())
	} else {
		conn, err = dialer.Dial("tcp", a.addr)
	}
	if err != nil {
		a.t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	// A server that has refused the head does not read the rest: then writing fails, and
	// the answer is there all the same.
	_, writeErr := io.WriteString(conn, request)
	method, _, _ := strings.Cut(request, " ")
	resp, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		a.t.Fatalf("raw request %.100q: %v (writing: %v)", request, err, writeErr)
	}
	return a.read(resp)
}

// tls trusts the certificate of httptest, which is for example.com and all below it.
func (a *app) tls() *tls.Config {
	return &tls.Config{ServerName: "app.example.com", RootCAs: testRoots()}
}

var testRoots = sync.OnceValue(func() *x509.CertPool {
	server := httptest.NewTLSServer(nil)
	defer server.Close()
	pool := x509.NewCertPool()
	pool.AddCert(server.Certificate())
	return pool
})

// host is the value of an honest Host header.
func (a *app) host() string {
	_, host, _ := strings.Cut(a.origin, "://")
	return host
}

// answer is a response that was read to its end.
type answer struct {
	*http.Response
	body string
}

func (a *app) read(resp *http.Response) *answer {
	a.t.Helper()
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		a.t.Fatal(err)
	}
	resp.Body = io.NopCloser(bytes.NewReader(body)) // the emulator's SignIn reads the page
	return &answer{resp, string(body)}
}

// location is where the answer sends the browser, as it is written there.
func (p *answer) location() string { return p.Header.Get("Location") }

// at is the address of the page.
func (p *answer) at() string { return p.Request.URL.String() }

// want checks status and a part of the body.
func (p *answer) want(t *testing.T, status int, body string) {
	t.Helper()
	if p.StatusCode != status || !strings.Contains(p.body, body) {
		t.Errorf("answer %s to %q with body %.300q, want %d with %q", p.Status, p.location(), p.body, status, body)
	}
}

// wantHub checks that the browser is sent to the hosted page, as a stranger is.
func (p *answer) wantHub(t *testing.T, a *app) {
	t.Helper()
	if p.StatusCode != http.StatusFound || !strings.HasPrefix(p.location(), a.hub.URL+"/auth.aspx?") {
		t.Errorf("answer %s to %q with body %.300q, want the hosted page", p.Status, p.location(), p.body)
	}
}

// browser is what a person browses with: it says so in its headers, keeps cookies as
// browsers do, and follows redirects only where it is told to.
type browser struct {
	app     *app // to which paths belong
	client  *http.Client
	follows bool
	seen    []string // every address that it was sent to, in order
}

func (a *app) browser() *browser {
	a.t.Helper()
	b := &browser{app: a}
	transport := &http.Transport{
		TLSClientConfig:       &tls.Config{RootCAs: testRoots()},
		ResponseHeaderTimeout: 30 * time.Second,
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			if to, ok := a.hosts[addr]; ok {
				addr = to
			}
			return new(net.Dialer).DialContext(ctx, network, addr)
		},
	}
	a.t.Cleanup(transport.CloseIdleConnections)
	b.client = &http.Client{
		Transport: transport,
		Jar:       newJar(a.t),
		CheckRedirect: func(to *http.Request, via []*http.Request) error {
			if !b.follows {
				return http.ErrUseLastResponse
			}
			b.seen = append(b.seen, to.URL.String())
			if len(via) > 20 {
				return fmt.Errorf("it goes round for ever: %s", strings.Join(b.seen, "\n"))
			}
			return nil
		},
	}
	return b
}

// request makes a request of the kind that opens a page: target is a path of the app or
// an absolute address. headers are names and values; an empty value removes the header.
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

func (b *browser) do(req *http.Request) *answer {
	b.app.t.Helper()
	resp, err := b.client.Do(req)
	if err != nil {
		b.app.t.Fatal(err)
	}
	return b.app.read(resp)
}

// open asks for a page, and stays where it is if that is a redirect.
func (b *browser) open(target string, headers ...string) *answer {
	b.app.t.Helper()
	return b.do(b.request("GET", target, headers...))
}

// follow asks for a page, and goes wherever that leads.
func (b *browser) follow(target string, headers ...string) *answer {
	b.app.t.Helper()
	b.follows = true
	defer func() { b.follows = false }()
	return b.open(target, headers...)
}

// login opens a page as a stranger, signs in on the hosted page, and returns the page
// that this ends on. If the hosted page knows the visitor, it asks nothing.
func (b *browser) login(target string, user idxtest.User) *answer {
	b.app.t.Helper()
	return b.finish(b.follow(target), user)
}

// finish signs in if the browser is on the hosted page's form.
func (b *browser) finish(page *answer, user idxtest.User) *answer {
	b.app.t.Helper()
	if !strings.HasPrefix(page.at(), b.app.hub.URL) {
		return page
	}
	b.follows = true
	defer func() { b.follows = false }()
	return b.submit(page, user)
}

func (b *browser) submit(page *answer, user idxtest.User) *answer {
	b.app.t.Helper()
	resp, err := b.app.hub.SignIn(b.client, page.Response, user.Email)
	if err != nil {
		b.app.t.Fatal(err)
	}
	return b.app.read(resp)
}

// callback does a login up to the last step: it returns the address that the hosted page
// sends the browser back to, with state and token, without going there.
func (b *browser) callback(target string, user idxtest.User) *url.URL {
	b.app.t.Helper()
	at := b.open(b.open(target).location())
	if at.StatusCode == http.StatusOK {
		at = b.submit(at, user)
	}
	address, err := at.Location()
	if err != nil {
		b.app.t.Fatalf("login as %s at %s: %v", user.Email, target, err)
	}
	return address
}

// with returns u with another value of a query parameter, or without it if there is none.
func with(u *url.URL, name string, value ...string) string {
	changed := *u
	q := u.Query()
	q[name] = value
	if value == nil {
		delete(q, name)
	}
	changed.RawQuery = q.Encode()
	return changed.String()
}

// cookies returns the browser's cookies for the app by their purpose: session, login
// (the binding of the browser to its logins) and return.
func (b *browser) cookies() map[string]*http.Cookie {
	b.app.t.Helper()
	found := make(map[string]*http.Cookie)
	for _, c := range b.client.Jar.Cookies(b.app.url()) {
		found[c.Name[strings.LastIndex(c.Name, "-")+1:]] = c
	}
	return found
}

// session returns the value of the session cookie, "" if there is none.
func (b *browser) session() string {
	if c := b.cookies()["session"]; c != nil {
		return c.Value
	}
	return ""
}

// sends returns a Cookie header with these cookies, for requests that bypass the jar.
func sends(cookies ...*http.Cookie) string {
	var pairs []string
	for _, c := range cookies {
		if c != nil {
			pairs = append(pairs, c.Name+"="+c.Value)
		}
	}
	return strings.Join(pairs, "; ")
}

// copy returns another browser with the same cookies for the app, as somebody has who
// stole them, or as the same browser had before what follows.
func (b *browser) copy() *browser {
	b.app.t.Helper()
	c := b.app.browser()
	c.client.Jar.SetCookies(b.app.url(), hostCookies(b.client.Jar.Cookies(b.app.url()), b.app.hosts != nil))
	return c
}

// hostCookies returns cookies as our own server sets them.
func hostCookies(cookies []*http.Cookie, secure bool) []*http.Cookie {
	var set []*http.Cookie
	for _, c := range cookies {
		set = append(set, &http.Cookie{Name: c.Name, Value: c.Value, Path: "/", Secure: secure})
	}
	return set
}

// plant puts a cookie into the browser as a server at the address from does. It reports
// whether the app is shown it: browsers refuse some.
func (b *browser) plant(from string, c *http.Cookie) bool {
	b.app.t.Helper()
	u, err := url.Parse(from)
	if err != nil {
		b.app.t.Fatal(err)
	}
	b.client.Jar.SetCookies(u, []*http.Cookie{c})
	return slices.ContainsFunc(b.client.Jar.Cookies(b.app.url()), func(have *http.Cookie) bool {
		return have.Name == c.Name && have.Value == c.Value
	})
}

// signOut signs out as a person does who clicks the button of our page.
func (b *browser) signOut() *answer {
	b.app.t.Helper()
	return b.do(b.request("POST", "/auth/logout", "Sec-Fetch-Site", "same-origin", "Origin", b.app.origin))
}

func (a *app) url() *url.URL {
	u, err := url.Parse(a.origin + "/")
	if err != nil {
		a.t.Fatal(err)
	}
	return u
}

// jar keeps cookies as browsers do, which package cookiejar alone does not: a cookie
// whose name begins with __Host- has to be Secure, for this host alone and for all of its
// paths (RFC 6265bis, 4.1.3.2), and plain http neither sets nor replaces a Secure one.
type jar struct{ *cookiejar.Jar }

func newJar(t *testing.T) jar {
	t.Helper()
	inner, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return jar{inner}
}

func (j jar) SetCookies(from *url.URL, cookies []*http.Cookie) {
	for _, c := range cookies {
		name := strings.ToLower(c.Name)
		if c.Secure && from.Scheme != "https" ||
			strings.HasPrefix(name, "__host-") && (!c.Secure || c.Domain != "" || c.Path != "/") ||
			from.Scheme != "https" && j.hasSecure(from, c.Name) {
			continue
		}
		j.Jar.SetCookies(from, []*http.Cookie{c})
	}
}

// hasSecure reports whether https has a cookie of this name that http has not.
func (j jar) hasSecure(from *url.URL, name string) bool {
	named := func(scheme string) int {
		u := *from
		u.Scheme = scheme
		n := 0
		for _, c := range j.Cookies(&u) {
			if c.Name == name {
				n++
			}
		}
		return n
	}
	return named("https") > named("http")
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
