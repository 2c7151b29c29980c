package middleware_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/idxauth/idxauth/idx/idxtest"
	"github.com/idxauth/idxauth/middleware"
)

// The handler gets the server's own ResponseWriter, through every wrapper.
func TestWritersKeepTheirPowers(t *testing.T) {
	a := newApp(t)
	wrappers := map[string]func(http.Handler) http.Handler{
		"/w/require": a.auth.RequireLogin,
		"/w/rules":   a.auth.Require(),
		"/w/load":    a.auth.LoadUser,
		"/w/nested":  func(h http.Handler) http.Handler { return a.auth.LoadUser(a.auth.RequireLogin(a.auth.RequireLogin(h))) },
		"/w/protect": func(h http.Handler) http.Handler {
			return a.auth.Protect(func(w http.ResponseWriter, r *http.Request, _ *middleware.Identity) { h.ServeHTTP(w, r) })
		},
	}
	b := a.browser()
	b.signIn("/dashboard/", idxtest.Ada)
	for path, wrap := range wrappers {
		t.Run(path, func(t *testing.T) {
			a.mux.Handle(path+"/stream", wrap(http.HandlerFunc(stream)))
			a.mux.Handle(path+"/socket", wrap(http.HandlerFunc(socket)))
			testStream(t, b, path+"/stream")
			testSocket(t, b, path+"/socket")
		})
	}
}

var streamed = make(chan struct{})

// stream sends one line and the next only when the first has arrived.
func stream(w http.ResponseWriter, r *http.Request) {
	control := http.NewResponseController(w)
	if err := control.SetWriteDeadline(time.Now().Add(time.Minute)); err != nil {
		http.Error(w, err.Error(), 500)
		return
	}
	if _, ok := w.(io.ReaderFrom); !ok {
		http.Error(w, "no ReaderFrom", 500)
		return
	}
	io.WriteString(w, "one\n")
	w.(http.Flusher).Flush()
	<-streamed
	io.WriteString(w, "two\n")
	if err := control.Flush(); err != nil {
		panic(err)
	}
}

func testStream(t *testing.T, b *browser, path string) {
	t.Helper()
	resp, err := b.client.Do(b.request("GET", path))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	if !lines.Scan() || lines.Text() != "one" {
		t.Fatalf("%s: first line %q", path, lines.Text())
	}
	streamed <- struct{}{}
	if !lines.Scan() || lines.Text() != "two" {
		t.Fatalf("%s: second line %q", path, lines.Text())
	}
}

// socket takes the connection over, as a WebSocket library does.
func socket(w http.ResponseWriter, r *http.Request) {
	conn, rw, err := w.(http.Hijacker).Hijack()
	if err != nil {
		panic(err)
	}
	defer conn.Close()
	io.WriteString(rw, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
	rw.Flush()
	line, err := rw.ReadString('\n')
	if err != nil {
		return
	}
	fmt.Fprintf(rw, "echo %s", line)
	rw.Flush()
}

func testSocket(t *testing.T, b *browser, path string) {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(b.app.origin, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(time.Minute)) // or a socket that keeps silent holds the test up for ever
	fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: app\r\nConnection: Upgrade\r\nUpgrade: echo\r\nCookie: %s\r\n\r\n",
		path, cookieHeader(b, "session", b.cookies()["session"]))
	in := bufio.NewReader(conn)
	resp, err := http.ReadResponse(in, nil)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("%s: %v %v", path, resp, err)
	}
	io.WriteString(conn, "hello\n")
	if line, err := in.ReadString('\n'); line != "echo hello\n" {
		t.Fatalf("%s: %q, %v", path, line, err)
	}
}
