package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
)

// stormResult is how everybody got back in after Redis had lost all sessions.
type stormResult struct {
	browsers      int
	away          time.Duration
	recovered     time.Duration // from Redis' return until 99.9 % were signed in again
	last          time.Duration
	busy          int
	failed        map[string]int
	callsBefore   int64
	calls         int64
	before, after measured
	login         times // of the page that needed it
	signedInAgain int
}

const (
	pollEvery = time.Second
	redisAway = 2 * time.Second
)

// loginStorm signs n browsers in, lets all of them look at pages, and kills Redis, which
// comes back empty. Nobody helps them: their hosted page knows them.
func loginStorm(ctx context.Context, n int, rate float64) (*stormResult, error) {
	s, err := surround(ctx, n, appConfig{Rate: rate})
	defer s.stop()
	if err != nil {
		return nil, err
	}
	r := &stormResult{browsers: n, failed: make(map[string]int)}
	f := newFleet(s.hub, s.app.base)
	browsers := make([]*browser, n)
	var mu sync.Mutex
	each(n, 16, func(user int) {
		b := f.browser(user)
		if e := b.open(ctx, "/page"); e != nil {
			mu.Lock()
			defer mu.Unlock()
			err = e
		}
		browsers[user] = b
	})
	if err != nil {
		return nil, err
	}
	f.rest()
	if r.before, err = s.app.measure(ctx, true); err != nil {
		return nil, err
	}
	r.callsBefore = s.hub.calls.Load()

	// Each looks at a page once a second, until it has seen one in a new session.
	polling, stop := context.WithCancel(ctx)
	defer stop()
	var wrong error
	back := make(chan time.Time, n) // when each was signed in again
	var group sync.WaitGroup
	for i, b := range browsers {
		group.Go(func() {
			old := b.session()
			if !pause(polling, pollEvery*time.Duration(i)/time.Duration(n)) {
				return
			}
			for polling.Err() == nil {
				b.busy = 0
				began := time.Now()
				err := b.open(polling, "/page")
				mu.Lock()
				r.busy += b.busy
				if clean, ok := errors.AsType[failure](err); ok && polling.Err() == nil {
					r.failed[clean.text]++
				} else if err != nil && !ok {
					wrong = err
				}
				isBack := err == nil && b.session() != old
				if isBack {
					r.login = append(r.login, time.Since(began))
				}
				mu.Unlock()
				if isBack {
					back <- time.Now()
					return
				}
				if !pause(polling, pollEvery) {
					return
				}
			}
		})
	}
	pause(ctx, 2*pollEvery) // everybody has looked at a page: the near cache is warm
	killed := time.Now()
	s.redis.kill()
	pause(ctx, redisAway)
	if err := s.redis.start(ctx); err != nil {
		return nil, err
	}
	returned := time.Now()
	r.away = returned.Sub(killed)
	enough := n - n/1000
	patience := time.NewTimer(5 * time.Minute)
	defer patience.Stop()
wait:
	for r.signedInAgain < n {
		select {
		case at := <-back:
			r.signedInAgain++
			r.last = at.Sub(returned)
			if r.signedInAgain == enough {
				r.recovered = r.last
			}
		case <-patience.C:
			break wait
		case <-ctx.Done():
			break wait
		}
	}
	stop()
	group.Wait()
	if wrong != nil {
		return nil, wrong
	}
	r.calls = s.hub.calls.Load() - r.callsBefore
	r.after, err = s.app.calm(ctx, f, r.before)
	return r, err
}

// session is the browser's session cookie.
func (b *browser) session() string {
	for _, jar := range b.cookies {
		for name, value := range jar {
			if strings.HasSuffix(name, "-session") {
				return value
			}
		}
	}
	return ""
}

func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func (r *stormResult) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "## %d signed-in browsers, and Redis loses everything\n\nEach looks at a page once a second. Redis is killed, and %.1f s later it is back, empty.\n\n| | |\n| --- | ---: |\n", r.browsers, r.away.Seconds())
	row := func(what, format string, args ...any) {
		fmt.Fprintf(&b, "| %s | "+format+" |\n", append([]any{what}, args...)...)
	}
	row("signed in again, without anybody's help", "%.2f %%", percent(r.signedInAgain, r.browsers))
	row("from Redis' return until 99.9 % were", "%.1f s", r.recovered.Seconds())
	row("until the last one was", "%.1f s", r.last.Seconds())
	row("the page view that did it, waiting included: median, p99, max", "%s", r.login)
	row("answers 503, all obeyed", "%d", r.busy)
	row("other failures", "%d", total(r.failed))
	for text, n := range r.failed {
		row("– "+text, "%d", n)
	}
	row("API calls a browser", "%.2f", float64(r.calls)/float64(r.browsers))
	row("application: peak resident memory", "%d MB", r.after.Peak>>20)
	row("application: goroutines before, after", "%d, %d", r.before.Goroutines, r.after.Goroutines)
	return b.String()
}

func total(counts map[string]int) (n int) {
	for _, c := range counts {
		n += c
	}
	return n
}
