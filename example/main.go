// Command example is a small application behind LoginRadius' hosted login page. With
// no arguments and no settings it brings everything it needs: an emulated hosted page
// and API, an embedded Redis.
//
//	go run ./example
//
// With LOGINRADIUS_APP_NAME it uses the real hosted page, with REDIS_URL a real Redis;
// see the README for all settings. With LOGINRADIUS_API_SECRET it takes LoginRadius'
// webhooks, at /auth/webhook: subscribe to that address in the console. The emulator
// does so by itself.
//
// What to try: the clock at /live, in two browsers; sign one of them out on the devices
// page, or block the account on the admin page, and its clock stops.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/idxauth/idxauth/idx"
	"github.com/idxauth/idxauth/idx/idxtest"
	"github.com/idxauth/idxauth/middleware"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Stdout, nil); err != nil {
		fmt.Fprintln(os.Stderr, "example:", err)
		os.Exit(1)
	}
}

// run serves the application until ctx ends. started, if not nil, is told where it is
// served, and the emulator behind it, if there is one.
func run(ctx context.Context, out io.Writer, started func(baseURL string, hub *idxtest.Server)) error {
	listener, err := listen()
	if err != nil {
		return err
	}
	defer listener.Close()
	cfg, err := settings(listener)
	if err != nil {
		return err
	}
	var hub *idxtest.Server
	if cfg.IDX.AppName == "" {
		if hub, err = idxtest.Start(""); err != nil {
			return err
		}
		defer hub.Close()
		cfg.IDX = hub.Config()
		hub.SetWebhook(baseURL(listener) + "/auth/webhook")
	}
	cfg.Webhooks = cfg.IDX.APISecret != "" // nobody can tell without it who sends them
	if cfg.Store == nil {
		redis, store, err := embeddedRedis()
		if err != nil {
			return err
		}
		defer redis.Close()
		cfg.Store = store
		cfg.Session.NearCache.Off = true // the embedded Redis tells nobody what changes
	}
	harbour := newHarbour()
	cfg.AppUser = harbour.load
	cfg.Hooks = middleware.Hooks{OnLogin: harbour.onLogin, OnRefresh: harbour.onRefresh, OnWebhook: harbour.onWebhook}
	cfg.Devices = true
	cfg.ErrorPage = errorPage
	auth, err := middleware.New(cfg)
	if err != nil {
		return err
	}
	defer auth.Close() // after the server: it waits for work in the background

	login, err := idx.New(cfg.IDX)
	if err != nil {
		return err
	}

	announce(out, cfg, hub)
	if started != nil {
		started(cfg.BaseURL, hub)
	}
	app := &app{auth: auth, harbour: harbour, hub: hub, stopping: ctx.Done()}
	return serve(ctx, listener, app.routes(login.HubOrigin()))
}

// listen takes the address before anything else is started, so that a port in use is
// the first thing one hears of.
func listen() (net.Listener, error) {
	addr := os.Getenv("ADDR")
	if addr == "" {
		addr = "localhost:8080"
	}
	listener, err := net.Listen("tcp", addr)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("%s is in use: set ADDR to another address, such as ADDR=localhost:8081", addr)
	}
	if err != nil {
		return nil, fmt.Errorf("ADDR: %w", err)
	}
	return listener, nil
}

// baseURL is the address by name: cookies of localhost stay apart from those of the
// emulator at 127.0.0.1. An application that listens on all addresses is open at
// localhost too.
func baseURL(listener net.Listener) string {
	host, _, _ := net.SplitHostPort(os.Getenv("ADDR"))
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "localhost"
	}
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	return "http://" + net.JoinHostPort(host, port)
}

func announce(out io.Writer, cfg middleware.Config, hub *idxtest.Server) {
	fmt.Fprintf(out, "Open %s\n", cfg.BaseURL)
	if hub == nil {
		if cfg.Webhooks {
			fmt.Fprintf(out, "Webhooks are welcome at %s/auth/webhook, which has to be https for LoginRadius\n", strings.TrimSuffix(cfg.BaseURL, "/"))
		}
		return
	}
	fmt.Fprintf(out, `
The hosted page is an emulator at %s. Sign in with a click, or
with the password %q as
  %s   admin
  %s  editor
  %s   e-mail not verified
Mail it would send is at %s/_mail. Accounts can be blocked on the admin page. Stop with Ctrl-C.
`, hub.URL, idxtest.Password, idxtest.Ada.Email, idxtest.Grace.Email, idxtest.Alan.Email, hub.URL)
}

// serve runs until ctx ends, and then lets requests finish.
func serve(ctx context.Context, listener net.Listener, handler http.Handler) error {
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       15 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if err := server.Shutdown(ctx); err != nil {
		return fmt.Errorf("requests were cut off: %w", err)
	}
	return nil
}
