// Package sessiontest has the suite that every [session.Store] must pass.
//
//	func TestStore(t *testing.T) {
//		sessiontest.TestStore(t, func(t *testing.T) session.Store { return mystore.New(t) })
//	}
package sessiontest

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/idxauth/idxauth/session"
)

// TestStore checks the contract of [session.Store] on stores that newStore returns,
// which may all be the same one: each test has a namespace of its own. It runs
// against the real clock and takes some seconds.
func TestStore(t *testing.T, newStore func(t *testing.T) session.Store) {
	for _, tt := range []struct {
		name string
		run  func(*testing.T, *fixture)
	}{
		{"load returns what was created", testLoad},
		{"keys are told apart", testKeys},
		{"create never overwrites", testCreateOnly},
		{"create of the same data is a repeated write", testCreateAgain},
		{"update never creates", testUpdateOnly},
		{"update compares and sets", testUpdateCompares},
		{"one of many updates wins", testUpdateRace},
		{"touch moves the expiry only", testTouch},
		{"nothing is written with an expiry in the past", testPast},
		{"records expire", testExpiry},
		{"delete removes record and entry", testDelete},
		{"delete without a user", testDeleteWithoutUser},
		{"nothing brings a deleted record back", testNoRevival},
		{"list is ordered and drops the dead", testList},
		{"users are told apart", testUsers},
		{"most sessions of a user", testMax},
		{"dead sessions do not count", testMaxCountsTheLiving},
		{"delete user keeps one", testDeleteUser},
		{"no login survives a later delete user", testDeleteUserRace},
		{"a user who is full is refused", testRefuse},
		{"one of many logins takes the last place", testRefuseRace},
		{"delete listed is for the user's own", testDeleteListed},
		{"labels stay", testLabel},
		{"a mark stays until it is answered", testMark},
		{"marks meet the living", testMarkCreatesNothing},
		{"thousands of sessions of one user", testMany},
		{"a claim is made once", testClaim},
		{"claims expire", testClaimExpires},
		{"claims are swapped", testSwap},
		{"one of 64 swaps is ours", testSwapRace},
		{"one of 64 claims is ours", testClaimRace},
		{"an ended context is an error, not a verdict", testContext},
		{"ping", testPing},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.run(t, &fixture{t: t, Store: newStore(t), space: "test-" + strings.ToLower(rand.Text())})
		})
	}
}

// fixture is a store and a namespace in it.
type fixture struct {
	session.Store
	t     *testing.T
	space string
}

const tag = "aB"

// key returns the key of a record, or of a user's index, by a short name.
func (f *fixture) key(name string) session.Key {
	return session.Key{Space: f.space, Tag: tag, ID: id(name)}
}

// id returns 16 bytes, some of which are no text.
func id(name string) string {
	return string(append([]byte{0, 0xff, '\r', '\n'}, fmt.Sprintf("%-12s", name)...))
}

func in(d time.Duration) time.Time { return time.Now().Add(d).Truncate(time.Millisecond) }

func newRecord(user, data string) session.Record {
	return session.Record{User: id(user), Data: []byte(data), Expires: in(time.Minute), Deadline: in(time.Hour).Truncate(time.Second)}
}

func (f *fixture) create(name string, r session.Record, max int) {
	f.t.Helper()
	if _, err := f.Create(f.t.Context(), f.key(name), r, max, session.EndOldest); err != nil {
		f.t.Fatalf("Create %s: %v", name, err)
	}
}

// wantData checks what is under name: "" means that there is nothing.
func (f *fixture) wantData(name, want string) {
	f.t.Helper()
	r, err := f.Load(f.t.Context(), f.key(name))
	switch {
	case want == "":
		f.wantError("Load "+name, err, session.ErrNotFound)
	case err != nil:
		f.t.Errorf("Load %s: %v", name, err)
	case string(r.Data) != want:
		f.t.Errorf("Load %s: got %q, want %q", name, r.Data, want)
	}
}

