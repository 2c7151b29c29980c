package session_test

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/idxauth/idxauth/internal/redistest"
	"github.com/idxauth/idxauth/session"
)

// trips counts round trips: a pipeline is one.
type trips struct {
	mu   sync.Mutex
	seen []string
}

func watch(server hasClient) *trips {
	w := &trips{}
	server.Client().AddHook(w)
	return w
}

func (w *trips) take() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	seen := w.seen
	w.seen = nil
	return seen
}

func (w *trips) note(names string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch names {
	case "info", "hello", "client+client": // about Redis' settings, and of a new connection
		return
	}
	w.seen = append(w.seen, names)
}

func (w *trips) DialHook(next redis.DialHook) redis.DialHook { return next }

func (w *trips) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		w.note(cmd.Name())
		return next(ctx, cmd)
	}
}

func (w *trips) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		var names []string
		for _, cmd := range cmds {
			names = append(names, cmd.Name())
		}
		w.note(strings.Join(names, "+"))
		return next(ctx, cmds)
	}
}

func cookieOf(r *http.Request) string { return r.Cookies()[0].Value }

func wantTrips(t *testing.T, w *trips, what string, want ...string) {
	t.Helper()
	if got := w.take(); !slices.Equal(got, want) {
		t.Errorf("%s: round trips %q, want %q", what, got, want)
	}
}

func TestRoundTrips(t *testing.T) {
	ctx := t.Context()
	server, m := newRedis(t, session.Config{MaxPerUser: 5})
	// Once, Redis has to be told what the scripts are.
	warm, r := signIn(t, m, "ada")
	mustPut(t, in(t, m, r), "k", 1)
	m.List(ctx, "ada")
	m.End(ctx, warm)
	m.RevokeUser(ctx, "ada", nil)
	m.Swap(ctx, "n", nil, nil, 0)

	w := watch(server)
	_, r = signIn(t, m, "ada")
	wantTrips(t, w, "Start", "evalsha")
	s := mustLoad(t, m, r)
	wantTrips(t, w, "Load", "get")
	mustPut(t, session.NewContext(ctx, s), "k", 1)
	wantTrips(t, w, "Put", "evalsha")
	next, err := m.Start(ctx, httptest.NewRecorder(), session.NewSession{UserID: "ada", Replaces: s})
	if err != nil {
		t.Fatal(err)
	}
	wantTrips(t, w, "Start with Replaces", "evalsha", "evalsha")
	m.List(ctx, "ada")
	wantTrips(t, w, "List", "evalsha")
	m.Claim(ctx, "n", []byte("v"), time.Minute)
	wantTrips(t, w, "Claim", "set")
	m.Claim(ctx, "n", []byte("v"), time.Minute)
	wantTrips(t, w, "Claim of what is taken", "set", "get")
	m.Swap(ctx, "n", []byte("v"), []byte("w"), time.Minute)
	wantTrips(t, w, "Swap", "evalsha")
	m.End(ctx, next)
	wantTrips(t, w, "End", "evalsha")
	m.RevokeUser(ctx, "ada", nil)
	wantTrips(t, w, "RevokeUser", "evalsha")
	m.Ping(ctx)
	wantTrips(t, w, "Ping", "ping")
}

// twice sends every command again, as go-redis does when an answer is lost.
type twice struct{}

func (twice) DialHook(next redis.DialHook) redis.DialHook { return next }

func (twice) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if err := next(ctx, cmd); err != nil && strings.HasPrefix(err.Error(), "NOSCRIPT") {
			return err
		}
		return next(ctx, cmd)
	}
}

func (twice) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func TestWritesMayBeRepeated(t *testing.T) {
	ctx := t.Context()
	server, m := newRedis(t, session.Config{MaxPerUser: 1})
	server.Client().AddHook(twice{})
	s, r := signInFrom(t, m, "ada", firefox)
	mustPut(t, in(t, m, r), "k", 1)
	m.MarkUser(ctx, "ada")
	mustPut(t, in(t, m, r), "k", 2)
	wantValue(t, in(t, m, r), "k", 2)
	if !mustLoad(t, m, r).Marked() || onlyInfo(t, ctx, m, "ada").Device != firefox {
		t.Error("a repeated write has lost the mark or the device")
	}
	for _, want := range []string{"", "v"} {
		held, err := m.Claim(ctx, "n", []byte("v"), time.Minute)
		if string(held) != want || err != nil {
			t.Errorf("Claim: held %q, %v, want %q", held, err, want)
		}
	}
	for _, want := range []bool{true, false} {
		swapped, err := m.Swap(ctx, "n", []byte("v"), []byte("w"), time.Minute)
		if swapped != want || err != nil {
			t.Errorf("Swap: %v, %v, want %v", swapped, err, want)
		}
	}
	if err := m.End(ctx, s); err != nil {
		t.Errorf("End: %v", err)
	}
	wantStranger(t, m, r)
}

