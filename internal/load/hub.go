package main

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync/atomic"

	"github.com/idxauth/idxauth/idx"
	"github.com/idxauth/idxauth/idx/idxtest"
)

// hub is the emulated LoginRadius, with a count of the calls of its API. Its own records
// end at 10,000.
type hub struct {
	*idxtest.Server
	cfg    idx.Config
	calls  atomic.Int64
	server *http.Server
}

// passwordOfAll is not the usual one of the emulator, whose owners are listed on each
// page.
const passwordOfAll = "sesame of the many"

func uidOf(n int) string   { return fmt.Sprintf("user-%08d", n) }
func emailOf(n int) string { return uidOf(n) + "@example.com" }

func startHub(users int) (*hub, error) {
	emulator, err := idxtest.Start("")
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		emulator.Close()
		return nil, err
	}
	h := &hub{Server: emulator, cfg: emulator.Config()}
	h.cfg.HubURL = "http://" + l.Addr().String()
	h.cfg.APIURL = h.cfg.HubURL
	emulator.Set(func(s *idxtest.Settings) { s.Headless = true })
	for n := range users {
		emulator.AddUser(idxtest.User{
			UID: uidOf(n), Email: emailOf(n), Password: passwordOfAll, FirstName: "Ada", LastName: "Lovelace",
			Roles: []string{"editor", "reader"}, EmailVerified: true,
		})
	}
	next := emulator.Handler()
	h.server = &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(strings.ToLower(r.URL.Path), "/identity/") {
			h.calls.Add(1)
		}
		next.ServeHTTP(w, r)
	})}
	go h.server.Serve(l) // ends with close
	return h, nil
}

func (h *hub) close() {
	h.server.Close()
	h.Server.Close()
}
