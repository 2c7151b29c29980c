package main

import (
	"context"
	"time"

	"github.com/idxauth/idxauth/idx/idxtest"
)

var appFaults = []*fault{
	{
		name: "an instance killed in the middle of logins", on: onOne,
		sees:  "what it was serving breaks off; the other instance serves all",
		terms: terms{view: time.Second, login: 2 * time.Second, lag: lease, refused: nothing, cuts: true}, ready: isReady,
		begin: func(ctx context.Context, w *world) error {
			w.slowLogins(ctx)
			w.instances[deaf].kill()
			w.hub.ClearFault()
			return nil
		},
		end: restart,
	},
	{
		name: "an instance stopped (SIGTERM) in the middle of requests", on: onOne, brief: true,
		sees:  "nothing: it answers what it has begun, and the other instance serves the rest",
		terms: terms{view: time.Second, login: 2 * time.Second, lag: time.Second, refused: nothing}, ready: isReady,
		begin: func(ctx context.Context, w *world) error {
			w.slowLogins(ctx)
			err := w.instances[deaf].stop(10 * time.Second)
			w.hub.ClearFault()
			return err
		},
		end: restart,
	},
	clockFault("the clock of an instance two minutes fast", 2*time.Minute),
	clockFault("the clock of an instance two minutes slow", -2*time.Minute),
}

// slowLogins sees to it that some logins are under way.
func (w *world) slowLogins(ctx context.Context) {
	w.hub.SetFault(idxtest.Fault{Kind: idxtest.SlowHeaders, Delay: 400 * time.Millisecond})
	pause(ctx, time.Second)
}

func restart(ctx context.Context, w *world) error { return w.instances[deaf].start(ctx) }

// clockFault sets one clock of the wall, as a careless operator does: in one step. The
// time that passes is right all the same.
func clockFault(name string, off time.Duration) *fault {
	set := func(d time.Duration) func(context.Context, *world) error {
		return func(_ context.Context, w *world) error {
			i := w.instances[deaf]
			return i.setClock(offset{i.clock.wall + d, i.clock.mono})
		}
	}
	return &fault{
		name: name, on: onOne, sees: "nothing",
		terms: terms{view: time.Second, login: 2 * time.Second, lag: time.Second, refused: nothing}, ready: isReady,
		begin: set(off), end: set(-off),
	}
}
