package session_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/idxauth/idxauth/internal/redistest"
	"github.com/idxauth/idxauth/session"
)

// The tests of this file are what scs with its Redis store does wrong under a login
// middleware, one test a fault.

func newRedis(t testing.TB, cfg session.Config) (redisServer, *session.Manager) {
	t.Helper()
	server := openRedis(t)
	return server, newManager(t, session.NewRedis(server.Client(), patientStore), cfg)
}

// wantNoRecords checks that nothing is left of any session.
func wantNoRecords(t *testing.T, server hasClient) {
	t.Helper()
	// Redis sees a deadline pass some milliseconds after we do.
	redistest.Eventually(t, "no keys are left", func() bool {
		keys, err := server.Client().Keys(t.Context(), "*").Result()
		return len(keys) == 0 && err == nil
	})
}

// wantExpiries checks that every key will go, within the absolute limit.
func wantExpiries(t *testing.T, server hasClient, absolute time.Duration) {
	t.Helper()
	for _, key := range server.Client().Keys(t.Context(), "*").Val() {
		ttl := server.Client().PTTL(t.Context(), key).Val()
		if ttl == -2 { // gone by now
			continue
		}
		if ttl < 0 || ttl > absolute {
			t.Errorf("key %q has TTL %v, want one of at most %v", key, ttl, absolute)
		}
	}
}

func TestLateWriteDoesNotMakeASessionImmortal(t *testing.T) {
	server, m := newRedis(t, session.Config{Absolute: 5 * time.Second, Idle: -1})
	_, r := signIn(t, m, "ada")
	ctx := in(t, m, r)
	redistest.Eventually(t, "the deadline has passed", func() bool {
		_, err := m.Load(r)
		return errors.Is(err, session.ErrNotFound)
	})
	wantError(t, "Put", session.Put(ctx, "k", 1), session.ErrRevoked)
	wantNoRecords(t, server)
}

func TestLateReadDoesNotMakeASessionImmortal(t *testing.T) {
	server, m := newRedis(t, session.Config{Absolute: 2 * time.Second, Idle: 2 * time.Second, TouchEvery: time.Millisecond})
	_, r := signIn(t, m, "ada")
	redistest.Eventually(t, "the session in use ends", func() bool {
		wantExpiries(t, server, 2*time.Second)
		_, err := m.Load(r)
		return errors.Is(err, session.ErrNotFound)
	})
	m.Close()                // waits for touches
	wantNoRecords(t, server) // the index neither
}

func TestLogoutWhileAnotherRequestRuns(t *testing.T) {
	server, m := newRedis(t, session.Config{TouchEvery: time.Millisecond})
	s, r := signIn(t, m, "ada")
	writer := in(t, m, r)
	mustPut(t, writer, "k", 1)
	reader := in(t, m, r)
	if err := m.End(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	wantError(t, "Put", session.Put(writer, "k", 2), session.ErrRevoked)
	wantValue(t, reader, "k", 1) // of when it was read, which is all it knows
	m.Close()
	wantStranger(t, m, r)
	wantNoRecords(t, server)
}

func TestHijackedConnectionThatOutlivesTheSession(t *testing.T) {
	server, m := newRedis(t, session.Config{})
	s, r := signIn(t, m, "ada")
	done := make(chan error)
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx := in(t, m, r)
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Errorf("Hijack: %v", err)
			return
		}
		defer conn.Close()
		rw.WriteString("hello\n")
		rw.Flush()
		rw.ReadString('\n') // until the client says more
		done <- session.Put(ctx, "k", 1)
	}))
	defer app.Close()
	conn, err := net.Dial("tcp", app.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: x\r\nCookie: %s\r\n\r\n", r.Header.Get("Cookie"))
	if _, err := bufio.NewReader(conn).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	if err := m.End(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(conn, "bye")
	wantError(t, "Put", <-done, session.ErrRevoked)
	wantNoRecords(t, server)
}

func TestParallelWritersOfDifferentKeys(t *testing.T) {
	_, m := newRedis(t, session.Config{})
	_, r := signIn(t, m, "ada")
	for round := range 10 {
		first, second := in(t, m, r), in(t, m, r)
		var wg sync.WaitGroup
		wg.Go(func() { mustPut(t, first, fmt.Sprint("a", round), round) })
		wg.Go(func() { mustPut(t, second, fmt.Sprint("b", round), round) })
		wg.Wait()
		ctx := in(t, m, r)
		wantValue(t, ctx, fmt.Sprint("a", round), round)
		wantValue(t, ctx, fmt.Sprint("b", round), round)
	}
}

// login answers with do between the start of a session and the page.
func login(t *testing.T, m *session.Manager, before, after func(w http.ResponseWriter)) *http.Request {
	t.Helper()
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		before(w)
		s, err := m.Start(r.Context(), w, session.NewSession{UserID: "ada"})
		if err != nil {
			t.Errorf("Start: %v", err)
			return
		}
		after(w)
		mustPut(t, session.NewContext(r.Context(), s), "late", true)
		io.WriteString(w, "page")
	}))
	defer app.Close()
	resp, err := app.Client().Get(app.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); string(body) != "page" {
		t.Errorf("body %q, %v", body, err)
	}
	return requestWith(resp.Cookies()...)
}

