package background_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/idxauth/idxauth/internal/background"
)

func TestGroupBoundsNumberAndTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := background.NewGroup(1)
		ctx, leave := context.WithCancel(t.Context())
		start := time.Now()
		var ended time.Duration
		wait := func(ctx context.Context) {
			<-ctx.Done()
			ended = time.Since(start)
		}
		if !g.Go(ctx, time.Second, wait) {
			t.Fatal("an empty group is full")
		}
		leave() // the request's end is not the work's
		if g.Go(ctx, time.Second, wait) {
			t.Error("a full group took more work")
		}
		g.Close()
		if ended != time.Second {
			t.Errorf("the work ended after %v, want 1s, and Close waits for it", ended)
		}
		if g.Go(ctx, time.Second, wait) {
			t.Error("a closed group took work")
		}
	})
}

func TestCancelEndsTheWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := background.NewGroup(1)
		start := time.Now()
		g.Go(t.Context(), time.Hour, func(ctx context.Context) { <-ctx.Done() })
		g.Cancel()
		if took := time.Since(start); took > 0 {
			t.Errorf("Cancel took %v", took)
		}
	})
}

// What a goroutine of somebody else does for the group is waited for like the rest.
func TestDoIsTheGroupsWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := background.NewGroup(1)
		started, ended := make(chan struct{}), false
		go g.Do(t.Context(), time.Hour, func(ctx context.Context) {
			close(started)
			<-ctx.Done()
			ended = true
		})
		<-started
		if g.Do(t.Context(), time.Second, func(context.Context) {}) {
			t.Error("a full group did more work")
		}
		g.Cancel()
		if !ended {
			t.Error("Cancel did not wait")
		}
		if g.Do(t.Context(), time.Second, func(context.Context) {}) {
			t.Error("a closed group did work")
		}
	})
}

func TestPanicEndsTheWorkAndNothingElse(t *testing.T) {
	g := background.NewGroup(1)
	g.Go(t.Context(), time.Hour, func(context.Context) { panic("hook") })
	g.Close()
}
