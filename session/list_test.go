package session_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/idxauth/idxauth/internal/redistest"
	"github.com/idxauth/idxauth/session"
)

var firefox = session.Device{Name: "Firefox on Linux", Network: "192.0.2.0/24"}

// signInFrom starts a session on a device.
func signInFrom(t testing.TB, m *session.Manager, userID string, d session.Device) (*session.Session, *http.Request) {
	t.Helper()
	w := httptest.NewRecorder()
	s, err := m.Start(context.Background(), w, session.NewSession{UserID: userID, Data: "data of " + userID, Device: d})
	if err != nil {
		t.Fatal(err)
	}
	return s, requestWith(w.Result().Cookies()...)
}

// onlyInfo returns the list of a user with one session.
func onlyInfo(t testing.TB, ctx context.Context, m *session.Manager, userID string) session.Info {
	t.Helper()
	infos, err := m.List(ctx, userID)
	if len(infos) != 1 || err != nil {
		t.Fatalf("List: got %v, %v, want 1", infos, err)
	}
	return infos[0]
}

func TestListShowsDevices(t *testing.T) {
	limits(t, session.Config{Idle: time.Hour, Absolute: 3 * time.Hour}, func(t *testing.T, store *recorder, m *session.Manager) {
		start := time.Now()
		s, r := signInFrom(t, m, "ada", firefox)
		want := session.Info{
			ID: s.ID(), Device: firefox, Created: start, LastSeen: start,
			Expires: start.Add(time.Hour), Deadline: start.Add(3 * time.Hour),
		}
		if got := onlyInfo(t, t.Context(), m, "ada"); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("got  %+v\nwant %+v", got, want)
		}
		time.Sleep(40 * time.Minute)
		load(t, m, r)
		mustPut(t, in(t, m, r), "k", 1) // keeps the label
		time.Sleep(time.Minute)
		want.LastSeen, want.Expires, want.Current = start.Add(40*time.Minute), start.Add(100*time.Minute), true
		if got := onlyInfo(t, in(t, m, r), m, "ada"); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("got  %+v\nwant %+v", got, want)
		}
		// What was created under other limits was created when it was.
		other := newManager(t, store, session.Config{Idle: time.Hour, Absolute: 24 * time.Hour})
		if got := onlyInfo(t, t.Context(), other, "ada"); !got.Created.Equal(start) {
			t.Errorf("Created %v, want %v", got.Created, start)
		}
		// From here on the deadline is what bounds it: nothing is kept of its use.
		for range 3 {
			time.Sleep(30 * time.Minute)
			load(t, m, r)
		}
		if got := onlyInfo(t, t.Context(), m, "ada"); !got.LastSeen.IsZero() || !got.Expires.Equal(got.Deadline) {
			t.Errorf("got %+v, want LastSeen unknown", got)
		}
	})
}

func TestListWithoutDevices(t *testing.T) {
	m := newManager(t, session.NewMemory(), session.Config{Idle: -1})
	signIn(t, m, "ada")
	got := onlyInfo(t, t.Context(), m, "ada")
	if got.Device != (session.Device{}) || !got.Created.IsZero() || !got.LastSeen.IsZero() || got.Deadline.IsZero() {
		t.Errorf("got %+v", got)
	}
}

func TestListMarksTheCurrentSession(t *testing.T) {
	store := session.NewMemory()
	m := newManager(t, store, session.Config{})
	_, r := signIn(t, m, "ada")
	signIn(t, m, "ada")
	_, bob := signIn(t, m, "bob")
	current := func(ctx context.Context, m *session.Manager) (n int) {
		infos, err := m.List(ctx, "ada")
		if len(infos) != 2 || err != nil {
			t.Errorf("List: got %v, %v", infos, err)
		}
		for _, info := range infos {
			if info.Current {
				n++
				if s := session.FromContext(ctx); s == nil || s.ID() != info.ID {
					t.Errorf("%s is not the session of the context", info.ID)
				}
			}
		}
		return n
	}
	for _, tt := range []struct {
		what string
		ctx  context.Context
		want int
	}{
		{"her own", in(t, m, r), 1},
		{"an administrator's", in(t, m, bob), 0},
		{"none", t.Context(), 0},
		{"detached", session.NewContext(t.Context(), session.Detached("ada")), 0},
	} {
		if n := current(tt.ctx, m); n != tt.want {
			t.Errorf("with the context of %s: %d are current, want %d", tt.what, n, tt.want)
		}
	}
}

func TestDeviceNamesAreCut(t *testing.T) {
	_, m := newRedis(t, session.Config{})
	for i, tt := range []struct{ give, want session.Device }{
		{session.Device{Name: "a\xffb"}, session.Device{Name: "ab"}},
		{session.Device{Network: "::/0"}, session.Device{Network: "::/0"}},
		{
			session.Device{Name: "x" + strings.Repeat("ü", 500), Network: strings.Repeat("n", 500)},
			session.Device{Name: "x" + strings.Repeat("ü", 59), Network: strings.Repeat("n", 60)},
		},
	} {
		user := fmt.Sprint("ada", i)
		signInFrom(t, m, user, tt.give)
		if got := onlyInfo(t, t.Context(), m, user).Device; got != tt.want {
			t.Errorf("%q reads as %q, want %q", tt.give, got, tt.want)
		}
	}
}