func nothing(http.ResponseWriter) {}

func TestFlushBeforeTheFirstWrite(t *testing.T) {
	_, m := newRedis(t, session.Config{})
	r := login(t, m, nothing, func(w http.ResponseWriter) {
		if err := http.NewResponseController(w).Flush(); err != nil {
			t.Errorf("Flush: %v", err)
		}
	})
	wantValue(t, in(t, m, r), "late", true)
}

func TestEarlyHintsBeforeLogin(t *testing.T) {
	_, m := newRedis(t, session.Config{})
	r := login(t, m, func(w http.ResponseWriter) { w.WriteHeader(http.StatusEarlyHints) }, nothing)
	wantValue(t, in(t, m, r), "late", true)
}

func TestVisitorWhoLeaves(t *testing.T) {
	server, m := newRedis(t, session.Config{})
	s, r := signIn(t, m, "ada")
	gone, cancel := context.WithCancel(in(t, m, r))
	cancel()
	mustPut(t, gone, "k", 1)
	wantValue(t, in(t, m, r), "k", 1)
	if _, err := m.Update(gone, s, func(string) (string, error) { return "new", nil }); err != nil {
		t.Errorf("Update: %v", err)
	}
	w := httptest.NewRecorder()
	if _, err := m.Start(gone, w, session.NewSession{UserID: "ada", Replaces: s}); err != nil {
		t.Errorf("Start: %v", err)
	}
	wantStranger(t, m, r)
	left := requestWith(w.Result().Cookies()...)
	if _, err := m.RevokeUser(gone, "ada", nil); err != nil {
		t.Errorf("RevokeUser: %v", err)
	}
	wantStranger(t, m, left)
	wantNoRecords(t, server)

	// Reads end with their request, and that is no verdict.
	_, unread := signIn(t, m, "ada") // which no near cache knows
	_, err := m.Load(unread.WithContext(gone))
	wantError(t, "Load", err, context.Canceled)
	wantError(t, "Load", err, session.ErrUnavailable)
}

func TestStoreThatFailsIsSeenBeforeThePage(t *testing.T) {
	server, m := newRedis(t, session.Config{})
	_, r := signIn(t, m, "ada")
	ctx := in(t, m, r)
	server.Stop()
	wantError(t, "Put", session.Put(ctx, "k", 1), session.ErrUnavailable)
	wantNoValue(t, ctx, "k")
	server.Restart()
	redistest.Eventually(t, "Redis is back", func() bool { return session.Put(ctx, "k", 1) == nil })
	wantValue(t, in(t, m, r), "k", 1)
}

