package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"
)

// deafFaults are those in which one instance does not hear that sessions end, which they
// do at the other one.
var deafFaults = []*fault{frozen(), cutOff()}

const (
	// frozenFor is longer than a lease.
	frozenFor = 4 * time.Second

	// hungFor is the patience of a balancer.
	hungFor = time.Second

	// askers is how many requests for each session wait in an instance that is frozen. Some
	// are served before it has read what Redis told it.
	askers = 4
)

// frozen stops an instance where it is. What has come since it was stopped is answered
// when it goes on, and whoever asks with a session that had ended by then is nobody,
// whatever the instance still remembers.
func frozen() *fault {
	var waiting sync.WaitGroup
	var mu sync.Mutex
	var answers []*answer
	return &fault{
		name: "an instance frozen (SIGSTOP) for 4 s, then going on", on: onOne,
		sees: "what it was serving hangs until the balancer gives up; the other instance serves the rest; then maybe once a 503",
		// It may refuse what it was doing when it was stopped: that has taken too long.
		terms: terms{view: hungFor + time.Second, login: hungFor + time.Second, lag: time.Second, refused: everything, byDeaf: true, hangs: true},
		begin: do(func(w *world) {
			w.still.Lock() // or who asked before would wait for as long as it takes
			defer w.still.Unlock()
			w.balancer.patience.Store(int64(hungFor))
		}),
		during: func(ctx context.Context, w *world) error {
			answers = nil
			p, err := w.invite(ctx)
			if err != nil {
				return err
			}
			if err := w.instances[deaf].freeze(); err != nil {
				return err
			}
			began := time.Now()
			w.tally.setReadiness(isReady)
			if err := p.end(ctx); err != nil {
				return err
			}
			for range askers {
				for _, token := range p.tokens {
					waiting.Go(func() {
						a := w.wait(ctx, token, deaf)
						mu.Lock()
						defer mu.Unlock()
						answers = append(answers, a)
					})
				}
			}
			pause(ctx, time.Until(began.Add(frozenFor)))
			return ctx.Err()
		},
		end: func(ctx context.Context, w *world) error {
			goesOn := time.Now()
			err := w.instances[deaf].thaw()
			waiting.Wait()
			w.balancer.patience.Store(0)
			return errors.Join(err, w.judgeWaiters(answers, goesOn))
		},
	}
}

// wait asks one instance for a page with an old cookie, however long it takes.
func (w *world) wait(ctx context.Context, token string, n int) *answer {
	at := w.base.JoinPath("/api/me")
	a := &answer{kind: kindView, path: at.Path, token: token, header: http.Header{}}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	r, err := newRequest(ctx, w.stolen(token), http.MethodGet, at, nil, "application/json")
	if err != nil {
		a.err = err
		return a
	}
	a.began = time.Now()
	a.receive(w.balancer.ways[n].RoundTrip(r))
	return a
}

// judgeWaiters holds answers against the ledger that an instance gave when it went on.
// There is no lag for them: its lease was over.
func (w *world) judgeWaiters(answers []*answer, goesOn time.Time) error {
	found := make(map[int]int)
	for _, a := range answers {
		if a.err == nil && a.ended.Before(goesOn) {
			return fmt.Errorf("an instance that is frozen answers: status %d", a.status)
		}
		found[a.status]++
		a.terms = &terms{view: frozenFor + time.Second, refused: everything}
		for _, v := range w.ledger.judge(a) {
			w.report(v)
		}
	}
	w.tally.note(fmt.Sprintf("%d requests waited in the instance: %d let in, %d strangers, %d times 503", len(answers),
		found[http.StatusOK], found[http.StatusUnauthorized], found[http.StatusServiceUnavailable]))
	return nil
}

// cutOff keeps all that an instance and Redis send each other from arriving. What it has
// in memory is good for the rest of a lease, and then it can say nothing.
func cutOff() *fault {
	return &fault{
		name: "one instance cut off from Redis, in silence", on: onOne,
		sees:  "public pages, and 503 elsewhere, where that instance answers; nobody is signed out; the other instance serves all",
		terms: terms{view: 1500 * time.Millisecond, login: 2 * time.Second, lag: lease, refused: everything, byDeaf: true},
		begin: do(func(w *world) {}),
		during: func(ctx context.Context, w *world) error {
			p, err := w.invite(ctx)
			if err != nil {
				return err
			}
			began := time.Now()
			w.redis.one.ways[deaf].Cut()
			if err := p.end(ctx); err != nil {
				return err
			}
			honoured := p.replayAll(ctx)
			pause(ctx, time.Until(began.Add(settling)))
			w.tally.setReadiness(isReadyButDeaf)
			p.replayAll(ctx)
			pause(ctx, time.Until(began.Add(lease)))
			if n := p.replayAll(ctx)[http.StatusServiceUnavailable]; n != guests {
				w.report(violation{kind: stale, text: fmt.Sprintf("%v after it was cut off the instance still knows of %d of %d guests", lease, guests-n, guests)})
			}
			w.tally.note(fmt.Sprintf("at first it let in %d of %d guests", honoured[http.StatusOK], guests))
			pause(ctx, time.Second)
			return ctx.Err()
		},
		end: do(func(w *world) { w.redis.one.ways[deaf].Mend() }),
	}
}

// replayAll tries the guests' sessions at the instance that does not hear, and counts how
// it answers.
func (p *party) replayAll(ctx context.Context) map[int]int {
	found := make(map[int]int)
	for _, token := range p.tokens {
		found[p.host.world.replay(ctx, token, deaf).status]++
	}
	return found
}