// A label that was written by somebody else is no device, and no error.
func TestForeignLabels(t *testing.T) {
	ctx := t.Context()
	server, m := newRedis(t, session.Config{})
	s, r := signInFrom(t, m, "ada", firefox)
	key := recordKey(r, s)
	value := server.Client().Get(ctx, key).Val()
	other, rOther := signInFrom(t, m, "ada", session.Device{Name: "Safari on macOS", Network: firefox.Network})
	otherValue := server.Client().Get(ctx, recordKey(rOther, other)).Val()
	m.End(ctx, other)
	const label = 1 + 5 + 1 + 16 + 1 + 12 + 16 + 1 // created, name, network, seal, length
	for what, value := range map[string]string{
		"one bit":            value[:len(value)-2] + string(value[len(value)-2]^1) + value[len(value)-1:],
		"of another session": value[:len(value)-label] + otherValue[len(otherValue)-label:],
		"too long":           value[:len(value)-1] + "\xff",
		"no label":           value[:len(value)-1] + "\x00",
	} {
		server.Client().Set(ctx, key, value, time.Hour)
		got := onlyInfo(t, ctx, m, "ada")
		if got.ID != s.ID() || got.Device != (session.Device{}) || !got.Created.IsZero() {
			t.Errorf("%s: got %+v", what, got)
		}
	}
}

func TestRevokeIsOneRoundTrip(t *testing.T) {
	ctx := t.Context()
	server, m := newRedis(t, session.Config{NearCache: session.NearCache{Off: true}})
	s, r := signIn(t, m, "ada")
	m.Revoke(ctx, "ada", strings.Repeat("A", 22)) // tells Redis the script
	m.MarkUser(ctx, "ada")
	w := watch(server)
	if err := m.Revoke(ctx, "bob", s.ID()); err != nil {
		t.Error(err)
	}
	wantTrips(t, w, "Revoke of somebody else's", "evalsha")
	mustLoad(t, m, r)
	w.take()
	m.MarkUser(ctx, "ada") // of which the first removes what was claimed for the user
	wantTrips(t, w, "MarkUser", "evalsha", "evalsha")
	if err := m.Revoke(ctx, "ada", s.ID()); err != nil {
		t.Error(err)
	}
	wantTrips(t, w, "Revoke", "evalsha")
	wantStranger(t, m, r)
}

func TestStepsOfRevokeUser(t *testing.T) {
	server := startRedis(t) // the stand-in is too slow
	m := newManager(t, session.NewRedis(server.Client(), patientStore), session.Config{})
	signIn(t, m, "warm")
	m.RevokeUser(t.Context(), "warm", nil)
	w := watch(server)
	for _, tt := range []struct{ sessions, steps int }{{500, 1}, {1000, 2}} {
		for range tt.sessions {
			signIn(t, m, "ada")
		}
		keep, r := signIn(t, m, "ada")
		w.take()
		if n, err := m.RevokeUser(t.Context(), "ada", keep); n != tt.sessions || err != nil {
			t.Errorf("RevokeUser: got %d, %v, want %d", n, err, tt.sessions)
		}
		if got := len(w.take()); got != tt.steps {
			t.Errorf("RevokeUser of %d sessions: %d round trips, want %d", tt.sessions, got, tt.steps)
		}
		mustLoad(t, m, r)
		m.End(t.Context(), keep)
	}
}

// After a purge nothing is left of a user.
func TestPurge(t *testing.T) {
	ctx := t.Context()
	server, m := newRedis(t, session.Config{})
	s, r := signInFrom(t, m, "ada", firefox)
	signInFrom(t, m, "ada", firefox)
	m.MarkUser(ctx, "ada")
	server.Client().Del(ctx, recordKey(r, s)) // its entry stays
	_, bob := signIn(t, m, "bob")
	if n, err := m.Purge(ctx, "ada"); n != 1 || err != nil {
		t.Errorf("Purge: got %d, %v, want 1", n, err)
	}
	if keys := server.Client().Keys(ctx, "*").Val(); len(keys) != 2 {
		t.Errorf("keys %q, want those of bob", keys)
	}
	mustLoad(t, m, bob)
}

