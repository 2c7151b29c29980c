package idxtest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/idxauth/idxauth/idx"
)

// The credentials of the emulated app. Key and secret have the form of a GUID,
// as the API demands.
const (
	appName   = "my-app"
	apiKey    = "5f6c3f0e-2b0d-4f5b-9a37-0c1d8e6b7a42"
	apiSecret = "d2a1b7c4-93e8-4c60-8f1e-7b5a0d4c6e19"
)

// Server is an emulated tenant of LoginRadius and the HTTP server in front of
// it. It is safe for concurrent use.
type Server struct {
	// URL is the origin of the hub and of the API, such as
	// http://127.0.0.1:54321, without a slash at the end.
	URL string

	http     *http.Server
	cancel   context.CancelFunc // ends the contexts of all requests
	served   chan struct{}      // closed when Serve has returned
	inFlight sync.RWMutex       // read-locked by each request that is being served
	routes   http.Handler

	mu     sync.Mutex
	tenant *tenant
	fault  *Fault

	logMu sync.Mutex // of its own: answers are written, and noted, while mu is held
	log   requestLog
}

// tenant is everything that LoginRadius remembers. It has no lock of its own:
// whoever calls its methods holds [Server].mu.
type tenant struct {
	clock    clock
	ids      idSource
	settings Settings
	users    userTable
	tokens   tokenTable
	mails    []Mail
	links    map[string]*link // by vtoken
	dates    int              // written so far; see date
	hooks    *webhookQueue    // has a lock of its own
}

// NewServer starts a server on a free loopback port and closes it when the test
// ends. It is headless: where a browser would run the hosted page's script,
// there is a redirect with the identical address, for [http.Client] to follow.
func NewServer(t testing.TB) *Server {
	t.Helper()
	s, err := Start("")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	s.Set(func(set *Settings) { set.Headless = true })
	return s
}

// Start starts a server for programs and examples, with pages for people. addr
// is a loopback address such as "127.0.0.1:9090"; if empty, a free port of
// 127.0.0.1. Close the server when done.
func Start(addr string) (*Server, error) {
	ln, err := listen(addr)
	if err != nil {
		return nil, fmt.Errorf("idxtest: %w", err)
	}
	s := newServer("http://" + ln.Addr().String())
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	s.served = make(chan struct{})
	s.http = &http.Server{
		Handler:           s.counted(s.Handler()),
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ReadHeaderTimeout: 10 * time.Second,
	}
	go func() {
		defer close(s.served)
		s.http.Serve(ln) // returns when Close closes the listener
	}()
	return s, nil
}

// listen refuses everything but loopback addresses: the tokens can be guessed.
func listen(addr string) (net.Listener, error) {
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return nil, fmt.Errorf("address %q: want a loopback host, such as 127.0.0.1", addr)
	}
	return net.Listen("tcp", addr)
}

func newServer(origin string) *Server {
	s := &Server{
		URL: origin,
		tenant: &tenant{
			settings: defaultSettings(),
			users:    newUserTable(),
			tokens:   newTokenTable(),
			links:    make(map[string]*link),
			hooks:    newWebhookQueue(),
		},
	}
	for _, u := range readyUsers() {
		s.tenant.addUser(u)
	}
	s.routes = s.newRoutes()
	return s
}

// counted lets Close wait for the requests that are being served.
func (s *Server) counted(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.inFlight.RLock()
		defer s.inFlight.RUnlock()
		next.ServeHTTP(w, r)
	})
}

// Close ends all requests, also those that a [Fault] holds, drops the webhooks that
// were not delivered, and returns when nothing of the server runs any more. Closing
// twice does no harm.
func (s *Server) Close() {
	s.cancel()
	s.tenant.hooks.close()
	s.http.Close()
	<-s.served
	s.inFlight.Lock()
	defer s.inFlight.Unlock()
}

// Handler returns the hub and the API, to be mounted at the root of another
// server, such as one with TLS. Links in mails follow the host that was asked;
// [Server.URL] and [Server.Config] keep naming the server's own address.
func (s *Server) Handler() http.Handler { return http.HandlerFunc(s.serve) }

// serve records the request, lets a fault have it, and routes the rest.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	w = &statusWriter{ResponseWriter: w, set: s.record(r)}
	r = withLowerPath(r)
	if f, ok := s.takeFault(r); ok {
		f.serve(w, r, s.routes)
		return
	}
	s.routes.ServeHTTP(w, r)
}

// withLowerPath makes paths case-insensitive, as they are at LoginRadius. Only
// ASCII letters change, so that an escaped path stays the escaped form of the
// path.
func withLowerPath(r *http.Request) *http.Request {
	u := *r.URL
	u.Path, u.RawPath = lowerASCII(u.Path), lowerASCII(u.RawPath)
	lower := r.WithContext(r.Context())
	lower.URL = &u
	return lower
}

func lowerASCII(s string) string {
	b := []byte(s)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}

// newRoutes says what is where. All patterns are in lower case.
func (s *Server) newRoutes() http.Handler {
	mux := http.NewServeMux()
	s.routeHub(mux)
	s.routeAPI(mux)
	return mux
}

// Config returns the settings with which [idx.New] makes a client of this
// server. HTTPClient is nil.
func (s *Server) Config() idx.Config {
	return idx.Config{
		AppName:   appName,
		APIKey:    apiKey,
		APISecret: apiSecret,
		HubURL:    s.URL,
		APIURL:    s.URL,
	}
}

var errNoUser = errors.New("idxtest: no user with this e-mail address or UID")