func TestTouchIsOneRoundTrip(t *testing.T) {
	server, m := newRedis(t, session.Config{Idle: time.Hour, TouchEvery: 50 * time.Millisecond})
	_, r := signIn(t, m, "ada")
	w := watch(server)
	redistest.Eventually(t, "a touch", func() bool {
		mustLoad(t, m, r)
		return slices.Contains(w.take(), "eval")
	})
	wantExpiries(t, server, 7*24*time.Hour)
}

// What Redis holds opens no session and tells nobody's name.
func TestRedisHoldsNoSecrets(t *testing.T) {
	ctx := t.Context()
	server, m := newRedis(t, session.Config{})
	var secrets []string
	for i := range 100 {
		user := fmt.Sprintf("uid-%08d", i)
		w := httptest.NewRecorder()
		draft := m.Draft(ctx)
		mustPut(t, draft, "cart-key", fmt.Sprintf("cart value %d", i))
		if _, err := m.Start(draft, w, session.NewSession{
			UserID: user, Data: fmt.Sprintf("user%d@example.com Ada Lovelace", i), Device: firefox,
		}); err != nil {
			t.Fatal(err)
		}
		token := w.Result().Cookies()[0].Value[2:]
		raw, err := base64.RawURLEncoding.DecodeString(token)
		if err != nil {
			t.Fatal(err)
		}
		// None so short that it could stand there by chance.
		secrets = append(secrets, user, token, string(raw[:8]), hex.EncodeToString(raw[:8]), "example.com", "Lovelace", "cart-key", "cart value", "Firefox", "192.0.2")
	}
	kept := 0
	for _, key := range server.Client().Keys(ctx, "*").Val() {
		dump := server.Client().Dump(ctx, key).Val()
		value, _ := server.Client().Get(ctx, key).Result() // of an index, an error
		members := server.Client().ZRange(ctx, key, 0, -1).Val()
		for _, secret := range secrets {
			if strings.Contains(key+dump+value+strings.Join(members, ""), secret) {
				t.Errorf("key %q holds %q", key, secret)
			}
		}
		if !strings.HasPrefix(key, "app:s:{") && !strings.HasPrefix(key, "app:u:{") {
			t.Errorf("key %q is outside the namespace", key)
		}
		kept++
	}
	if kept != 200 {
		t.Errorf("%d keys, want 200", kept)
	}
	wantExpiries(t, server, 7*24*time.Hour)
}

// Who can write to Redis can end sessions, but not swap, forge or prolong them.
func TestTamperedRecords(t *testing.T) {
	ctx := t.Context()
	server, m := newRedis(t, session.Config{})
	for _, tt := range []struct {
		name   string
		tamper func(mine, other string)
	}{
		{"swapped", func(mine, other string) {
			a, b := server.Client().Get(ctx, mine).Val(), server.Client().Get(ctx, other).Val()
			server.Client().Set(ctx, mine, b, time.Hour)
			server.Client().Set(ctx, other, a, time.Hour)
		}},
		{"one bit", func(mine, other string) {
			for _, key := range []string{mine, other} {
				b := []byte(server.Client().Get(ctx, key).Val())
				b[len(b)/2] ^= 1
				server.Client().Set(ctx, key, b, time.Hour)
			}
		}},
		{"truncated", func(mine, other string) {
			for _, key := range []string{mine, other} {
				b := server.Client().Get(ctx, key).Val()
				server.Client().Set(ctx, key, b[:len(b)-1], time.Hour)
			}
		}},
		{"empty", func(mine, other string) {
			server.Client().Set(ctx, mine, "", time.Hour)
			server.Client().Set(ctx, other, "", time.Hour)
		}},
		{"huge", func(mine, other string) {
			server.Client().Set(ctx, mine, strings.Repeat("x", 1<<20), time.Hour)
			server.Client().Set(ctx, other, strings.Repeat("x", 1<<20), time.Hour)
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			server.Client().FlushAll(ctx)
			s1, r1 := signIn(t, m, "ada")
			s2, r2 := signIn(t, m, "bob")
			mine, other := recordKey(r1, s1), recordKey(r2, s2)
			if n := server.Client().Exists(ctx, mine, other).Val(); n != 2 {
				t.Fatalf("%d records under %q and %q", n, mine, other)
			}
			tt.tamper(mine, other)
			wantStranger(t, m, r1)
			wantStranger(t, m, r2)
		})
	}
}