func TestRefuseNew(t *testing.T) {
	limits(t, session.Config{MaxPerUser: 2, WhenFull: session.RefuseNew}, func(t *testing.T, store *recorder, m *session.Manager) {
		first, r1 := signIn(t, m, "ada")
		_, r2 := signIn(t, m, "ada")
		store.take()
		w := httptest.NewRecorder()
		s, err := m.Start(t.Context(), w, session.NewSession{UserID: "ada"})
		wantError(t, "Start", err, session.ErrTooManySessions)
		if s != nil || len(w.Header()) > 0 {
			t.Errorf("got %v and header %v", s, w.Header())
		}
		synctest.Wait()
		if calls := store.take(); len(calls) != 1 {
			t.Errorf("the store was asked: %q", calls)
		}
		mustLoad(t, m, r1)
		mustLoad(t, m, r2)
		// Who replaces a session needs no other place.
		if _, err := m.Start(t.Context(), w, session.NewSession{UserID: "ada", Replaces: first}); err != nil {
			t.Errorf("Start with Replaces: %v", err)
		}
		signIn(t, m, "bob")
		time.Sleep(24 * time.Hour) // unused, they have ended
		signIn(t, m, "ada")
	})
}

func TestRefuseNewUnderManyLogins(t *testing.T) {
	_, m := newRedis(t, session.Config{MaxPerUser: 3, WhenFull: session.RefuseNew})
	var in, out atomic.Int32
	var logins sync.WaitGroup
	for range 30 {
		logins.Go(func() {
			_, err := m.Start(t.Context(), httptest.NewRecorder(), session.NewSession{UserID: "ada"})
			switch {
			case err == nil:
				in.Add(1)
			case errors.Is(err, session.ErrTooManySessions):
				out.Add(1)
			default:
				t.Errorf("Start: %v", err)
			}
		})
	}
	logins.Wait()
	if in.Load() != 3 || out.Load() != 27 {
		t.Errorf("%d logins let in, %d refused, want 3 and 27", in.Load(), out.Load())
	}
}

func TestMarkUser(t *testing.T) {
	for name, store := range map[string]session.Store{
		"memory": session.NewMemory(),
		"redis":  session.NewRedis(openRedis(t).Client(), patientStore),
	} {
		t.Run(name, func(t *testing.T) {
			ctx := t.Context()
			m := newManager(t, store, session.Config{})
			s, r1 := signIn(t, m, "ada")
			_, r2 := signInFrom(t, m, "ada", firefox)
			_, bob := signIn(t, m, "bob")
			marked := func(r *http.Request) bool { return mustLoad(t, m, r).Marked() }
			if s.Marked() || marked(r1) {
				t.Error("a new session is marked")
			}
			mark := func() {
				t.Helper()
				if n, err := m.MarkUser(ctx, "ada"); n != 2 || err != nil {
					t.Errorf("MarkUser: got %d, %v, want 2", n, err)
				}
			}
			mark()
			if !marked(r1) || !marked(r2) || marked(bob) {
				t.Error("not the sessions of the user are marked")
			}
			same := func(data string) (string, error) { return data, nil }

			visit := in(t, m, r1)
			mustPut(t, visit, "k", 1)
			if !session.FromContext(visit).Marked() || !marked(r1) {
				t.Error("a value has cleared the mark")
			}
			// The account changes again while it is read.
			seen := mustLoad(t, m, r1)
			mark()
			if s, err := m.Update(visit, seen, same); err != nil || marked(r1) == false {
				t.Errorf("the mark of a later change was cleared: %v, %v", s, err)
			}
			updated, err := m.Update(in(t, m, r1), mustLoad(t, m, r1), same)
			if err != nil || updated.Marked() || marked(r1) {
				t.Errorf("the answer has not cleared the mark: %v", err)
			}
			if !marked(r2) {
				t.Error("the answer for one session has cleared the mark of the other")
			}
			// What knows of no mark clears none.
			old, _ := signIn(t, m, "ada")
			m.MarkUser(ctx, "ada")
			if _, err := m.Update(ctx, old, func(string) (string, error) { return "new", nil }); err != nil {
				t.Error(err)
			}
			if infos, _ := m.List(ctx, "ada"); len(infos) != 3 {
				t.Errorf("%d sessions, want 3", len(infos))
			}
		})
	}
}

func TestMarksReachTheOtherInstance(t *testing.T) {
	server := startRedis(t)
	here, w := node(t, server.Addr, session.Config{})
	there, _ := node(t, server.Addr, session.Config{})
	_, r := signIn(t, here, "ada")
	warm(t, here, w, r)
	key := server.Client().Keys(t.Context(), "app:s:*").Val()[0]
	before := server.Client().PExpireTime(t.Context(), key).Val()
	if n, err := there.MarkUser(t.Context(), "ada"); n != 1 || err != nil {
		t.Errorf("MarkUser: got %d, %v", n, err)
	}
	redistest.Eventually(t, "the mark is seen", func() bool { return mustLoad(t, here, r).Marked() })
	if after := server.Client().PExpireTime(t.Context(), key).Val(); after != before {
		t.Errorf("the key expires at %v, before the mark at %v", after, before)
	}
	// The instance that marks sees it at once.
	if _, err := here.Update(in(t, here, r), mustLoad(t, here, r), func(data string) (string, error) { return data, nil }); err != nil {
		t.Error(err)
	}
	warm(t, here, w, r)
	here.MarkUser(t.Context(), "ada")
	if !mustLoad(t, here, r).Marked() {
		t.Error("the mark is not seen at once where it was set")
	}
}
