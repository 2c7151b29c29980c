// Package site is the server process that every contender written in Go is: a page
// for signed-in users, a way to sign in, and what a page view cost the process.
package site

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"time"
)

// Site is a contender's application.
type Site struct {
	// Page lets signed-in users in and answers them with [Greet].
	Page http.Handler

	// Login signs in the user whose [Number] the request has. It is nil where
	// nobody signs in, or where Auth does it.
	Login http.Handler

	// Auth has the contender's own routes under /auth/, if any.
	Auth http.Handler
}

// Listen returns a listener on a free port of the loopback.
func Listen() (net.Listener, error) { return net.Listen("tcp", "127.0.0.1:0") }

// Serve tells the parent process the address of l, and serves until the parent
// closes the standard input, which the end of the parent does in any case.
func (s *Site) Serve(l net.Listener) error {
	server := &http.Server{Handler: s.Handler(), ReadHeaderTimeout: 10 * time.Second}
	go func() {
		io.Copy(io.Discard, os.Stdin)
		server.Close()
	}()
	fmt.Println(l.Addr())
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// Handler returns all routes of s.
func (s *Site) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /page", s.Page)
	mux.HandleFunc("GET /bench/cost", serveCost)
	if s.Login != nil {
		mux.Handle("GET /bench/login", s.Login)
	}
	if s.Auth != nil {
		mux.Handle("/auth/", s.Auth)
	}
	return mux
}

// Number returns which user a request to /bench/login?n=17 signs in.
func Number(r *http.Request) int {
	n, _ := strconv.Atoi(r.URL.Query().Get("n"))
	return n
}

// Name returns the first name of user n, which no other user has.
func Name(n int) string { return fmt.Sprintf("Ada-%05d", n) }

// Greet answers with a page of 129 bytes that names its reader.
func Greet(w http.ResponseWriter, name string) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	io.WriteString(w, "<!doctype html><title>Your page</title><p>Welcome back, "+name+". Nothing has changed here since the last time you came by.")
}
