package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"
)

// probes is how often in a row everything has to work at each instance.
const probes = 3

// probe tries whether a login, a page and a logout work at one instance.
func (w *world) probe(ctx context.Context, n int) error {
	b := w.newBrowser(prober + n)
	b.instance, b.probing = n, true
	for _, path := range []string{"/dashboard", "/api/me"} {
		a := b.visit(ctx, path)
		if err := works(a, http.StatusOK); err != nil {
			return err
		}
		if !slices.Contains(a.users(), b.user) {
			return fmt.Errorf("%s: shows nobody", path)
		}
	}
	token, a := b.logout(ctx)
	if err := works(a, http.StatusSeeOther); err != nil {
		return err
	}
	a = w.exchange(ctx, b, n, w.stolen(token), http.MethodGet, w.base.JoinPath("/api/me"), nil, "application/json")
	return works(a, http.StatusUnauthorized)
}

func works(a *answer, status int) error {
	switch {
	case a.err != nil:
		return fmt.Errorf("%s: %w", a.path, a.err)
	case a.status != status:
		return fmt.Errorf("%s: status %d %s, want %d", a.path, a.status, code(a.body), status)
	case a.took() > healthy.view:
		return fmt.Errorf("%s: took %v", a.path, a.took())
	}
	return nil
}

// insist asks until the answer is as it should be, as people do: that Redis or the machine
// was too busy for a moment ends no run. The ledger judges each answer all the same.
func insist(ctx context.Context, status int, ask func() *answer) error {
	var failed error
	err := until(ctx, usualAgain, "it works", func() bool {
		failed = works(ask(), status)
		return failed == nil
	})
	if err != nil {
		return errors.Join(err, failed)
	}
	return nil
}

// recovery waits until everything works at all instances, and returns how long after the
// given time that began. Calls of the API from before that still fail can keep logins out
// for a moment more.
func (w *world) recovery(ctx context.Context, mended time.Time, within time.Duration) (time.Duration, error) {
	var since time.Time
	old := w.api.age()
	for row := 0; row < probes; {
		began := time.Now()
		var failed error
		if n := old.Load(); n > 0 {
			failed = fmt.Errorf("%d calls of the API from before are still under way", n)
		}
		for n := range w.instances {
			if err := w.probe(ctx, n); err != nil {
				failed = fmt.Errorf("instance %d: %w", n, err)
			}
		}
		switch {
		case failed == nil && row == 0:
			row, since = 1, began
		case failed == nil:
			row++
		case time.Since(mended) > within+10*time.Second:
			return time.Since(mended), failed
		default:
			row = 0
			pause(ctx, 50*time.Millisecond)
		}
		if ctx.Err() != nil {
			return time.Since(mended), ctx.Err()
		}
	}
	return max(0, since.Sub(mended)), nil
}
