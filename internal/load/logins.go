package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
)

// loginsResult is what became of so many browsers that log in at once.
type loginsResult struct {
	browsers           int
	rate               float64
	atOnce, later      int
	busy               int // answers 503
	failed             map[string]int
	took               time.Duration
	login, callback    times // callback: the one that was answered
	before, after      measured
	redisMemory, calls int64
}

// surroundings are the processes of a run.
type surroundings struct {
	redis *redisServer
	hub   *hub
	app   *app
}

// surround starts Redis, LoginRadius with so many users unless that is 0, and the
// application.
func surround(ctx context.Context, users int, cfg appConfig) (s surroundings, err error) {
	if s.redis, err = startRedis(ctx); err != nil {
		return s, err
	}
	cfg.Redis = s.redis.addr
	cfg.Name, cfg.Key = "load", "none"
	if users > 0 {
		if s.hub, err = startHub(users + 1); err != nil {
			return s, err
		}
		cfg.Name, cfg.Key, cfg.Secret, cfg.Hub = s.hub.cfg.AppName, s.hub.cfg.APIKey, string(s.hub.cfg.APISecret), s.hub.cfg.HubURL
	}
	s.app, err = startApp(ctx, cfg)
	return s, err
}

func (s surroundings) stop() {
	if s.app != nil {
		s.app.stop()
	}
	if s.hub != nil {
		s.hub.close()
	}
	if s.redis != nil {
		s.redis.stop()
	}
}

// logins lets n browsers log in at once: a stranger's page, the hosted page, the
// callback, the page, and one more view of it.
func logins(ctx context.Context, n int, rate float64) (*loginsResult, error) {
	s, err := surround(ctx, n, appConfig{Rate: rate})
	defer s.stop()
	if err != nil {
		return nil, err
	}
	r := &loginsResult{browsers: n, rate: rate, failed: make(map[string]int)}
	f := newFleet(s.hub, s.app.base)
	if err := f.browser(n).open(ctx, "/page"); err != nil { // starts what there is once, such as the near cache
		return nil, err
	}
	f.rest()
	s.hub.calls.Store(0)
	if r.before, err = s.app.measure(ctx, true); err != nil {
		return nil, err
	}
	memory, err := s.redis.memory(ctx)
	if err != nil {
		return nil, err
	}
	var mu sync.Mutex
	var wrong error
	start := time.Now()
	each(n, n, func(user int) {
		b := f.browser(user)
		began := time.Now()
		err := b.open(ctx, "/page")
		took := time.Since(began)
		if err == nil {
			err = b.open(ctx, "/page")
		}
		mu.Lock()
		defer mu.Unlock()
		r.busy += b.busy
		if clean, ok := errors.AsType[failure](err); ok {
			r.failed[clean.text]++
			return
		}
		if err != nil {
			wrong = err
			return
		}
		r.login, r.callback = append(r.login, took), append(r.callback, b.callback)
		if b.busy > 0 {
			r.later++
		} else {
			r.atOnce++
		}
	})
	r.took = time.Since(start)
	if wrong != nil {
		return nil, wrong
	}
	if r.after, err = s.app.calm(ctx, f, r.before); err != nil {
		return nil, err
	}
	if r.redisMemory, err = s.redis.memory(ctx); err != nil {
		return nil, err
	}
	r.redisMemory -= memory
	r.calls = s.hub.calls.Load()
	return r, nil
}

// each calls do for 0 to n-1, so many at a time.
func each(n, atATime int, do func(int)) {
	next := make(chan int)
	var group sync.WaitGroup
	for range atATime {
		group.Go(func() {
			for i := range next {
				do(i)
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	group.Wait()
}

func (r *loginsResult) succeeded() int { return r.atOnce + r.later }

func (r *loginsResult) String() string {
	var b strings.Builder
	limit := fmt.Sprintf("%.0f API calls a second at most", r.rate)
	switch {
	case r.rate < 0:
		limit = "no limit of API calls a second"
	case r.rate == 0:
		limit = "the default limit of API calls a second"
	}
	fmt.Fprintf(&b, "## %d browsers that log in at once, with %s\n\n| | |\n| --- | ---: |\n", r.browsers, limit)
	row := func(what, format string, args ...any) {
		fmt.Fprintf(&b, "| %s | "+format+" |\n", append([]any{what}, args...)...)
	}
	row("signed in", "%.2f %%", percent(r.succeeded(), r.browsers))
	row("– at once", "%.2f %%", percent(r.atOnce, r.browsers))
	row("– after 503 and Retry-After", "%.2f %%", percent(r.later, r.browsers))
	row("answers 503, all obeyed", "%d", r.busy)
	row("failed", "%d", r.browsers-r.succeeded())
	for text, n := range r.failed {
		row("– "+text, "%d", n)
	}
	row("all took", "%.1f s", r.took.Seconds())
	row("logins a second", "%.0f", float64(r.succeeded())/r.took.Seconds())
	row("a login, waiting included: median, p99, max", "%s", r.login)
	row("the callback that was answered: median, p99, max", "%s", r.callback)
	row("API calls a login", "%.2f", float64(r.calls)/float64(r.succeeded()))
	row("round trips to Redis a login and its two pages", "%.2f", float64(r.after.Trips-r.before.Trips)/float64(r.succeeded()))
	row("Redis memory a login", "%d bytes", r.redisMemory/int64(max(1, r.succeeded())))
	row("application: peak resident memory", "%d MB", r.after.Peak>>20)
	row("application: heap before, after", "%d MB, %d MB", r.before.Heap>>20, r.after.Heap>>20)
	row("application: goroutines before, after", "%d, %d", r.before.Goroutines, r.after.Goroutines)
	return b.String()
}
