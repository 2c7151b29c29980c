package middleware_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/cookiejar"
	"os"
	"os/exec"
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

// instanceVariable makes this test binary an instance of an application.
const instanceVariable = "IDXAUTH_TEST_INSTANCE"

// instance is what it is told.
type instance struct {
	AppName, APIKey, APISecret, HubURL, APIURL string
	BaseURL, Redis                             string
	Revalidate                                 time.Duration
}

func TestMain(m *testing.M) {
	if settings := os.Getenv(instanceVariable); settings != "" {
		if err := runInstance(settings); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// runInstance serves until its standard input ends, which it does with the parent.
func runInstance(settings string) error {
	var in instance
	if err := json.Unmarshal([]byte(settings), &in); err != nil {
		return err
	}
	// With patience: what is tested is how often LoginRadius is asked, on slow machines too.
	client := redis.NewClient(&redis.Options{Addr: in.Redis, ContextTimeoutEnabled: true, ReadTimeout: 10 * time.Second, WriteTimeout: 10 * time.Second})
	auth, err := middleware.New(middleware.Config{
		IDX:        idx.Config{AppName: in.AppName, APIKey: in.APIKey, APISecret: idx.Secret(in.APISecret), HubURL: in.HubURL, APIURL: in.APIURL},
		BaseURL:    in.BaseURL,
		Store:      session.NewRedis(client, &session.RedisOptions{Timeout: 20 * time.Second}),
		Session:    session.Config{MaxPerUser: 0},
		Revalidate: in.Revalidate,
		APIRate:    -1,
		Logger:     slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return err
	}
	defer auth.Close()
	a := &app{auth: auth, mux: http.NewServeMux()}
	a.mux.Handle("/auth/", auth.Handler())
	a.mux.Handle("/dashboard/", auth.RequireLogin(http.HandlerFunc(a.page)))
	a.mux.Handle("/admin", auth.Require(middleware.HasRole("admin"))(http.HandlerFunc(a.page)))
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(listener.Addr())
	go http.Serve(listener, a.mux)
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// startInstance starts this test binary as an instance and returns its address.
func startInstance(t *testing.T, in instance) string {
	t.Helper()
	settings, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), instanceVariable+"="+string(settings))
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stdin.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("instance: %v", err)
		}
	})
	addr, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(addr)
}

// The same as TestThousandSessionsOfOneUserAreOneCall, with two processes, a real Redis
// and the clock on the wall.
func TestThousandSessionsAcrossTwoProcesses(t *testing.T) {
	const sessions, revalidate = 1000, 3 * time.Second
	server := redistest.Start(t)
	hub := idxtest.NewServer(t)
	cfg := hub.Config()
	in := instance{
		AppName: cfg.AppName, APIKey: cfg.APIKey, APISecret: string(cfg.APISecret), HubURL: cfg.HubURL, APIURL: cfg.APIURL,
		BaseURL: "http://localhost:4711", Redis: server.Addr, Revalidate: revalidate,
	}
	a := &app{t: t, origin: in.BaseURL, hub: hub}
	var transports [2]*http.Transport
	for i := range transports {
		addr := startInstance(t, in)
		transports[i] = &http.Transport{MaxIdleConnsPerHost: 16, DialContext: func(ctx context.Context, network, to string) (net.Conn, error) {
			if to == "localhost:4711" {
				to = addr
			}
			return new(net.Dialer).DialContext(ctx, network, to)
		}}
		t.Cleanup(transports[i].CloseIdleConnections)
	}
	browserAt := func(i int) *browser {
		jar, err := cookiejar.New(nil)
		if err != nil {
			t.Fatal(err)
		}
		return &browser{app: a, client: &http.Client{Transport: transports[i%2], Jar: jar}}
	}
	// all does something 16 at a time, on both instances.
	all := func(do func(i int)) {
		var next atomic.Int64
		var wg sync.WaitGroup
		for range 16 {
			wg.Go(func() {
				for i := int(next.Add(1) - 1); i < sessions; i = int(next.Add(1) - 1) {
					do(i)
				}
			})
		}
		wg.Wait()
	}
	browsers := make([]*browser, sessions)
	all(func(i int) {
		browsers[i] = browserAt(i)
		browsers[i].signIn("/dashboard/", idxtest.Grace)
	})
	uid := hub.User(idxtest.Grace.Email).UID
	calls := func() int { return hub.Count("GET /identity/v2/manage/account/" + uid) }
	view := func(path string) (shown int) {
		var n atomic.Int64
		all(func(i int) {
			other := &browser{app: a, client: &http.Client{Transport: transports[(i+1)%2], Jar: browsers[i].client.Jar, CheckRedirect: stay}}
			if other.do(other.request("GET", path)).StatusCode == http.StatusOK {
				n.Add(1)
			}
		})
		return int(n.Load())
	}
	until := func(what string, limit time.Duration, done func() bool) {
		t.Helper()
		start, before := time.Now(), calls()
		for !done() {
			if time.Since(start) > limit {
				t.Fatalf("%s: not within %v", what, limit)
			}
		}
		took, n := time.Since(start), calls()-before
		if most := 2 + int(took/revalidate); n > most {
			t.Errorf("%s: %d sessions made %d calls in %v, want at most %d", what, sessions, n, took, most)
		}
		t.Logf("%s: %d calls in %v", what, n, took.Round(time.Millisecond))
	}
	const slack = time.Minute // for slow machines
	hub.UpdateUser(idxtest.Grace.Email, func(u *idxtest.User) { u.Roles = []string{"admin"} })
	until("everybody has the new role", revalidate+slack, func() bool { return view("/admin") == sessions })
	hub.UpdateUser(idxtest.Grace.Email, func(u *idxtest.User) { u.Blocked = true })
	until("everybody is out", revalidate+slack, func() bool { return view("/dashboard/") == 0 })
}
