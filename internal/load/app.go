package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/idxauth/idxauth/idx"
	"github.com/idxauth/idxauth/middleware"
	"github.com/idxauth/idxauth/session"
)

// appConfig is what the process of the application is told, in the environment.
type appConfig struct {
	Redis  string
	Name   string // of the LoginRadius app
	Key    string
	Secret string
	Hub    string  // origin of the hosted page and the API; "": no hosted page, see noHub
	Rate   float64 // APIRate
	Cold   bool    // without the near cache: each view asks Redis
}

const appVariable = "IDXAUTH_LOAD_APP"

// serveIfChild makes this process the application, if it was started as one.
func serveIfChild() {
	text := os.Getenv(appVariable)
	if text == "" {
		return
	}
	var cfg appConfig
	if err := json.Unmarshal([]byte(text), &cfg); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if err := serve(cfg); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// serve is an application with one page for users. It ends with its standard input,
// and thereby with its parent.
func serve(cfg appConfig) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	base := "http://localhost:" + port
	options, err := session.ParseRedisURL("redis://" + cfg.Redis)
	if err != nil {
		return err
	}
	client := redis.NewClient(options.Simple())
	var trips atomic.Int64
	client.AddHook(tripCounter{&trips})
	settings := middleware.Config{
		IDX:     idx.Config{AppName: cfg.Name, APIKey: cfg.Key, APISecret: idx.Secret(cfg.Secret), HubURL: cfg.Hub, APIURL: cfg.Hub},
		BaseURL: base, Store: session.NewRedis(client, nil), APIRate: cfg.Rate,
		Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError})),
	}
	settings.Session.NearCache.Off = cfg.Cold
	if cfg.Hub == "" {
		settings.Provider = noHub{}
	}
	auth, err := middleware.New(settings)
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle("/auth/", auth.Handler())
	mux.Handle("/page", auth.Protect(func(w http.ResponseWriter, _ *http.Request, user *middleware.Identity) {
		io.WriteString(w, "user "+user.UID)
	}))
	mux.HandleFunc("/measure", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Has("collect") {
			runtime.GC()
		}
		json.NewEncoder(w).Encode(measure(trips.Load()))
	})
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 30 * time.Second}
	go func() {
		io.Copy(io.Discard, os.Stdin)
		server.Close()
	}()
	fmt.Println(base)
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return auth.Close()
}

// measured is how the process of the application is.
type measured struct {
	Goroutines     int
	Heap           uint64 // bytes in use
	Resident, Peak uint64 // bytes; 0 where the system does not tell
	Trips          int64  // to Redis
}

func measure(trips int64) measured {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	is := measured{Goroutines: runtime.NumGoroutine(), Heap: m.HeapAlloc, Trips: trips}
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return is
	}
	for line := range strings.Lines(string(status)) {
		var kb uint64
		if _, err := fmt.Sscanf(line, "VmRSS: %d kB", &kb); err == nil {
			is.Resident = kb << 10
		}
		if _, err := fmt.Sscanf(line, "VmHWM: %d kB", &kb); err == nil {
			is.Peak = kb << 10
		}
	}
	return is
}

// tripCounter counts round trips: a pipeline is one.
type tripCounter struct{ n *atomic.Int64 }

func (c tripCounter) DialHook(next redis.DialHook) redis.DialHook { return next }

func (c tripCounter) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		c.n.Add(1)
		return next(ctx, cmd)
	}
}

func (c tripCounter) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		c.n.Add(1)
		return next(ctx, cmds)
	}
}

// noHub is a hosted login that believes everything: the token is the user.
type noHub struct{}

func (noHub) URL(_ idx.Action, back string) string {
	return "http://hub.invalid/?return_url=" + url.QueryEscape(back)
}

func (noHub) Profile(_ context.Context, token idx.Token) (*idx.Profile, error) {
	name := string(token)
	return &idx.Profile{
		UID: name, ID: name, Provider: "Email", FirstName: "Ada", LastName: "Lovelace", FullName: "Ada Lovelace",
		Email: name + "@example.com", Emails: []string{name + "@example.com"}, EmailVerified: true, IsActive: true,
		Roles: []string{"editor", "reader"}, Company: "Analytical Engines", CreatedAt: time.Now(), LastLoginAt: time.Now(),
	}, nil
}

func (noHub) Validate(context.Context, idx.Token) (time.Time, error) {
	return time.Now().Add(24 * time.Hour), nil
}

func (noHub) Invalidate(context.Context, idx.Token) error { return nil }

// app is the application's process, seen from outside.
type app struct {
	base  string
	cmd   *exec.Cmd
	stdin io.Closer
}

func startApp(ctx context.Context, cfg appConfig) (*app, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(cfg)
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self)
	cmd.Env = append(os.Environ(), appVariable+"="+string(text))
	cmd.Stderr = os.Stderr
	a := &app{cmd: cmd}
	if a.stdin, err = cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		a.stop()
		return nil, errors.New("the application did not start")
	}
	a.base = strings.TrimSpace(line)
	return a, nil
}

func (a *app) stop() {
	a.stdin.Close()
	a.cmd.Wait()
}

// measure asks the process how it is; with collect, after a garbage collection.
func (a *app) measure(ctx context.Context, collect bool) (measured, error) {
	address := a.base + "/measure"
	if collect {
		address += "?collect"
	}
	var m measured
	req, err := http.NewRequestWithContext(ctx, "GET", address, nil)
	if err != nil {
		return m, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return m, err
	}
	defer resp.Body.Close()
	return m, json.NewDecoder(resp.Body).Decode(&m)
}

// fewGoroutines come and go by themselves: of a connection to Redis or a heartbeat.
const fewGoroutines = 3

// calm waits until the application has no more goroutines than before, but for a few, and
// returns how it is then, or after some time all the same. The fleet rests again and again:
// a connection that was opened and not used yet cannot be closed for some seconds.
func (a *app) calm(ctx context.Context, f *fleet, before measured) (measured, error) {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	deadline := time.Now().Add(20 * time.Second)
	for {
		f.rest()
		m, err := a.measure(ctx, true)
		if err != nil || m.Goroutines <= before.Goroutines+fewGoroutines || time.Now().After(deadline) {
			return m, err
		}
		<-tick.C
	}
}
