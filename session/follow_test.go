package session_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/idxauth/idxauth/internal/redistest"
	"github.com/idxauth/idxauth/session"
)

// follow follows the session of r until the end of the test.
func follow(t testing.TB, m *session.Manager, r *http.Request) context.Context {
	t.Helper()
	ctx, stop := session.Follow(in(t, m, r))
	t.Cleanup(stop)
	return ctx
}

// wantEnd waits until ctx ends, and returns how long that took.
func wantEnd(t testing.TB, ctx context.Context, cause error) time.Duration {
	t.Helper()
	start := time.Now()
	select {
	case <-ctx.Done():
		wantError(t, "Cause", context.Cause(ctx), cause)
	case <-time.After(20 * time.Second):
		t.Fatal("the context does not end")
	}
	return time.Since(start)
}

func wantLive(t testing.TB, ctx context.Context) {
	t.Helper()
	if ctx.Err() != nil {
		t.Errorf("the context has ended: %v", context.Cause(ctx))
	}
}

func TestFollowInMemory(t *testing.T) {
	for what, end := range map[string]func(m *session.Manager, s *session.Session){
		"End":        func(m *session.Manager, s *session.Session) { m.End(t.Context(), s) },
		"Revoke":     func(m *session.Manager, s *session.Session) { m.Revoke(t.Context(), s.UserID(), s.ID()) },
		"RevokeUser": func(m *session.Manager, s *session.Session) { m.RevokeUser(t.Context(), s.UserID(), nil) },
		"Purge":      func(m *session.Manager, s *session.Session) { m.Purge(t.Context(), s.UserID()) },
		"MaxPerUser": func(m *session.Manager, s *session.Session) { signIn(t, m, s.UserID()); signIn(t, m, s.UserID()) },
	} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := session.NewMemory()
				here := newManager(t, store, session.Config{MaxPerUser: 2})
				there := newManager(t, store, session.Config{MaxPerUser: 2})
				s, r := signIn(t, here, "ada")
				_, bob := signIn(t, here, "bob")
				first, second, other := follow(t, here, r), follow(t, here, r), follow(t, here, bob)
				mustPut(t, in(t, here, r), "k", 1)
				time.Sleep(time.Hour)
				wantLive(t, first)
				time.Sleep(time.Second) // so that the one to end has the earliest deadline
				end(there, s)
				synctest.Wait()
				for _, ctx := range []context.Context{first, second} {
					wantError(t, "Cause", context.Cause(ctx), session.ErrRevoked)
				}
				wantLive(t, other)
			})
		})
	}
}

func TestFollowUntilTheLimits(t *testing.T) {
	limits(t, session.Config{Idle: time.Hour, Absolute: 3 * time.Hour}, func(t *testing.T, _ *recorder, _ *session.Manager) {
		m := newManager(t, session.NewMemory(), session.Config{Idle: time.Hour, Absolute: 3 * time.Hour})
		_, r := signIn(t, m, "ada")
		start := time.Now()
		unused := follow(t, m, r) // to follow is no use
		wantEndAfter := func(what string, ctx context.Context, want time.Duration) {
			t.Helper()
			<-ctx.Done()
			wantError(t, what, context.Cause(ctx), session.ErrExpired)
			if took := time.Since(start); took < want || took > want+time.Millisecond {
				t.Errorf("%s: ended after %v, want %v", what, took, want)
			}
		}
		wantEndAfter("idle limit", unused, time.Hour)

		_, r = signIn(t, m, "ada")
		start = time.Now()
		used := follow(t, m, r)
		for range 6 {
			time.Sleep(25 * time.Minute)
			load(t, m, r)
			wantLive(t, used)
		}
		wantEndAfter("absolute limit", used, 3*time.Hour)
		wantStranger(t, m, r)
	})
}

// A store that says nothing ends nothing, but the deadline does.
func TestFollowDuringAnOutage(t *testing.T) {
	cfg := session.Config{Idle: time.Hour, Absolute: 3 * time.Hour}
	limits(t, cfg, func(t *testing.T, store *recorder, m *session.Manager) {
		s, r := signIn(t, m, "ada")
		_, idle := signIn(t, m, "bob")
		ctx, quiet := follow(t, m, r), follow(t, m, idle)
		store.fail("", errors.New("down"))
		m.End(t.Context(), s)
		time.Sleep(30 * time.Minute)
		wantLive(t, ctx)
		store.fail("", nil)
		m.End(t.Context(), s)
		synctest.Wait()
		wantError(t, "ended when the store was back", context.Cause(ctx), session.ErrRevoked)

		store.fail("", errors.New("down"))
		time.Sleep(time.Hour) // another instance may have seen it used
		wantLive(t, quiet)
		time.Sleep(90*time.Minute - time.Second)
		wantLive(t, quiet)
		time.Sleep(time.Second)
		synctest.Wait()
		wantError(t, "at the deadline", context.Cause(quiet), session.ErrExpired)
	})
}

