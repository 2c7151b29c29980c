package session_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/idxauth/idxauth/session"
)

// contexts returns one context of each kind that carries values.
func contexts(t *testing.T) map[string]context.Context {
	m := newManager(t, session.NewMemory(), session.Config{})
	_, r := signIn(t, m, "ada")
	return map[string]context.Context{
		"stored":   in(t, m, r),
		"detached": session.NewContext(t.Context(), session.Detached("ada")),
		"draft":    m.Draft(t.Context()),
	}
}

func TestValues(t *testing.T) {
	for name, ctx := range contexts(t) {
		t.Run(name, func(t *testing.T) {
			wantNoValue(t, ctx, "k")
			mustPut(t, ctx, "k", "one")
			mustPut(t, ctx, "other", 2)
			wantValue(t, ctx, "k", "one")
			mustPut(t, ctx, "k", "two")
			wantValue(t, ctx, "k", "two")
			if got, ok, err := session.Pop[string](ctx, "k"); got != "two" || !ok || err != nil {
				t.Errorf("Pop: got %q, %v, %v", got, ok, err)
			}
			if got, ok, err := session.Pop[string](ctx, "k"); got != "" || ok || err != nil {
				t.Errorf("second Pop: got %q, %v, %v", got, ok, err)
			}
			wantNoValue(t, ctx, "k")
			for range 2 {
				if err := session.Remove(ctx, "other"); err != nil {
					t.Errorf("Remove: %v", err)
				}
			}
			wantNoValue(t, ctx, "other")
		})
	}
}

type point struct {
	X, Y int
	Name string `json:"name,omitempty"`
}

func TestValuesComeBackAsTheyWere(t *testing.T) {
	for name, ctx := range contexts(t) {
		t.Run(name, func(t *testing.T) {
			roundTrip(t, ctx, true)
			roundTrip(t, ctx, "ü\x00 \u2028 </script>")
			roundTrip(t, ctx, int64(math.MaxInt64))
			roundTrip(t, ctx, int64(math.MinInt64))
			roundTrip(t, ctx, uint64(math.MaxUint64))
			roundTrip(t, ctx, math.SmallestNonzeroFloat64)
			roundTrip(t, ctx, 36*time.Hour+time.Nanosecond)
			roundTrip(t, ctx, point{1, -2, "p"})
			roundTrip(t, ctx, [2]string{"a", "b"})
			roundTrip(t, ctx, any(nil))

			now := time.Now()
			mustPut(t, ctx, "k", now)
			if got, _, err := session.Get[time.Time](ctx, "k"); err != nil || !got.Equal(now) {
				t.Errorf("got %v, %v, want %v", got, err, now)
			}
			data := []byte{0, 0xff, '"', '\n'}
			mustPut(t, ctx, "k", data)
			if got, _, err := session.Get[[]byte](ctx, "k"); err != nil || !bytes.Equal(got, data) {
				t.Errorf("got %v, %v, want %v", got, err, data)
			}
			mustPut(t, ctx, "k", map[string][]point{"a": {{X: 1}}})
			if got, _, err := session.Get[map[string][]point](ctx, "k"); err != nil || got["a"][0].X != 1 {
				t.Errorf("got %v, %v", got, err)
			}
		})
	}
}

func roundTrip[T comparable](t *testing.T, ctx context.Context, v T) {
	t.Helper()
	mustPut(t, ctx, "k", v)
	wantValue(t, ctx, "k", v)
}

func TestValuesThatCannotBeKept(t *testing.T) {
	for name, ctx := range contexts(t) {
		t.Run(name, func(t *testing.T) {
			mustPut(t, ctx, "k", "kept")
			for _, v := range []any{make(chan int), func() {}, math.NaN(), map[bool]int{true: 1}, strings.Repeat("x", 70_000)} {
				if err := session.Put(ctx, "k", v); err == nil {
					t.Errorf("Put of a %T: no error", v)
				}
			}
			if err := session.Put(ctx, "", 1); err == nil {
				t.Error("Put without a key: no error")
			}
			wantValue(t, ctx, "k", "kept")
			if got, ok, err := session.Get[int](ctx, "k"); ok || err == nil {
				t.Errorf("Get as int: got %v, %v, %v, want an error", got, ok, err)
			}
			if got, ok, err := session.Pop[int](ctx, "k"); ok || err == nil {
				t.Errorf("Pop as int: got %v, %v, %v, want an error", got, ok, err)
			}
			wantValue(t, ctx, "k", "kept")
		})
	}
}

func TestNoSession(t *testing.T) {
	m := newManager(t, session.NewMemory(), session.Config{})
	for _, ctx := range []context.Context{t.Context(), session.NewContext(t.Context(), nil)} {
		_, _, getErr := session.Get[int](ctx, "k")
		_, _, popErr := session.Pop[int](ctx, "k")
		for _, err := range []error{getErr, popErr, session.Put(ctx, "k", 1), session.Remove(ctx, "k")} {
			wantError(t, "no session", err, session.ErrNoSession)
		}
		if s := session.FromContext(ctx); s != nil {
			t.Errorf("FromContext: got %v", s)
		}
	}
	if s := session.FromContext(m.Draft(t.Context())); s != nil {
		t.Errorf("FromContext of a draft: got %v", s)
	}
}

