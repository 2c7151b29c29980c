package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// readiness is what /readyz has to say while something is broken.
type readiness int

const (
	whatever readiness = iota
	isReady
	isNotReady
	isReadyButDeaf
)

// of is what one instance has to say.
func (r readiness) of(n int) readiness {
	switch {
	case r != isReadyButDeaf:
		return r
	case n == deaf:
		return isNotReady
	}
	return isReady
}

// watch asks an instance about its health, as whatever runs it does.
func (w *world) watch(ctx context.Context, n int) {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if !w.instances[n].down.Load() {
			w.look(ctx, n)
		}
	}
}

func (w *world) look(ctx context.Context, n int) {
	i := w.instances[n]
	if !i.isAlive() && !i.down.Load() {
		w.report(violation{kind: dead, text: fmt.Sprintf("instance %d: exit code %d", n, i.current.Load().code)})
		return
	}
	for path, want := range map[string]readiness{"/healthz": isReady, "/readyz": w.tally.readiness().of(n)} {
		began := time.Now()
		status, err := w.ask(ctx, n, path)
		if path == "/healthz" && !i.down.Load() {
			w.stalled(time.Since(began))
		}
		// One that has just gone on may need longer than the balancer waits.
		if ctx.Err() != nil || i.down.Load() || errors.Is(err, errHung) || path == "/readyz" && w.tally.readiness().of(n) != want {
			continue
		}
		switch {
		case err != nil:
			w.report(violation{kind: health, text: fmt.Sprintf("%s of instance %d: %v", path, n, err)})
		case want == isReady && status != http.StatusOK, want == isNotReady && status != http.StatusServiceUnavailable:
			w.report(violation{kind: health, text: fmt.Sprintf("%s of instance %d says %d", path, n, status), at: began})
		}
	}
}

// ask asks one instance; ten seconds at most.
func (w *world) ask(ctx context.Context, n int, path string) (status int, err error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, w.base.JoinPath(path).String(), nil)
	if err != nil {
		return 0, err
	}
	resp, err := w.balancer.send(r, n)
	if err != nil {
		return 0, err
	}
	resp.Body.Close()
	return resp.StatusCode, nil
}

// redisPatience is how long the application waits for an answer of Redis.
const redisPatience = 250 * time.Millisecond

// witness asks Redis all the time, on the way that the application takes.
func (w *world) witness(ctx context.Context) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		ask, cancel := context.WithTimeout(ctx, redisPatience)
		err := w.redis.ping(ask)
		cancel()
		if err != nil && ctx.Err() == nil {
			w.tally.noteSilence()
		}
	}
}

// feel measures for how long this program does not get to run.
func (w *world) feel(ctx context.Context) {
	const nap = 10 * time.Millisecond
	for ctx.Err() == nil {
		began := time.Now()
		pause(ctx, nap)
		w.stalled(time.Since(began) - nap)
	}
}

// stalled notes how long something took that takes no time. Nobody who does not get to
// run can wait for Redis, or bring its answer.
func (w *world) stalled(d time.Duration) {
	w.tally.measureMachine(d)
	if d > redisPatience/2 {
		w.tally.noteSilence()
	}
}
