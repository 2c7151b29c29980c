package idx_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/idxauth/idxauth/idx"
)

// Behind each answer stands one that nobody has asked for. net/http takes it for the answer
// to the next request if that comes before it has looked, and whoever logs in next would be
// whoever it names. So no answer may come from a connection that had one before.
func TestAnswersThatNobodyAskedFor(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	answer := func(uid string) string {
		body := fmt.Sprintf(`{"Uid":%q,"IsActive":true,"IsDeleted":false}`, uid)
		return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				conn.SetDeadline(time.Now().Add(time.Minute))
				request := make([]byte, 8<<10)
				for {
					if _, err := conn.Read(request); err != nil {
						return
					}
					io.WriteString(conn, answer("ada")+answer("grace"))
				}
			}()
		}
	}()
	for name, client := range map[string]*http.Client{
		"own client":      nil,
		"caller's client": {Transport: &http.Transport{}},
	} {
		t.Run(name, func(t *testing.T) {
			c := mustNew(t, idx.Config{APIURL: "http://" + l.Addr().String(), HTTPClient: client})
			// Many at once, which wait for each other's connections.
			const callers, calls = 32, 50
			var wrong atomic.Int64
			var all sync.WaitGroup
			for range callers {
				all.Go(func() {
					for range calls {
						p, err := c.Profile(t.Context(), testToken)
						if err != nil {
							t.Error(err)
							return
						}
						if p.UID != "ada" {
							wrong.Add(1)
						}
					}
				})
			}
			all.Wait()
			if n := wrong.Load(); n > 0 {
				t.Errorf("%d of %d calls were given the profile of somebody else", n, callers*calls)
			}
		})
	}
}

// Where an answer names its request, connections are used again: they cost time.
func TestHTTP2ConnectionsAreUsedAgain(t *testing.T) {
	var opened atomic.Int64
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor != 2 {
			t.Errorf("%s was spoken: nothing is tested", r.Proto)
		}
		io.WriteString(w, smallProfile)
	}))
	server.EnableHTTP2 = true
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			opened.Add(1)
		}
	}
	server.StartTLS()
	defer server.Close()
	c := mustNew(t, idx.Config{APIURL: server.URL, HTTPClient: server.Client()})
	for range 10 {
		if _, err := c.Profile(t.Context(), testToken); err != nil {
			t.Fatal(err)
		}
	}
	if n := opened.Load(); n != 1 {
		t.Errorf("10 calls opened %d connections, want 1", n)
	}
}
