package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// sessionsResult compares page views among many sessions with those among few.
type sessionsResult struct {
	few, many figures
	rounds    int
	ratioP50  float64 // medians over the rounds of many / few
	ratioP99  float64
	ratioRate float64
}

// figures are of one number of sessions: medians over the rounds.
type figures struct {
	sessions       int
	cold           bool // each view asks Redis
	p50, p99       time.Duration
	rate           float64
	process        measured // the application's
	redisMemory    int64    // a session
	trips          float64
	appPerSession  int64
	rates          []float64
	allP50, allP99 []float64
}

const (
	sessionRounds = 5
	viewTime      = 3 * time.Second
	viewers       = 16
)

// liveSessions makes n sessions of as many users and looks at pages with all of them;
// the same with a hundredth, in turns.
func liveSessions(ctx context.Context, n int, cold bool) (*sessionsResult, error) {
	r := &sessionsResult{rounds: sessionRounds, few: figures{sessions: max(1, n/100), cold: cold}, many: figures{sessions: n, cold: cold}}
	var crowds []*crowd
	for _, f := range []*figures{&r.few, &r.many} {
		c, err := newCrowd(ctx, f)
		defer c.stop()
		if err != nil {
			return nil, err
		}
		crowds = append(crowds, c)
	}
	for range sessionRounds {
		for _, c := range crowds {
			if err := c.round(ctx); err != nil {
				return nil, err
			}
		}
	}
	for _, c := range crowds {
		if err := c.finish(ctx); err != nil {
			return nil, err
		}
	}
	ratio := func(of func(*figures) []float64) float64 {
		var all []float64
		for i, few := range of(&r.few) {
			all = append(all, of(&r.many)[i]/few)
		}
		return median(all)
	}
	r.ratioP50 = ratio(func(f *figures) []float64 { return f.allP50 })
	r.ratioP99 = ratio(func(f *figures) []float64 { return f.allP99 })
	r.ratioRate = ratio(func(f *figures) []float64 { return f.rates })
	return r, nil
}

// crowd is an application with its sessions.
type crowd struct {
	surroundings
	*figures
	fleet  *fleet
	turns  chan *browser // all of them; who looks at a page is not in it
	before measured
	views  int64
	trips  int64
}

func newCrowd(ctx context.Context, f *figures) (*crowd, error) {
	c := &crowd{figures: f, turns: make(chan *browser, f.sessions)}
	var err error
	if c.surroundings, err = surround(ctx, 0, appConfig{Rate: -1, Cold: f.cold}); err != nil {
		return c, err
	}
	if c.before, err = c.app.measure(ctx, true); err != nil {
		return c, err
	}
	empty, err := c.redis.memory(ctx)
	if err != nil {
		return c, err
	}
	c.fleet = newFleet(nil, c.app.base)
	var mu sync.Mutex
	each(f.sessions, viewers, func(n int) {
		b := c.fleet.browser(n)
		if e := b.enter(ctx); e != nil {
			mu.Lock()
			defer mu.Unlock()
			err = e
		}
		c.turns <- b
	})
	if err != nil {
		return c, err
	}
	full, err := c.redis.memory(ctx)
	f.redisMemory = (full - empty) / int64(f.sessions)
	return c, err
}

// enter signs in without a hosted page: the token is the user.
func (b *browser) enter(ctx context.Context) error {
	resp, _, err := b.send(ctx, "GET", b.app+"/auth/login?return_to=/page", "")
	if err != nil {
		return err
	}
	at, err := url.Parse(resp.Header.Get("Location"))
	if err != nil {
		return err
	}
	for {
		if resp, _, err = b.send(ctx, "GET", at.Query().Get("return_url")+"&token="+uidOf(b.user), ""); err != nil {
			return err
		}
		switch resp.StatusCode {
		case http.StatusSeeOther:
			return nil
		case http.StatusFound: // over again: the answer to the first try was lost
			return b.enter(ctx)
		case http.StatusServiceUnavailable:
			if err := b.wait(ctx, resp); err != nil {
				return err
			}
		default:
			return fmt.Errorf("login of user %d: status %d", b.user, resp.StatusCode)
		}
	}
}