func recordKey(r *http.Request, s *session.Session) string {
	id, _ := base64.RawURLEncoding.DecodeString(s.ID())
	return "app:s:{" + cookieOf(r)[:2] + "}:" + string(id)
}

func TestRecordOfAnotherTypeIsNoVerdict(t *testing.T) {
	ctx := t.Context()
	server, m := newRedis(t, session.Config{})
	s, r := signIn(t, m, "ada")
	server.Client().Del(ctx, recordKey(r, s))
	server.Client().LPush(ctx, recordKey(r, s), "x")
	_, err := m.Load(r)
	wantError(t, "Load", err, session.ErrUnavailable)
}

func TestTwoApplicationsOnOneRedis(t *testing.T) {
	ctx := t.Context()
	server, m := newRedis(t, session.Config{})
	other := newManager(t, session.NewRedis(server.Client(), patientStore), session.Config{Name: "app2"})
	prefixed := newManager(t, session.NewRedis(server.Client(), &session.RedisOptions{Prefix: "x:", Timeout: patientStore.Timeout}), session.Config{})
	_, r := signIn(t, m, "ada")
	moved := requestWith(&http.Cookie{Name: other.CookieName(), Value: cookieOf(r)})
	wantStranger(t, other, moved)
	wantStranger(t, prefixed, r)
	for _, m := range []*session.Manager{other, prefixed} {
		if n, err := m.RevokeUser(ctx, "ada", nil); n != 0 || err != nil {
			t.Errorf("RevokeUser: got %d, %v", n, err)
		}
		if infos, err := m.List(ctx, "ada"); len(infos) > 0 || err != nil {
			t.Errorf("List: got %v, %v", infos, err)
		}
	}
	mustLoad(t, m, r)
}

// Every answer comes in time while Redis hangs, whatever the client's settings.
// It counts goroutines, so it runs alone.
func TestPausedRedis(t *testing.T) {
	for name, open := range map[string]func(addr string) redis.UniversalClient{
		"defaults": func(addr string) redis.UniversalClient {
			return redis.NewClient(&redis.Options{Addr: addr})
		},
		"ParseRedisURL": func(addr string) redis.UniversalClient {
			o, err := session.ParseRedisURL("redis://" + addr)
			if err != nil {
				t.Fatal(err)
			}
			return redis.NewUniversalClient(o)
		},
	} {
		t.Run(name, func(t *testing.T) {
			server := redistest.Start(t)
			client := open(server.Addr)
			defer client.Close()
			m := newManager(t, session.NewRedis(client, nil), session.Config{})
			s, r := signIn(t, m, "ada")
			ctx := in(t, m, r)
			mustPut(t, ctx, "k", 1)
			before := runtime.NumGoroutine()
			server.Pause()
			acts := map[string]func() error{
				"Load":  func() error { _, err := m.Load(r); return err },
				"Put":   func() error { return session.Put(ctx, "k", 2) },
				"End":   func() error { return m.End(ctx, s) },
				"Claim": func() error { _, err := m.Claim(ctx, "n", nil, time.Minute); return err },
				"Swap":  func() error { _, err := m.Swap(ctx, "n", nil, nil, 0); return err },
				"Ping":  func() error { return m.Ping(ctx) },
				"Start": func() error {
					w := httptest.NewRecorder()
					_, err := m.Start(ctx, w, session.NewSession{UserID: "ada"})
					if len(w.Header()) > 0 {
						t.Errorf("Start: header %v", w.Header())
					}
					return err
				},
			}
			var wg sync.WaitGroup
			for range 20 {
				for what, act := range acts {
					wg.Go(func() {
						start := time.Now()
						err := act()
						wantError(t, what, err, session.ErrUnavailable)
						if took := time.Since(start); took > 5*time.Second { // go-redis alone would take ten and more
							t.Errorf("%s took %v", what, took)
						}
					})
				}
			}
			wg.Wait()
			server.Resume()
			redistest.Eventually(t, "Redis answers again", func() bool {
				_, err := m.Load(r)
				return err == nil || errors.Is(err, session.ErrNotFound) // End may have arrived
			})
			redistest.Eventually(t, "those left waiting behind are gone", func() bool {
				return runtime.NumGoroutine() <= before+10
			})
		})
	}
}