func (f *fixture) wantError(what string, got, want error) {
	f.t.Helper()
	if !errors.Is(got, want) {
		f.t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

// wantList checks the sessions in the index of user, in order.
func (f *fixture) wantList(user string, names ...string) []session.Entry {
	f.t.Helper()
	entries, err := f.List(f.t.Context(), f.key(user))
	if err != nil {
		f.t.Errorf("List %s: %v", user, err)
	}
	got := make([]string, len(entries))
	for i, e := range entries {
		got[i] = e.ID
	}
	want := make([]string, len(names))
	for i, n := range names {
		want[i] = id(n)
	}
	if !slices.Equal(got, want) {
		f.t.Errorf("List %s: got %q, want %q", user, got, want)
	}
	return entries
}

// eventually waits for something that only the clock can bring about.
func (f *fixture) eventually(what string, ok func() bool) {
	f.t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for late := time.Now().Add(20 * time.Second); !ok(); <-tick.C {
		if time.Now().After(late) {
			f.t.Fatalf("still not so: %s", what)
		}
	}
}

// soon is when records end whose end a test waits for. All that it does before has to
// come first, on a slow machine and beside all other tests.
const soon = 4 * time.Second

// wantTime allows for the time that the answer took.
func (f *fixture) wantTime(what string, got, want time.Time) {
	f.t.Helper()
	if d := got.Sub(want).Abs(); d > 10*time.Second {
		f.t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func testLoad(t *testing.T, f *fixture) {
	f.wantData("a", "")
	data := string([]byte{0, 1, 0xff, '\r', '\n', '{', '}'}) + strings.Repeat("x", 64<<10)
	r := newRecord("ada", data)
	f.create("a", r, 0)
	f.wantData("a", data)
	got, _ := f.Load(t.Context(), f.key("a"))
	f.wantTime("Expires", got.Expires, r.Expires)
}

func testKeys(t *testing.T, f *fixture) {
	f.create("a", newRecord("ada", "one"), 0)
	for _, k := range []session.Key{
		{Space: f.space + "2", Tag: tag, ID: id("a")},
		{Space: f.space, Tag: "Ab", ID: id("a")},
		{Space: f.space, Tag: tag, ID: id("b")},
		{Space: f.space, Tag: tag, ID: id("ada")},
	} {
		if _, err := f.Load(t.Context(), k); !errors.Is(err, session.ErrNotFound) {
			t.Errorf("Load %+v: got %v, want ErrNotFound", k, err)
		}
	}
}

func testCreateOnly(t *testing.T, f *fixture) {
	f.create("a", newRecord("ada", "one"), 0)
	_, err := f.Create(t.Context(), f.key("a"), newRecord("eve", "two"), 0, session.EndOldest)
	f.wantError("Create", err, session.ErrConflict)
	f.wantData("a", "one")
	f.wantList("eve")
}

func testCreateAgain(t *testing.T, f *fixture) {
	r := newRecord("ada", "one")
	f.create("a", r, 1)
	f.create("a", r, 1)
	f.wantData("a", "one")
	f.wantList("ada", "a")
}

func testUpdateOnly(t *testing.T, f *fixture) {
	err := f.Update(t.Context(), f.key("a"), []byte("one"), []byte("two"), 0, in(time.Minute))
	f.wantError("Update", err, session.ErrNotFound)
	f.wantData("a", "")
}

func testUpdateCompares(t *testing.T, f *fixture) {
	f.create("a", newRecord("ada", "one"), 0)
	expires := in(2 * time.Minute)
	if err := f.Update(t.Context(), f.key("a"), []byte("one"), []byte("two"), 0, expires); err != nil {
		t.Fatal(err)
	}
	f.wantData("a", "two")
	got, _ := f.Load(t.Context(), f.key("a"))
	f.wantTime("Expires", got.Expires, expires)
	err := f.Update(t.Context(), f.key("a"), []byte("one"), []byte("three"), 0, expires)
	f.wantError("Update of what was changed", err, session.ErrConflict)
	f.wantData("a", "two")
	// The same write again: the answer to the first may have been lost.
	if err := f.Update(t.Context(), f.key("a"), []byte("one"), []byte("two"), 0, expires); err != nil {
		t.Errorf("Update repeated: %v", err)
	}
	f.wantList("ada", "a")
}

func testUpdateRace(t *testing.T, f *fixture) {
	f.create("a", newRecord("ada", "one"), 0)
	var won atomic.Int32
	parallel(16, func(i int) {
		err := f.Update(t.Context(), f.key("a"), []byte("one"), fmt.Appendf(nil, "two %d", i), 0, in(time.Minute))
		switch {
		case err == nil:
			won.Add(1)
		case !errors.Is(err, session.ErrConflict):
			t.Errorf("Update: %v", err)
		}
	})
	if won.Load() != 1 {
		t.Errorf("%d of 16 updates of one record succeeded, want 1", won.Load())
	}
}

func testTouch(t *testing.T, f *fixture) {
	f.wantError("Touch", f.Touch(t.Context(), f.key("a"), in(time.Minute)), session.ErrNotFound)
	f.wantData("a", "")
	f.create("a", newRecord("ada", "one"), 0)
	for _, d := range []time.Duration{30 * time.Minute, 10 * time.Second} { // nothing is shortened
		if err := f.Touch(t.Context(), f.key("a"), in(d)); err != nil {
			t.Fatal(err)
		}
		f.wantData("a", "one")
		got, _ := f.Load(t.Context(), f.key("a"))
		f.wantTime("Expires", got.Expires, in(30*time.Minute))
	}
	entries := f.wantList("ada", "a")
	if len(entries) == 1 {
		f.wantTime("Deadline", entries[0].Deadline, in(time.Hour))
	}
}

func testPast(t *testing.T, f *fixture) {
	ctx := t.Context()
	past := newRecord("ada", "one")
	past.Expires = in(-time.Second)
	if _, err := f.Create(ctx, f.key("a"), past, 0, session.EndOldest); err == nil {
		t.Error("Create with an expiry in the past: no error")
	}
	late := newRecord("ada", "one")
	late.Expires = late.Deadline.Add(time.Second)
	if _, err := f.Create(ctx, f.key("a"), late, 0, session.EndOldest); err == nil {
		t.Error("Create with an expiry after the deadline: no error")
	}
	f.wantData("a", "")
	f.wantList("ada")
	f.create("b", newRecord("ada", "one"), 0)
	if f.Update(ctx, f.key("b"), []byte("one"), []byte("two"), 0, in(-time.Second)) == nil {
		t.Error("Update with an expiry in the past: no error")
	}
	if f.Touch(ctx, f.key("b"), in(-time.Second)) == nil {
		t.Error("Touch with an expiry in the past: no error")
	}
	f.wantData("b", "one")
	if _, err := f.Claim(ctx, f.space, "n", []byte("v"), 0); err == nil {
		t.Error("Claim for no time: no error")
	}
	if _, err := f.Swap(ctx, f.space, "n", nil, []byte("v"), 0); err == nil {
		t.Error("Swap for no time: no error")
	}
}

func testExpiry(t *testing.T, f *fixture) {
	r := newRecord("ada", "one")
	r.Expires = in(soon)
	f.create("a", r, 0)
	f.create("b", newRecord("ada", "one"), 0)
	f.eventually("the record has expired", func() bool {
		_, err := f.Load(t.Context(), f.key("a"))
		return errors.Is(err, session.ErrNotFound)
	})
	if time.Now().Before(r.Expires.Add(-10 * time.Millisecond)) {
		t.Error("the record expired too early")
	}
	f.wantError("Touch", f.Touch(t.Context(), f.key("a"), in(time.Minute)), session.ErrNotFound)
	err := f.Update(t.Context(), f.key("a"), []byte("one"), []byte("two"), 0, in(time.Minute))
	f.wantError("Update", err, session.ErrNotFound)
	f.wantData("a", "")
	f.wantList("ada", "b")
}

func testDelete(t *testing.T, f *fixture) {
	ctx := t.Context()
	if err := f.Delete(ctx, f.key("a"), id("ada")); err != nil {
		t.Errorf("Delete of nothing: %v", err)
	}
	f.create("a", newRecord("ada", "one"), 0)
	f.create("b", newRecord("ada", "two"), 0)
	if err := f.Delete(ctx, f.key("a"), id("ada")); err != nil {
		t.Fatal(err)
	}
	f.wantData("a", "")
	f.wantData("b", "two")
	f.wantList("ada", "b")
}

func testDeleteWithoutUser(t *testing.T, f *fixture) {
	f.create("a", newRecord("ada", "one"), 0)
	if err := f.Delete(t.Context(), f.key("a"), ""); err != nil {
		t.Fatal(err)
	}
	f.wantData("a", "")
	f.wantList("ada")
}

func testNoRevival(t *testing.T, f *fixture) {
	for round := range 100 {
		name := fmt.Sprint("r", round)
		f.create(name, newRecord("ada", "one"), 0)
		writes := []func(){
			func() { f.Delete(t.Context(), f.key(name), id("ada")) },
			func() { f.Update(t.Context(), f.key(name), []byte("one"), []byte("two"), 0, in(time.Minute)) },
			func() { f.Touch(t.Context(), f.key(name), in(2*time.Minute)) },
		}
		parallel(len(writes), func(i int) { writes[i]() })
		f.wantData(name, "")
	}
	f.wantList("ada")
}

func testList(t *testing.T, f *fixture) {
	f.wantList("ada")
	for i, name := range []string{"c", "a", "b"} { // by deadline, not by id
		r := newRecord("ada", name)
		r.Deadline = r.Deadline.Add(time.Duration(i) * time.Minute)
		f.create(name, r, 0)
	}
	short := newRecord("ada", "short")
	short.Expires, short.Deadline = in(soon), short.Deadline.Add(30*time.Second)
	f.create("short", short, 0)
	entries := f.wantList("ada", "c", "short", "a", "b")
	if len(entries) == 4 {
		f.wantTime("Expires", entries[0].Expires, in(time.Minute))
		f.wantTime("Deadline", entries[3].Deadline, in(time.Hour+2*time.Minute))
	}
	f.eventually("the dead one is gone from the list", func() bool {
		entries, err := f.List(t.Context(), f.key("ada"))
		return err == nil && len(entries) == 3
	})
	f.wantList("ada", "c", "a", "b")
}

func testUsers(t *testing.T, f *fixture) {
	f.create("a", newRecord("ada", "one"), 1)
	f.create("b", newRecord("bob", "two"), 1)
	f.wantList("ada", "a")
	f.wantList("bob", "b")
	if ids, err := f.DeleteUser(t.Context(), f.key("bob"), ""); len(ids) != 1 || err != nil {
		t.Errorf("DeleteUser: got %q, %v, want 1", ids, err)
	}
	f.wantData("a", "one")
}

func testMax(t *testing.T, f *fixture) {
	for i, name := range []string{"b", "a", "d", "c"} {
		r := newRecord("ada", name)
		r.Deadline = r.Deadline.Add(time.Duration(i) * time.Second)
		f.create(name, r, 2)
	}
	f.wantData("b", "")
	f.wantData("a", "")
	f.wantList("ada", "d", "c")
}

func testMaxCountsTheLiving(t *testing.T, f *fixture) {
	f.create("old", newRecord("ada", "old"), 2)
	idle := newRecord("ada", "idle")
	idle.Expires, idle.Deadline = in(soon), idle.Deadline.Add(time.Minute)
	f.create("idle", idle, 2)
	f.eventually("one has expired", func() bool {
		_, err := f.Load(t.Context(), f.key("idle"))
		return errors.Is(err, session.ErrNotFound)
	})
	late := newRecord("ada", "new")
	late.Deadline = late.Deadline.Add(2 * time.Minute)
	f.create("new", late, 2)
	f.wantData("old", "old")
	f.wantList("ada", "old", "new")
}

func testDeleteUser(t *testing.T, f *fixture) {
	ctx := t.Context()
	if ids, err := f.DeleteUser(ctx, f.key("ada"), ""); len(ids) != 0 || err != nil {
		t.Errorf("DeleteUser of nobody: got %q, %v", ids, err)
	}
	for i, name := range []string{"a", "b", "c"} {
		r := newRecord("ada", name)
		r.Deadline = r.Deadline.Add(time.Duration(i) * time.Second)
		f.create(name, r, 0)
	}
	if ids, err := f.DeleteUser(ctx, f.key("ada"), id("b")); len(ids) != 2 || err != nil {
		t.Errorf("DeleteUser: got %q, %v, want 2", ids, err)
	}
	f.wantData("a", "")
	f.wantData("b", "b")
	f.wantList("ada", "b")
	if ids, err := f.DeleteUser(ctx, f.key("ada"), ""); len(ids) != 1 || err != nil {
		t.Errorf("DeleteUser: got %q, %v, want 1", ids, err)
	}
	f.wantList("ada")
}

func testDeleteUserRace(t *testing.T, f *fixture) {
	parallel(8, func(worker int) {
		for i := range 20 {
			f.create(fmt.Sprintf("%d.%d", worker, i), newRecord("ada", "x"), 0)
			if i%5 == 4 {
				if _, err := f.DeleteUser(t.Context(), f.key("ada"), ""); err != nil {
					t.Errorf("DeleteUser: %v", err)
				}
			}
		}
	})
	if _, err := f.DeleteUser(t.Context(), f.key("ada"), ""); err != nil {
		t.Fatal(err)
	}
	for worker := range 8 {
		for i := range 20 {
			f.wantData(fmt.Sprintf("%d.%d", worker, i), "")
		}
	}
}

func testRefuse(t *testing.T, f *fixture) {
	idle := newRecord("ada", "idle")
	idle.Expires = in(soon)
	f.create("idle", idle, 0)
	f.create("a", newRecord("ada", "a"), 0)
	create := func(name string) error {
		_, err := f.Create(t.Context(), f.key(name), newRecord("ada", name), 2, session.RefuseNew)
		return err
	}
	f.wantError("Create beyond the limit", create("b"), session.ErrTooManySessions)
	f.wantData("b", "")
	f.wantData("a", "a")
	f.wantError("Create of what is there", create("a"), nil)
	f.eventually("one has expired, and the place is free", func() bool { return create("b") == nil })
	f.wantError("Create beyond the limit", create("c"), session.ErrTooManySessions)
	entries, err := f.List(t.Context(), f.key("ada"))
	if len(entries) != 2 || err != nil {
		t.Errorf("List: got %v, %v, want 2", entries, err)
	}
}

func testRefuseRace(t *testing.T, f *fixture) {
	const max = 5
	var let atomic.Int32
	parallel(4*max, func(i int) {
		_, err := f.Create(t.Context(), f.key(fmt.Sprint(i)), newRecord("ada", "x"), max, session.RefuseNew)
		switch {
		case err == nil:
			let.Add(1)
		case !errors.Is(err, session.ErrTooManySessions):
			t.Errorf("Create: %v", err)
		}
	})
	entries, err := f.List(t.Context(), f.key("ada"))
	if let.Load() != max || len(entries) != max || err != nil {
		t.Errorf("%d logins of %d at once, and a list of %d, %v; want %d", let.Load(), 4*max, len(entries), err, max)
	}
}

func testDeleteListed(t *testing.T, f *fixture) {
	ctx := t.Context()
	f.create("a", newRecord("ada", "one"), 0)
	f.create("b", newRecord("ada", "two"), 0)
	for _, of := range []struct{ user, name string }{{"bob", "a"}, {"ada", "none"}} {
		if err := f.DeleteListed(ctx, f.key(of.user), id(of.name)); err != nil {
			t.Errorf("DeleteListed %s of %s: %v", of.name, of.user, err)
		}
	}
	f.wantList("ada", "a", "b")
	if err := f.DeleteListed(ctx, f.key("ada"), id("a")); err != nil {
		t.Error(err)
	}
	f.wantData("a", "")
	f.wantData("b", "two")
	f.wantList("ada", "b")
}

func testLabel(t *testing.T, f *fixture) {
	ctx := t.Context()
	labels := map[string]string{"none": "", "short": "\x00", "long": strings.Repeat("l", 255)}
	for name, label := range labels {
		r := newRecord(name, "one")
		r.Label = []byte(label)
		f.create(name, r, 0)
		f.create(name, r, 0) // repeated
		check := func(what, data string, expires time.Time) {
			t.Helper()
			f.wantData(name, data)
			entries := f.wantList(name, name)
			if len(entries) == 1 && (string(entries[0].Label) != label || !entries[0].Expires.Equal(expires)) {
				t.Errorf("List after %s: label %q, expires %v, want %q, %v", what, entries[0].Label, entries[0].Expires, label, expires)
			}
		}
		check("Create", "one", r.Expires)
		expires := in(2 * time.Minute)
		f.Touch(ctx, f.key(name), expires)
		check("Touch", "one", expires)
		f.Mark(ctx, f.key(name))
		check("Mark", "one", expires)
		for range 2 {
			expires = in(3 * time.Minute)
			if err := f.Update(ctx, f.key(name), []byte("one"), []byte("three"), 0, expires); err != nil {
				t.Fatal(err)
			}
			f.Touch(ctx, f.key(name), expires)
			check("Update", "three", expires)
		}
	}
	r := newRecord("ada", "one")
	r.Label = make([]byte, 256)
	if _, err := f.Create(ctx, f.key("a"), r, 0, session.EndOldest); err == nil {
		t.Error("Create with a label of 256 bytes: no error")
	}
	f.wantData("a", "")
}

func testMark(t *testing.T, f *fixture) {
	ctx := t.Context()
	mark := func() uint8 {
		t.Helper()
		r, err := f.Load(ctx, f.key("a"))
		if err != nil {
			t.Errorf("Load: %v", err)
		}
		return r.Mark
	}
	version := 0
	update := func(seen uint8) {
		t.Helper()
		old := fmt.Appendf(nil, "version %04d", version)
		version++
		if err := f.Update(ctx, f.key("a"), old, fmt.Appendf(nil, "version %04d", version), seen, in(time.Minute)); err != nil {
			t.Errorf("Update: %v", err)
		}
	}
	r := newRecord("ada", "version 0000")
	r.Mark = 7 // of no account
	f.create("a", r, 0)
	if got := mark(); got != 0 {
		t.Errorf("Create: mark %d, want 0", got)
	}
	for range 40 { // more than there are numbers
		before := mark()
		if ids, err := f.Mark(ctx, f.key("ada")); len(ids) != 1 || ids[0] != id("a") || err != nil {
			t.Errorf("Mark: got %q, %v", ids, err)
		}
		got := mark()
		if got == 0 || got == before {
			t.Errorf("Mark: %d after %d", got, before)
		}
		f.Touch(ctx, f.key("a"), in(2*time.Minute))
		update(0)
		if after := mark(); after != got {
			t.Errorf("mark %d after Touch and Update, want %d", after, got)
		}
		update(before)
		if after := mark(); before != 0 && after != got {
			t.Errorf("mark %d after an answer to the one before, want %d", after, got)
		}
	}
	seen := mark()
	update(seen)
	if got := mark(); got != 0 {
		t.Errorf("mark %d after an answer to it, want 0", got)
	}
	// The answer again, because its own answer was lost: it is none to a later mark.
	f.Mark(ctx, f.key("ada"))
	later := mark()
	if err := f.Update(ctx, f.key("a"), []byte("x"), fmt.Appendf(nil, "version %04d", version), later, in(time.Minute)); err != nil {
		t.Errorf("Update repeated: %v", err)
	}
	if got := mark(); got != later {
		t.Errorf("mark %d after a repeated Update, want %d", got, later)
	}
}

func testMarkCreatesNothing(t *testing.T, f *fixture) {
	ctx := t.Context()
	if ids, err := f.Mark(ctx, f.key("ada")); len(ids) != 0 || err != nil {
		t.Errorf("Mark of nobody: got %q, %v", ids, err)
	}
	f.create("a", newRecord("ada", "one"), 0)
	f.create("b", newRecord("ada", "two"), 0)
	f.create("c", newRecord("bob", "three"), 0)
	before, _ := f.Load(ctx, f.key("b"))
	f.Delete(ctx, f.key("a"), "") // the entry stays
	if ids, err := f.Mark(ctx, f.key("ada")); len(ids) != 1 || err != nil {
		t.Errorf("Mark: got %q, %v, want 1", ids, err)
	}
	f.wantData("a", "")
	f.wantList("ada", "b")
	if after, _ := f.Load(ctx, f.key("b")); !after.Expires.Equal(before.Expires) || after.Mark == 0 {
		t.Errorf("Load: %+v, before the mark %+v", after, before)
	}
	if bobs, _ := f.Load(ctx, f.key("c")); bobs.Mark != 0 {
		t.Error("the session of another user was marked")
	}
}

// Whatever comes and goes meanwhile, a list of many has each session that stays once.
// Stores that are slow get fewer: they are to be right, not fast.
func testMany(t *testing.T, f *fixture) {
	ctx := t.Context()
	name := func(i int) string { return fmt.Sprint(i) }
	stay := 0
	for start := time.Now(); stay < 1300 && time.Since(start) < 300*time.Millisecond; stay += 50 {
		parallel(10, func(worker int) {
			for i := stay + 5*worker; i < stay+5*worker+5; i++ {
				r := newRecord("ada", "x")
				r.Deadline = r.Deadline.Add(time.Duration(i/700) * time.Second)
				f.create(name(i), r, 0)
				if i%3 == 0 {
					f.create("x"+name(i), r, 0)
				}
			}
		})
	}
	t.Logf("%d sessions", stay)
	want := make(map[string]bool, stay)
	for i := range stay {
		want[id(name(i))] = true
	}
	seen := func(what string, ids []string) {
		t.Helper()
		times := make(map[string]int)
		for _, id := range ids {
			times[id]++
		}
		for id := range want {
			if times[id] != 1 {
				t.Errorf("%s: %q is there %d times", what, id, times[id])
				return
			}
		}
	}
	list := func() (ids []string) {
		entries, err := f.List(ctx, f.key("ada"))
		if err != nil {
			t.Errorf("List: %v", err)
		}
		if !slices.IsSortedFunc(entries, func(a, b session.Entry) int { return a.Deadline.Compare(b.Deadline) }) {
			t.Error("List is not in order of deadlines")
		}
		for _, e := range entries {
			ids = append(ids, e.ID)
		}
		return ids
	}
	var done atomic.Bool
	parallel(3, func(worker int) {
		if worker == 0 {
			defer done.Store(true)
			start := time.Now()
			for i := 0; i < stay; i += 3 {
				f.Delete(ctx, f.key("x"+name(i)), id("ada"))
				if time.Since(start) > time.Second { // a slow store: the rest without company
					done.Store(true)
				}
			}
			return
		}
		for !done.Load() {
			if worker == 1 {
				seen("List", list())
				continue
			}
			ids, err := f.Mark(ctx, f.key("ada"))
			if err != nil {
				t.Errorf("Mark: %v", err)
			}
			seen("Mark", ids)
		}
	})
	if n := len(list()); n != stay {
		t.Errorf("List: %d, want %d", n, stay)
	}
	keep := id(name(stay / 2))
	if ids, err := f.DeleteUser(ctx, f.key("ada"), keep); len(ids) != stay-1 || err != nil {
		t.Errorf("DeleteUser: %d, %v, want %d", len(ids), err, stay-1)
	}
	f.wantList("ada", name(stay/2))
}

func testClaim(t *testing.T, f *fixture) {
	for _, tt := range []struct{ name, value, want string }{
		{"n", "one", ""},
		{"n", "two", "one"},
		{"n", "one", "one"}, // the same value is no claim of one's own
		{"m", "two", ""},
	} {
		held, err := f.Claim(t.Context(), f.space, tt.name, []byte(tt.value), time.Minute)
		if err != nil || string(held) != tt.want || (held == nil) != (tt.want == "") {
			t.Errorf("Claim %s=%s: held %q, %v, want %q", tt.name, tt.value, held, err, tt.want)
		}
	}
	if held, err := f.Claim(t.Context(), f.space+"2", "n", []byte("x"), time.Minute); held != nil || err != nil {
		t.Errorf("Claim in another namespace: held %q, %v", held, err)
	}
	for _, wantNil := range []bool{true, false} {
		held, err := f.Claim(t.Context(), f.space, "empty", nil, time.Minute)
		if err != nil || (held == nil) != wantNil || len(held) > 0 {
			t.Errorf("Claim of no value: held %v, %v", held, err)
		}
	}
}

func testClaimExpires(t *testing.T, f *fixture) {
	claim := func() bool {
		held, err := f.Claim(t.Context(), f.space, "n", []byte("v"), soon)
		if err != nil {
			t.Fatal(err)
		}
		return held == nil
	}
	if !claim() || claim() {
		t.Error("the first claim is not ours, or the second is")
	}
	f.eventually("the claim has expired", claim)
}

func testSwap(t *testing.T, f *fixture) {
	held := func(name string) string {
		t.Helper()
		value, err := f.Claim(t.Context(), f.space, name, []byte("nothing"), time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		if value == nil { // it was ours: take it away again
			if _, err := f.Swap(t.Context(), f.space, name, nil, nil, 0); err != nil {
				t.Fatal(err)
			}
			return "nothing"
		}
		return string(value)
	}
	for _, tt := range []struct {
		what, name string
		old, value []byte
		swapped    bool
		then       string
	}{
		{"of what is not there", "n", []byte("one"), []byte("two"), false, "nothing"},
		{"of what is not there, by nothing", "n", []byte("one"), nil, false, "nothing"},
		{"of whatever is there", "n", nil, []byte("one"), true, "one"},
		{"of another value", "n", []byte("on"), []byte("two"), false, "one"},
		{"of the empty value", "n", []byte{}, []byte("two"), false, "one"},
		{"of the value", "n", []byte("one"), []byte("two"), true, "two"},
		{"by the same value", "n", []byte("two"), []byte("two"), true, "two"},
		{"of another name", "m", []byte("two"), []byte("three"), false, "nothing"},
		{"by an empty value", "n", []byte("two"), []byte{}, true, ""},
		{"of an empty value", "n", []byte{}, []byte("three"), true, "three"},
		{"by nothing", "n", []byte("three"), nil, true, "nothing"},
		{"of whatever, by nothing", "n", nil, nil, true, "nothing"},
	} {
		swapped, err := f.Swap(t.Context(), f.space, tt.name, tt.old, tt.value, time.Minute)
		if swapped != tt.swapped || err != nil {
			t.Errorf("Swap %s: %v, %v, want %v", tt.what, swapped, err, tt.swapped)
		}
		if now := held(tt.name); now != tt.then {
			t.Errorf("after Swap %s there is %q, want %q", tt.what, now, tt.then)
		}
	}
	if _, err := f.Swap(t.Context(), f.space, "n", nil, []byte("v"), soon); err != nil {
		t.Fatal(err)
	}
	if now := held("n"); now != "v" {
		t.Errorf("there is %q, want v", now)
	}
	f.eventually("what was swapped has expired", func() bool { return held("n") == "nothing" })
}

func testSwapRace(t *testing.T, f *fixture) {
	if _, err := f.Claim(t.Context(), f.space, "n", []byte("lease"), time.Minute); err != nil {
		t.Fatal(err)
	}
	var ours atomic.Int32
	parallel(64, func(i int) {
		swapped, err := f.Swap(t.Context(), f.space, "n", []byte("lease"), fmt.Appendf(nil, "%d", i), time.Minute)
		if err != nil {
			t.Errorf("Swap: %v", err)
		}
		if swapped {
			ours.Add(1)
		}
	})
	if ours.Load() != 1 {
		t.Errorf("%d of 64 swaps are ours, want 1", ours.Load())
	}
}

func testClaimRace(t *testing.T, f *fixture) {
	var ours atomic.Int32
	parallel(64, func(i int) {
		value := fmt.Appendf(nil, "%d", i)
		held, err := f.Claim(t.Context(), f.space, "n", value, time.Minute)
		switch {
		case err != nil:
			t.Errorf("Claim: %v", err)
		case held == nil:
			ours.Add(1)
		case bytes.Equal(held, value):
			t.Errorf("Claim: held by itself")
		}
	})
	if ours.Load() != 1 {
		t.Errorf("%d of 64 claims are ours, want 1", ours.Load())
	}
}

func testContext(t *testing.T, f *fixture) {
	f.create("a", newRecord("ada", "one"), 0)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := f.Load(ctx, f.key("a")); err != nil && !errors.Is(err, context.Canceled) {
		t.Errorf("Load with an ended context: got %v, want context.Canceled or an answer", err)
	}
	if _, err := f.Load(ctx, f.key("none")); err == nil {
		t.Error("Load of nothing with an ended context: no error")
	}
	f.wantData("a", "one")
}

func testPing(t *testing.T, f *fixture) {
	if err := f.Ping(t.Context()); err != nil {
		t.Errorf("Ping: %v", err)
	}
}

func parallel(n int, fn func(i int)) {
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { fn(i) })
	}
	wg.Wait()
}