// round looks at pages for a while, of all sessions in turn.
func (c *crowd) round(ctx context.Context) error {
	before, err := c.app.measure(ctx, false)
	if err != nil {
		return err
	}
	var mu sync.Mutex
	var took times
	var wrong error
	end := time.Now().Add(viewTime)
	var group sync.WaitGroup
	for range viewers {
		group.Go(func() {
			var mine times
			var err error
			for time.Now().Before(end) && err == nil {
				b := <-c.turns
				start := time.Now()
				var resp *http.Response
				var body string
				resp, body, err = b.send(ctx, "GET", b.app+"/page", "")
				mine = append(mine, time.Since(start))
				switch {
				case err != nil:
				case resp.StatusCode == http.StatusServiceUnavailable: // of a machine that is too busy
					err = b.wait(ctx, resp)
				case body != "user "+uidOf(b.user):
					err = errors.New("a session is not its user's: " + body)
				}
				c.turns <- b
			}
			mu.Lock()
			defer mu.Unlock()
			took = append(took, mine...)
			if err != nil {
				wrong = err
			}
		})
	}
	group.Wait()
	if wrong != nil {
		return wrong
	}
	after, err := c.app.measure(ctx, false)
	c.views += int64(len(took))
	c.figures.rates = append(c.rates, float64(len(took))/viewTime.Seconds())
	c.allP50 = append(c.allP50, took.at(50).Seconds())
	c.allP99 = append(c.allP99, took.at(99).Seconds())
	c.trips += after.Trips - before.Trips
	return err
}

func (c *crowd) finish(ctx context.Context) (err error) {
	f := c.figures
	f.rate = median(f.rates)
	f.p50 = time.Duration(median(f.allP50) * float64(time.Second))
	f.p99 = time.Duration(median(f.allP99) * float64(time.Second))
	f.trips = float64(c.trips) / float64(c.views)
	if f.process, err = c.app.measure(ctx, true); err != nil {
		return err
	}
	f.appPerSession = (int64(f.process.Heap) - int64(c.before.Heap)) / int64(f.sessions)
	return nil
}

func (r *sessionsResult) String() string {
	var b strings.Builder
	what := "A session that comes up more seldom is more often read from Redis"
	if r.many.cold {
		fmt.Fprintf(&b, "## %d live sessions of as many users, without the near cache\n\n", r.many.sessions)
		what = "Each view reads its session from Redis"
	} else {
		fmt.Fprintf(&b, "## %d live sessions of as many users\n\n", r.many.sessions)
	}
	fmt.Fprintf(&b, "Page views over %d connections, all sessions in turn; medians of %d rounds of %v, in turns with the smaller number, and of the rounds' ratios. %s.\n\n", viewers, r.rounds, viewTime, what)
	fmt.Fprintf(&b, "| | %d sessions | %d sessions | ratio |\n| --- | ---: | ---: | ---: |\n", r.few.sessions, r.many.sessions)
	fmt.Fprintf(&b, "| page views a second | %.0f | %.0f | %.2f |\n", r.few.rate, r.many.rate, r.ratioRate)
	fmt.Fprintf(&b, "| a view, median | %s | %s | %.2f |\n", ms(r.few.p50), ms(r.many.p50), r.ratioP50)
	fmt.Fprintf(&b, "| a view, p99 | %s | %s | %.2f |\n", ms(r.few.p99), ms(r.many.p99), r.ratioP99)
	fmt.Fprintf(&b, "| round trips to Redis a view | %.3f | %.3f | |\n", r.few.trips, r.many.trips)
	fmt.Fprintf(&b, "| Redis memory a session, bytes, marks of the login included | %d | %d | |\n", r.few.redisMemory, r.many.redisMemory)
	fmt.Fprintf(&b, "| application: heap a session, bytes | %d | %d | |\n", r.few.appPerSession, r.many.appPerSession)
	fmt.Fprintf(&b, "| application: peak resident memory | %d MB | %d MB | |\n", r.few.process.Peak>>20, r.many.process.Peak>>20)
	return b.String()
}
