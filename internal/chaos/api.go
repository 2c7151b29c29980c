package main

import (
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/idxauth/idxauth/idx/idxtest"
	"github.com/idxauth/idxauth/internal/ports"
)

// api is the way to the emulator's API, which counts the calls.
type api struct {
	addr    string
	calls   atomic.Int64
	current atomic.Pointer[atomic.Int64] // calls under way that have begun since age was called
	handler http.Handler
	server  *http.Server
}

func startAPI(hub *idxtest.Server) (*api, error) {
	addr, _, err := ports.Free()
	if err != nil {
		return nil, err
	}
	a := &api{addr: addr, handler: hub.Handler()}
	a.age()
	return a, a.open()
}

// age returns what counts those of the calls so far that are still under way.
func (a *api) age() (old *atomic.Int64) { return a.current.Swap(new(atomic.Int64)) }

// open listens, at the same address as before: nobody else is given its port meanwhile.
func (a *api) open() error {
	l, err := net.Listen("tcp", a.addr)
	if err != nil {
		return err
	}
	a.server = &http.Server{
		ReadHeaderTimeout: 10 * time.Second,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			a.calls.Add(1)
			underWay := a.current.Load()
			underWay.Add(1)
			defer underWay.Add(-1)
			a.handler.ServeHTTP(w, r)
		}),
	}
	go a.server.Serve(l)
	return nil
}

// close ends all connections, and lets no new ones be made.
func (a *api) close() { a.server.Close() }

// webhooks carries webhooks to the application: those to which this tenant subscribes.
// Nobody wants to hear of every login.
type webhooks struct{ to http.RoundTripper }

func (h webhooks) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := r.GetBody()
	if err != nil {
		return nil, err
	}
	defer body.Close()
	start := make([]byte, 64) // {"HookName":"blockaccount",...
	n, _ := body.Read(start)
	if strings.Contains(string(start[:n]), `"login"`) {
		r.Body.Close()
		return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody, Request: r}, nil
	}
	return h.to.RoundTrip(r)
}