// A store that tells nothing is asked, about each session once, while it is followed.
func TestFollowAsks(t *testing.T) {
	limits(t, session.Config{}, func(t *testing.T, store *recorder, m *session.Manager) {
		_, r := signIn(t, m, "ada")
		other := newManager(t, store, session.Config{})
		s := mustLoad(t, other, r)
		ctx1, stop1 := session.Follow(in(t, m, r))
		ctx2, stop2 := session.Follow(in(t, m, r))
		synctest.Wait()
		store.take()
		time.Sleep(time.Minute)
		if n := count(store.take(), "Load"); n < 20 || n > 30 {
			t.Errorf("asked %d times in a minute, want 30", n)
		}
		stop1()
		wantError(t, "stopped", context.Cause(ctx1), context.Canceled)
		other.End(t.Context(), s)
		wantLive(t, ctx2)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		wantError(t, "Cause", context.Cause(ctx2), session.ErrRevoked)
		stop2()
		store.take()
		time.Sleep(time.Minute)
		if calls := store.take(); len(calls) > 0 {
			t.Errorf("asked %q for nobody", calls)
		}
	})
}

func TestFollowEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // which ends with all goroutines only
		m := newManager(t, session.NewMemory(), session.Config{})
		_, r := signIn(t, m, "ada")
		parent, leave := context.WithCancel(in(t, m, r))
		ctx, _ := session.Follow(parent)
		if session.FromContext(ctx) == nil {
			t.Error("the session is not in the context any more")
		}
		leave()
		synctest.Wait()
		wantError(t, "Cause", context.Cause(ctx), context.Canceled)
	})
}

func TestFollowOfNobody(t *testing.T) {
	for what, ctx := range map[string]context.Context{
		"no session": t.Context(),
		"detached":   session.NewContext(t.Context(), session.Detached("ada")),
	} {
		ctx, stop := session.Follow(ctx)
		wantLive(t, ctx)
		stop()
		wantError(t, what, context.Cause(ctx), context.Canceled)
	}
}

func TestCloseEndsWhatFollows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newManager(t, session.NewMemory(), session.Config{})
		_, r := signIn(t, m, "ada")
		ctx := follow(t, m, r)
		m.Close()
		wantError(t, "Cause", context.Cause(ctx), session.ErrClosed)
		late := follow(t, m, r)
		wantError(t, "Cause of a late one", context.Cause(late), session.ErrClosed)
	})
}

// A session that ended between its request and Follow is noticed.
func TestFollowOfAnEndedSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newManager(t, session.NewMemory(), session.Config{})
		s, r := signIn(t, m, "ada")
		ctx := in(t, m, r)
		m.End(t.Context(), s)
		ctx, stop := session.Follow(ctx)
		defer stop()
		synctest.Wait()
		wantError(t, "Cause", context.Cause(ctx), session.ErrRevoked)
	})
}

// Whoever ends a session, those that follow it on another instance hear of it.
func TestFollowOnTheOtherInstance(t *testing.T) {
	server := startRedis(t)
	here, w := node(t, server.Addr, session.Config{MaxPerUser: 1, NearCache: longLease})
	there, _ := node(t, server.Addr, session.Config{MaxPerUser: 1})
	ctx := context.Background()
	for what, act := range map[string]func(s *session.Session, r *http.Request){
		"End":         func(s *session.Session, _ *http.Request) { there.End(ctx, s) },
		"Revoke":      func(s *session.Session, _ *http.Request) { there.Revoke(ctx, s.UserID(), s.ID()) },
		"RevokeUser":  func(s *session.Session, _ *http.Request) { there.RevokeUser(ctx, s.UserID(), nil) },
		"DEL by hand": func(s *session.Session, r *http.Request) { server.Client().Del(ctx, recordKey(r, s)) },
		"garbage": func(s *session.Session, r *http.Request) {
			server.Client().SetRange(ctx, recordKey(r, s), 30, "garbage")
		},
		"FLUSHALL":   func(*session.Session, *http.Request) { server.Client().FlushAll(ctx) },
		"MaxPerUser": func(s *session.Session, _ *http.Request) { signIn(t, there, s.UserID()) },
	} {
		t.Run(what, func(t *testing.T) {
			_, r := signIn(t, here, "ada of "+what)
			warm(t, here, w, r)
			var live context.Context
			stop := func() {}
			wantQuiet(t, w, "to follow a warm session", func() {
				stop() // or it is followed already
				warm(t, here, w, r)
				live, stop = session.Follow(in(t, here, r))
			})
			t.Cleanup(func() { stop() })
			s := mustLoad(t, there, r)
			mustPut(t, session.NewContext(ctx, s), "k", 1) // a change is no end
			redistest.Eventually(t, "the change was looked at", func() bool { return reads(w) > 0 })
			wantLive(t, live)
			act(s, r)
			wantEnd(t, live, session.ErrRevoked)
		})
	}
}