func TestDraftMovesIntoTheSession(t *testing.T) {
	m := newManager(t, session.NewMemory(), session.Config{})
	ctx := m.Draft(t.Context())
	mustPut(t, ctx, "locale", "de")
	w := httptest.NewRecorder()
	s, err := m.Start(ctx, w, session.NewSession{UserID: "ada"})
	if err != nil {
		t.Fatal(err)
	}
	if session.FromContext(ctx) != s {
		t.Error("the context does not carry the new session")
	}
	mustPut(t, ctx, "after", 1)
	ctx = in(t, m, requestWith(w.Result().Cookies()...))
	wantValue(t, ctx, "locale", "de")
	wantValue(t, ctx, "after", 1)
}

func TestGetAsksNoStore(t *testing.T) {
	store := &recorder{Store: session.NewMemory()}
	m := newManager(t, store, session.Config{})
	_, r := signIn(t, m, "ada")
	mustPut(t, in(t, m, r), "k", 1)
	ctx := in(t, m, r)
	store.take()
	for range 3 {
		wantValue(t, ctx, "k", 1)
	}
	if err := session.Remove(ctx, "none"); err != nil {
		t.Error(err)
	}
	if calls := store.take(); len(calls) > 0 {
		t.Errorf("the store was asked: %q", calls)
	}
	mustPut(t, ctx, "k", 2)
	if calls := fmt.Sprint(store.take()); calls != "[Update]" {
		t.Errorf("Put: calls %v, want one Update", calls)
	}
}

// Requests of one session that change different keys lose nothing, and of one key
// somebody's value stays.
func TestParallelRequests(t *testing.T) {
	m := newManager(t, session.NewMemory(), session.Config{})
	_, r := signIn(t, m, "ada")
	for round := range 20 {
		var wg sync.WaitGroup
		for i := range 6 {
			ctx := in(t, m, r)
			wg.Go(func() {
				mustPut(t, ctx, fmt.Sprintf("%d.%d", round, i), i)
				mustPut(t, ctx, "shared", i)
			})
		}
		wg.Wait()
	}
	ctx := in(t, m, r)
	for round := range 20 {
		for i := range 6 {
			wantValue(t, ctx, fmt.Sprintf("%d.%d", round, i), i)
		}
	}
	if _, ok, err := session.Get[int](ctx, "shared"); !ok || err != nil {
		t.Errorf("shared: %v, %v", ok, err)
	}
}

func TestParallelPutsOfOneRequest(t *testing.T) {
	for name, ctx := range contexts(t) {
		t.Run(name, func(t *testing.T) {
			var wg sync.WaitGroup
			for i := range 64 {
				wg.Go(func() { mustPut(t, ctx, fmt.Sprint(i), i) })
			}
			wg.Wait()
			for i := range 64 {
				wantValue(t, ctx, fmt.Sprint(i), i)
			}
		})
	}
}

func TestOneOfManyPopsGetsTheValue(t *testing.T) {
	m := newManager(t, session.NewMemory(), session.Config{})
	_, r := signIn(t, m, "ada")
	mustPut(t, in(t, m, r), "flash", "saved")
	var got atomic.Int32
	var wg sync.WaitGroup
	for range 6 {
		ctx := in(t, m, r)
		wg.Go(func() {
			v, ok, err := session.Pop[string](ctx, "flash")
			if err != nil {
				t.Error(err)
			}
			if ok {
				got.Add(1)
			}
			if ok != (v == "saved") {
				t.Errorf("got %q, %v", v, ok)
			}
		})
	}
	wg.Wait()
	if got.Load() != 1 {
		t.Errorf("%d of 6 requests got the value, want 1", got.Load())
	}
}

// A session that others keep changing is given up in the end, and nothing is lost.
func TestConflictWithoutEnd(t *testing.T) {
	store := &recorder{Store: session.NewMemory()}
	m := newManager(t, store, session.Config{})
	_, r := signIn(t, m, "ada")
	ctx := in(t, m, r)
	store.fail("Update", session.ErrConflict)
	err := session.Put(ctx, "k", 1)
	wantError(t, "Put", err, session.ErrConflict)
	if errors.Is(err, session.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
	if n := count(store.take(), "Update"); n != 24 {
		t.Errorf("%d tries, want 24", n)
	}
}

func TestCarryingASessionCostsOneAllocation(t *testing.T) {
	ctx, s := t.Context(), session.Detached("ada")
	if n := testing.AllocsPerRun(100, func() { session.NewContext(ctx, s) }); n > 1 {
		t.Errorf("%v allocations, want 1", n)
	}
}