func TestRefusedConnection(t *testing.T) {
	client := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1"}) // nobody's, and nobody is given it meanwhile
	defer client.Close()
	m := newManager(t, session.NewRedis(client, nil), session.Config{})
	start := time.Now()
	_, err := m.Start(t.Context(), httptest.NewRecorder(), session.NewSession{UserID: "ada"})
	wantError(t, "Start", err, session.ErrUnavailable)
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("took %v", took)
	}
}

func TestFullRedis(t *testing.T) {
	server, m := newRedis(t, session.Config{})
	if !server.Real() {
		t.Skip("redis-server is not installed: a Redis without memory was not tested")
	}
	s, r := signIn(t, m, "ada")
	ctx := in(t, m, r)
	server.Client().ConfigSet(t.Context(), "maxmemory", "1")
	w := httptest.NewRecorder()
	_, err := m.Start(t.Context(), w, session.NewSession{UserID: "bob"})
	wantError(t, "Start", err, session.ErrUnavailable)
	if len(w.Header()) > 0 {
		t.Errorf("header %v", w.Header())
	}
	wantError(t, "Put", session.Put(ctx, "k", 1), session.ErrUnavailable)
	mustLoad(t, m, r)
	if err := m.End(t.Context(), s); err != nil {
		t.Errorf("End: %v", err)
	}
	wantStranger(t, m, r)
}

func TestReadOnlyRedis(t *testing.T) {
	server, m := newRedis(t, session.Config{})
	if !server.Real() {
		t.Skip("redis-server is not installed: a demoted master was not tested")
	}
	s, r := signIn(t, m, "ada")
	server.Client().Do(t.Context(), "REPLICAOF", "127.0.0.1", "1")
	_, err := m.Start(t.Context(), httptest.NewRecorder(), session.NewSession{UserID: "bob"})
	wantError(t, "Start", err, session.ErrUnavailable)
	wantError(t, "End", m.End(t.Context(), s), session.ErrUnavailable)
	mustLoad(t, m, r)
}

func TestClusterKeepsSessionAndIndexTogether(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartCluster(t)
	m := newManager(t, session.NewRedis(openCluster(t, cluster), patientStore), session.Config{MaxPerUser: 5})
	var wg sync.WaitGroup
	for user := range 20 {
		wg.Go(func() {
			for range 20 {
				signIn(t, m, fmt.Sprint("user", user))
			}
			if infos, err := m.List(t.Context(), fmt.Sprint("user", user)); len(infos) != 5 || err != nil {
				t.Errorf("List: got %d, %v", len(infos), err)
			}
			if n, err := m.RevokeUser(t.Context(), fmt.Sprint("user", user), nil); n != 5 || err != nil {
				t.Errorf("RevokeUser: got %d, %v", n, err)
			}
		})
	}
	wg.Wait()
	for _, node := range cluster.Nodes {
		wantNoRecords(t, node)
	}
}

// During a failover nobody knows; afterwards everybody is still signed in.
func TestFailover(t *testing.T) {
	t.Parallel()
	sentinel := redistest.StartSentinel(t)
	options, err := session.ParseRedisURL("redis+sentinel://" + strings.Join(sentinel.Addrs, ",") + "/" + redistest.MasterName)
	if err != nil {
		t.Fatal(err)
	}
	client := redis.NewUniversalClient(options)
	defer client.Close()
	m := newManager(t, session.NewRedis(client, nil), session.Config{})
	_, r := signIn(t, m, "ada")
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			if _, err := m.Load(r); err != nil && !errors.Is(err, session.ErrUnavailable) {
				t.Errorf("Load: %v", err)
				return
			}
		}
	})
	sentinel.Failover()
	redistest.Eventually(t, "the session is known again", func() bool {
		_, err := m.Load(r)
		return err == nil
	})
	close(stop)
	wg.Wait()
	_, r2 := signIn(t, m, "bob")
	mustLoad(t, m, r2)
}

// A record whose expiry was taken off its key ends all the same.
func TestRecordWithoutExpiry(t *testing.T) {
	ctx := t.Context()
	server, m := newRedis(t, session.Config{NearCache: session.NearCache{Off: true}})
	s, r := signIn(t, m, "ada")
	key := recordKey(r, s)
	if !server.Client().Persist(ctx, key).Val() {
		t.Fatal("there was no expiry")
	}
	var stamp [8]byte // as the record begins: six bytes of milliseconds
	binary.BigEndian.PutUint64(stamp[:], uint64(time.Now().Add(-2*time.Minute).UnixMilli()))
	server.Client().SetRange(ctx, key, 0, string(stamp[2:]))
	wantStranger(t, m, r)
}
