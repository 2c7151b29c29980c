package main

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/idxauth/idxauth/idx/idxtest"
)

// How people use an application, for the number of API calls: a page every ten seconds.
const (
	step         = 30 * time.Second
	viewsPerStep = 3
)

var timeFaults = []*fault{
	{
		name: "API down for ten minutes", on: onOne,
		sees:  noLogins,
		terms: terms{view: time.Second, login: 10 * time.Second, lag: time.Second, refused: logins}, ready: isReady,
		begin: func(ctx context.Context, w *world) error {
			if err := w.measureSteady(ctx); err != nil {
				return err
			}
			w.hub.SetFault(idxtest.Fault{Kind: idxtest.Reset})
			return nil
		},
		during: func(ctx context.Context, w *world) error {
			return w.measure(ctx, "while the API is down", 10*time.Minute)
		},
		end:   do(func(w *world) { w.hub.ClearFault() }),
		after: rereadAll,
	},
	{
		name: "API down for longer than `StaleFor`", on: onOne,
		sees:  "public pages; 503 elsewhere; nobody is signed out",
		terms: terms{view: 10 * time.Second, login: 10 * time.Second, lag: time.Second, refused: everything}, ready: isReady,
		begin: func(ctx context.Context, w *world) error {
			w.still.Lock()
			defer w.still.Unlock()
			w.gather(ctx)
			w.hub.SetFault(idxtest.Fault{Kind: idxtest.Reset})
			for _, d := range []time.Duration{6 * time.Minute, 20 * time.Minute} {
				if err := w.jump(ctx, d); err != nil {
					return err
				}
				w.everybodyViews(ctx)
				if err := w.expect(ctx, http.StatusOK); err != nil {
					return err
				}
				w.quiet(ctx) // or what is read in the background fails at a later time
			}
			if err := w.jump(ctx, 11*time.Minute); err != nil {
				return err
			}
			return w.expect(ctx, http.StatusServiceUnavailable)
		},
		end:   do(func(w *world) { w.hub.ClearFault() }),
		after: welcomeAll,
	},
}

// welcomeAll waits until everybody who is signed in gets his pages again, and then does what
// is done after each outage of the API. Whose copy is too old to be shown is refused until
// the API was asked, and at first it is asked by one call alone.
func welcomeAll(ctx context.Context, w *world) error {
	err := until(ctx, usualAgain, "everybody gets his pages again", func() bool {
		w.still.Lock()
		defer w.still.Unlock()
		return !slices.ContainsFunc(w.browsers, func(b *browser) bool {
			return w.ledger.isLive(b.token()) && b.get(ctx, "/api/me").status == http.StatusServiceUnavailable
		})
	})
	if err != nil {
		w.report(violation{kind: notNormal, text: err.Error()})
	}
	return rereadAll(ctx, w)
}

// quiet waits until nobody has asked the API for a while.
func (w *world) quiet(ctx context.Context) {
	for calls := int64(-1); calls != w.api.calls.Load() && ctx.Err() == nil; {
		calls = w.api.calls.Load()
		pause(ctx, 700*time.Millisecond)
	}
}

// gather signs everybody in.
func (w *world) gather(ctx context.Context) {
	for _, b := range w.browsers {
		if !w.ledger.isLive(b.token()) {
			b.jar = newJar()
			b.visit(ctx, "/dashboard")
		}
	}
}

// measureSteady measures while everything works.
func (w *world) measureSteady(ctx context.Context) error {
	w.still.Lock()
	w.gather(ctx)
	w.still.Unlock()
	return w.measure(ctx, "in steady state", 20*time.Minute)
}

// measure lets time go by, in which visitors view pages and do nothing else, and notes how
// many calls of the API that took.
func (w *world) measure(ctx context.Context, when string, d time.Duration) error {
	w.still.Lock()
	defer w.still.Unlock()
	calls, views := w.api.calls.Load(), 0
	for passed := time.Duration(0); passed < d; passed += step {
		if err := w.jump(ctx, step); err != nil {
			return err
		}
		views += w.everybodyViews(ctx)
	}
	if views == 0 {
		return fmt.Errorf("nobody has viewed a page %s", when)
	}
	w.tally.note(fmt.Sprintf("%.1f API calls per 1,000 page views %s (%d views in %v, a page every %v; %d calls)",
		float64(w.api.calls.Load()-calls)*1000/float64(views), when, views, d, step/viewsPerStep, w.api.calls.Load()-calls))
	return ctx.Err()
}

func (w *world) everybodyViews(ctx context.Context) (views int) {
	var all sync.WaitGroup
	for _, b := range w.browsers {
		if !w.ledger.isLive(b.token()) {
			continue
		}
		views += viewsPerStep
		all.Go(func() {
			for range viewsPerStep {
				b.get(ctx, "/api/me")
			}
		})
	}
	all.Wait()
	return views
}

// expect makes sure that all visitors who are signed in get this answer. Terms that allow
// refusals would pass where there are none, and where there are only some.
func (w *world) expect(ctx context.Context, status int) error {
	asked := 0
	for _, b := range w.browsers {
		if !w.ledger.isLive(b.token()) {
			continue
		}
		asked++
		if a := b.get(ctx, "/api/me"); a.status != status {
			kind := refused
			if a.status == http.StatusOK {
				kind = stale
			}
			w.report(violation{kind: kind, text: fmt.Sprintf("%s: status %d, want %d", user(b.user), a.status, status), at: saysRedis(a)})
		}
	}
	if asked < visitors/2 {
		return fmt.Errorf("only %d visitors are signed in", asked)
	}
	return nil
}