// The record is no session and no failure, on /logout neither.
func TestUndecodableRecord(t *testing.T) {
	server, m := newRedis(t, session.Config{})
	s, r := signIn(t, m, "ada")
	ctx := t.Context()
	record := server.Client().Keys(ctx, "*:s:*").Val()[0]
	if err := server.Client().Set(ctx, record, "garbage", time.Hour).Err(); err != nil {
		t.Fatal(err)
	}
	wantStranger(t, m, r)
	if err := m.End(ctx, s); err != nil {
		t.Errorf("End: %v", err)
	}
	wantNoRecords(t, server)
}

func TestPanicAfterPut(t *testing.T) {
	_, m := newRedis(t, session.Config{})
	_, r := signIn(t, m, "ada")
	func() {
		defer func() { recover() }()
		mustPut(t, in(t, m, r), "k", 1)
		panic("handler")
	}()
	wantValue(t, in(t, m, r), "k", 1)
}

func TestGarbageCookieReachesNoStore(t *testing.T) {
	server, m := newRedis(t, session.Config{})
	trips := watch(server)
	r := httptest.NewRequest("GET", "/", nil)
	r.AddCookie(&http.Cookie{Name: m.CookieName(), Value: strings.Repeat("x", 8192)})
	wantStranger(t, m, r)
	if got := trips.take(); len(got) > 0 {
		t.Errorf("round trips %v, want none", got)
	}
}

// The response writer is the server's own: there is nothing to wrap it for.
func TestResponseWriterStaysWhole(t *testing.T) {
	_, m := newRedis(t, session.Config{})
	_, r := signIn(t, m, "ada")
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r = r.WithContext(in(t, m, r))
		if _, ok := w.(io.ReaderFrom); !ok {
			t.Error("no io.ReaderFrom")
		}
		io.Copy(w, strings.NewReader(strings.Repeat("x", 1<<20)))
		mustPut(t, r.Context(), "served", true)
	}))
	defer app.Close()
	req, _ := http.NewRequestWithContext(t.Context(), "GET", app.URL, nil)
	req.Header.Set("Cookie", r.Header.Get("Cookie"))
	resp, err := app.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if n, err := io.Copy(io.Discard, resp.Body); n != 1<<20 || err != nil {
		t.Errorf("got %d bytes, %v", n, err)
	}
	wantValue(t, in(t, m, r), "served", true)
}

// Whatever happens at once: an ended session stays ended, and every key goes.
func TestInterleavings(t *testing.T) {
	t.Parallel()
	server, m := newRedis(t, session.Config{TouchEvery: time.Millisecond, MaxPerUser: 3})
	rounds := 1000
	if testing.Short() {
		rounds = 100
	}
	for round := range rounds {
		user := fmt.Sprint("user", round%7)
		s, r := signInFrom(t, m, user, session.Device{Name: strings.Repeat("n", round%130)})
		ctx := in(t, m, r)
		acts := []func() error{
			func() error { return session.Put(ctx, "a", round) },
			func() error { return session.Put(session.NewContext(ctx, s), "b", round) },
			func() error { _, err := m.Load(r); return err },
			func() error {
				_, err := m.Update(ctx, s, func(string) (string, error) { return "new", nil })
				return err
			},
			func() error { return m.End(ctx, s) },
			func() error { _, err := m.MarkUser(ctx, user); return err },
			func() error { _, err := m.List(ctx, user); return err },
		}
		if round%3 == 0 {
			acts[4] = func() error { _, err := m.RevokeUser(ctx, user, nil); return err }
		}
		rand.Shuffle(len(acts), func(i, j int) { acts[i], acts[j] = acts[j], acts[i] })
		var wg sync.WaitGroup
		for _, act := range acts {
			wg.Go(func() {
				if err := act(); err != nil && !errors.Is(err, session.ErrNotFound) && !errors.Is(err, session.ErrRevoked) {
					t.Errorf("round %d: %v", round, err)
				}
			})
		}
		wg.Wait()
		wantStranger(t, m, r)
	}
	m.Close()
	wantExpiries(t, server, 7*24*time.Hour)
	for user := range 7 {
		m.RevokeUser(t.Context(), fmt.Sprint("user", user), nil)
	}
	wantNoRecords(t, server)
}
