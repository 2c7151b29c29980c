package attacks_test

import (
	"bufio"
	"cmp"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/idxauth/idxauth/idx/idxtest"
	"github.com/idxauth/idxauth/internal/redistest"
	"github.com/idxauth/idxauth/middleware"
	"github.com/idxauth/idxauth/session"
)

// What the tables F to P need beside the harness.

// asksRedis lets each request ask the store, so that nothing is answered from memory.
func asksRedis(c *middleware.Config) { c.Session.NearCache.Off = true }

var keepTTL = redis.SetArgs{KeepTTL: true}

// by keeps the sessions in Redis with a client as the README makes it, at the end of way. It
// waits for longer than that, but not for ever: a busy machine is no attack.
func by(t *testing.T, way *way) func(*middleware.Config) {
	t.Helper()
	options, err := session.ParseRedisURL("redis://" + way.addr)
	if err != nil {
		t.Fatal(err)
	}
	const most = 2 * time.Second
	options.DialTimeout, options.ReadTimeout, options.WriteTimeout, options.PoolTimeout = most, most, most, most
	client := redis.NewUniversalClient(options)
	t.Cleanup(func() { client.Close() })
	return func(c *middleware.Config) {
		c.Store = session.NewRedis(client, &session.RedisOptions{Timeout: most})
	}
}

// protect adds a page for signed-in users.
func (a *app) protect(pattern string, page http.HandlerFunc) {
	a.mux.Handle(pattern, a.auth.RequireLogin(page))
}

// space is the beginning of the names of the app's cookies and keys.
func (a *app) space() string { return strings.TrimSuffix(a.auth.Sessions().CookieName(), "-session") }

// neighbour is a second instance of the application, behind the same address, without a
// server of its own: browsers speak to it with askOf.
func (a *app) neighbour(change ...func(*middleware.Config)) *app {
	a.t.Helper()
	b := &app{t: a.t, origin: a.origin, hub: a.hub, store: a.store, mux: http.NewServeMux(), log: new(logBuffer)}
	b.configure(change)
	a.t.Cleanup(func() { b.auth.Close() })
	return b
}

// askOf sends a request to a neighbour, with the browser's cookies unless it has others.
func (b *browser) askOf(n *app, method, target string, headers ...string) *httptest.ResponseRecorder {
	b.app.t.Helper()
	r := httptest.NewRequest(method, target, nil)
	r.Header = b.request(method, target, headers...).Header
	if r.Header.Get("Cookie") == "" {
		r.Header.Set("Cookie", b.pair("session")+"; "+b.pair("login"))
	}
	w := httptest.NewRecorder()
	n.mux.ServeHTTP(w, r)
	return w
}

// send is do for goroutines, which may not end the test.
func (b *browser) send(req *http.Request) (*answer, error) {
	resp, err := b.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return &answer{resp, string(body)}, err
}

// pair is one of the browser's cookies as a Cookie header has it, "" if there is none.
func (b *browser) pair(purpose string) string { return sends(b.cookies()[purpose]) }

// begin starts a login and returns the address to which the hosted page would add a token.
func (b *browser) begin(target string) string {
	b.app.t.Helper()
	sent := b.open(target)
	at, err := url.Parse(sent.location())
	if err != nil {
		b.app.t.Fatal(err)
	}
	back := at.Query().Get("return_url")
	if !strings.Contains(back, "state=") {
		b.app.t.Fatalf("%s of %s leads to %q, want the hosted page with a state", sent.Status, target, at)
	}
	return back
}

// ticket begins a login and returns the address with which the hosted page would end it.
// It does without the hosted page, which knows nothing of it.
func (b *browser) ticket(target string, user idxtest.User) string {
	b.app.t.Helper()
	return b.begin(target) + "&token=" + url.QueryEscape(string(b.app.hub.IssueToken(user.Email)))
}

// enter signs user in, without the hosted page.
func (b *browser) enter(user idxtest.User) {
	b.app.t.Helper()
	b.known(b.ticket("/dashboard/", user)).want(b.app.t, http.StatusSeeOther, "")
	b.wantUser(user)
}

// known opens a page until the answer is one of those that mean something: on a busy
// machine a store can be too late, and 503 says that nobody knows.
func (b *browser) known(target string, headers ...string) (got *answer) {
	b.app.t.Helper()
	redistest.Eventually(b.app.t, "the store answers", func() bool {
		got = b.open(target, headers...)
		return got.StatusCode != http.StatusServiceUnavailable
	})
	return got
}

// wantUser checks that the protected page is shown, to user and nobody else.
func (b *browser) wantUser(user idxtest.User) {
	b.app.t.Helper()
	if got := b.known("/dashboard/"); got.StatusCode != 200 || got.body != "user "+user.Email {
		b.app.t.Errorf("the page is %s to %q with %.200q, want that of %s", got.Status, got.location(), got.body, user.Email)
	}
}

// wantStranger checks that the protected page is not shown, and a login starts.
func (b *browser) wantStranger() {
	b.app.t.Helper()
	b.known("/dashboard/").wantHub(b.app.t, b.app)
}

// rawAll sends bytes over a connection to addr and returns all answers until the server
// has no more to say. Only when it has answered and then been quiet for a while, or has said
// nothing for long, is it told that no more will come: to net/http that is a client that
// has gone, and the requests it is still busy with are given up.
func rawAll(t *testing.T, addr, text string) (all []*answer) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	conn := c.(*net.TCPConn)
	conn.SetWriteDeadline(time.Now().Add(10 * time.Second))
	sent := make(chan struct{})
	defer func() { <-sent }()
	go func() {
		defer close(sent)
		io.WriteString(conn, text) // a server that has refused the head does not read the rest
	}()
	in := bufio.NewReader(conn)
	quiet := 10 * time.Second
	for open := true; ; {
		if open {
			conn.SetReadDeadline(time.Now().Add(quiet))
			if _, err := in.Peek(1); errors.Is(err, os.ErrDeadlineExceeded) {
				<-sent
				conn.CloseWrite()
				open = false
			}
		}
		conn.SetReadDeadline(time.Now().Add(10 * time.Second))
		resp, err := http.ReadResponse(in, nil)
		if err != nil {
			return all
		}
		body, err := io.ReadAll(resp.Body)
		all = append(all, &answer{resp, string(body)})
		if err != nil {
			return all
		}
		quiet = 500 * time.Millisecond
	}
}

// goFiles calls f for each Go file that users run: neither tests nor the emulator.
func goFiles(t *testing.T, f func(path, source string)) {
	t.Helper()
	n := 0
	for _, dir := range []string{"idx", "session", "middleware", "internal/background", "example"} {
		err := filepath.WalkDir(filepath.Join("../..", dir), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.Name() == "idxtest" {
				return cmp.Or(err, fs.SkipDir)
			}
			if d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return nil
			}
			source, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			n++
			f(strings.TrimPrefix(path, "../../"), string(source))
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if n < 90 {
		t.Fatalf("%d files, which are not all", n)
	}
}