// What ends while the stream is interrupted is noticed once there is a new one, and
// what does not end goes on.
func TestFollowOverAnInterruptedStream(t *testing.T) {
	server := startRedis(t)
	here, w := node(t, server.Addr, session.Config{NearCache: longLease})
	s, r := signIn(t, here, "ada")
	_, other := signIn(t, here, "bob")
	warm(t, here, w, r)
	warm(t, here, w, other)
	ended, live := follow(t, here, r), follow(t, here, other)
	ctx := t.Context()
	server.Client().TxPipelined(ctx, func(p redis.Pipeliner) error {
		p.Do(ctx, "client", "kill", "type", "pubsub")
		p.Del(ctx, recordKey(r, s))
		return nil
	})
	wantEnd(t, ended, session.ErrRevoked)
	server.Restart()
	warm(t, here, w, other)
	wantLive(t, live)
	here.End(ctx, mustLoad(t, here, other))
	wantEnd(t, live, session.ErrRevoked)
}

// A Redis that is down ends nothing, however long the near cache's lease is over.
func TestFollowWhileRedisIsDown(t *testing.T) {
	server := startRedis(t)
	here, w := promptNode(t, server.Addr, session.Config{NearCache: session.NearCache{Lease: 500 * time.Millisecond}})
	there, _ := node(t, server.Addr, session.Config{})
	s, r := signIn(t, there, "ada")
	warm(t, here, w, r)
	live := follow(t, here, r)
	server.Stop()
	redistest.Eventually(t, "nobody knows", func() bool {
		_, err := here.Load(r)
		return errors.Is(err, session.ErrUnavailable)
	})
	wantLive(t, live)
	server.Restart()
	warm(t, here, w, r)
	wantLive(t, live)
	there.End(t.Context(), s)
	wantEnd(t, live, session.ErrRevoked)
}

// Without a stream, Redis is asked.
func TestFollowWithoutTheNearCache(t *testing.T) {
	server := redistest.Start(t)
	off := session.Config{NearCache: session.NearCache{Off: true}}
	here, _ := node(t, server.Addr, off)
	there, _ := node(t, server.Addr, off)
	_, r := signIn(t, here, "ada")
	live := follow(t, here, r)
	there.End(t.Context(), mustLoad(t, there, r))
	wantEnd(t, live, session.ErrRevoked)
	// On the same instance it does not wait for the next question, which is two seconds off.
	soonest := time.Hour
	for range 5 {
		s, r := signIn(t, here, "ada")
		live = follow(t, here, r)
		here.End(t.Context(), s)
		if soonest = min(soonest, wantEnd(t, live, session.ErrRevoked)); soonest < time.Second {
			return
		}
	}
	t.Errorf("on the same instance: ended after %v at the soonest", soonest)
}

func TestFollowOnACluster(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartCluster(t)
	open := func() (*session.Manager, *trips) {
		return node(t, strings.Join(cluster.Addrs(), ","), session.Config{NearCache: longLease})
	}
	here, w := open()
	there, _ := open()
	var live []context.Context
	for i := range 20 {
		_, r := signIn(t, here, fmt.Sprint("ada", i))
		warm(t, here, w, r)
		live = append(live, follow(t, here, r))
	}
	for i := range live {
		if n, err := there.RevokeUser(t.Context(), fmt.Sprint("ada", i), nil); n != 1 || err != nil {
			t.Errorf("RevokeUser: got %d, %v", n, err)
		}
		wantEnd(t, live[i], session.ErrRevoked)
	}
}

// A thousand that follow take one goroutine, and none when they have stopped.
func TestFollowersShareAGoroutine(t *testing.T) {
	server := startRedis(t)
	m, w := node(t, server.Addr, session.Config{})
	requests := make([]*http.Request, 1000)
	for i := range requests {
		_, requests[i] = signIn(t, m, fmt.Sprint("ada", i))
	}
	warm(t, m, w, requests[0])
	contexts := make([]context.Context, len(requests))
	for i, r := range requests {
		contexts[i] = in(t, m, r)
	}
	before := runtime.NumGoroutine()
	stops := make([]context.CancelFunc, len(requests))
	for i := range contexts {
		contexts[i], stops[i] = session.Follow(contexts[i])
	}
	redistest.Eventually(t, "1,000 follow", func() bool { return runtime.NumGoroutine() <= before+1 })
	if _, err := m.RevokeUser(t.Context(), "ada0", nil); err != nil {
		t.Error(err)
	}
	wantEnd(t, contexts[0], session.ErrRevoked)
	wantLive(t, contexts[1])
	var all sync.WaitGroup
	for _, stop := range stops {
		all.Go(stop)
	}
	all.Wait()
	redistest.Eventually(t, "nobody follows", func() bool { return runtime.NumGoroutine() <= before })
}
