package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/idxauth/idxauth/idx/idxtest"
	"github.com/idxauth/idxauth/internal/redistest"
)

const (
	// instances is how many there are of the application.
	instances = 2

	// deaf is the number of the instance that most happens to, hearing that of the other.
	hearing = 0
	deaf    = 1

	// visitors is how many browsers there are, each with a user of its own.
	visitors = 24

	// victims are those of them whom the operator bothers.
	victims = 6

	// admin is the user who ends sessions on the admin page.
	admin = 1000

	// prober is the first of the users who try whether everything works.
	prober = 2000

	// guest is the first of the users whose sessions end at one instance while the other
	// one cannot hear of it.
	guest = 3000
)

// world is the application, all that it depends on, and the visitors.
type world struct {
	seed      uint64
	hub       *idxtest.Server
	api       *api
	redis     *backend
	base      *url.URL // public address
	instances []*instance
	balancer  *balancer

	still      sync.RWMutex // held for reading by who acts, so that somebody can have quiet
	ledger     *ledger
	terms      atomic.Pointer[terms]
	tally      *tally
	cookieName atomic.Pointer[string]

	browsers []*browser
	operator *browser
	before   []usage // of the instances, when nothing had happened
}

// newWorld starts everything, and ends it with t.
func newWorld(ctx context.Context, t testing.TB, program string, redis *backend, seed uint64) (*world, error) {
	// Nothing listens at the public address: only the balancer knows how to get there.
	base := &url.URL{Scheme: "http", Host: "localhost:1", Path: "/"}
	w := &world{seed: seed, redis: redis, base: base, ledger: newLedger(), tally: newTally()}
	w.terms.Store(healthy)
	var err error
	if w.hub, err = idxtest.Start(""); err != nil {
		return nil, err
	}
	t.Cleanup(w.hub.Close)
	if w.api, err = startAPI(w.hub); err != nil {
		return nil, err
	}
	t.Cleanup(func() { w.api.close() })
	cfg := w.hub.Config()
	env := append(os.Environ(),
		"BASE_URL="+base.String(),
		"LOGINRADIUS_APP_NAME="+cfg.AppName, "LOGINRADIUS_API_KEY="+cfg.APIKey,
		"LOGINRADIUS_API_SECRET="+string(cfg.APISecret),
		"LOGINRADIUS_HUB_URL="+cfg.HubURL, "LOGINRADIUS_API_URL=http://"+w.api.addr)
	for n := range instances {
		i, err := newInstance(program, t.TempDir(), append(slices.Clone(env), "REDIS_URL="+redis.urls[n]))
		if err != nil {
			return nil, err
		}
		if err := i.start(ctx); err != nil {
			return nil, err
		}
		t.Cleanup(i.kill)
		w.instances = append(w.instances, i)
	}
	w.balancer = newBalancer(base.Host, w.instances)
	t.Cleanup(w.balancer.closeIdle)
	w.hub.Set(func(s *idxtest.Settings) {
		s.Headless = true
		s.WebhookURL = base.JoinPath("/auth/webhook").String()
		s.WebhookTransport = webhooks{w.balancer}
	})
	w.populate()
	return w, w.settle(ctx)
}

// populate makes the users and their browsers.
func (w *world) populate() {
	for n := 1; n <= visitors; n++ {
		w.addUser(n)
		w.browsers = append(w.browsers, w.newBrowser(n))
	}
	w.addUser(admin, "admin")
	w.operator = w.newBrowser(admin)
	for n := range w.instances {
		w.addUser(prober + n)
	}
	for n := range guests {
		w.addUser(guest + n)
	}
}

func (w *world) addUser(n int, roles ...string) {
	w.hub.AddUser(idxtest.User{
		UID: user(n), Email: email(n), Password: idxtest.Password, FirstName: "Visitor", Roles: roles, EmailVerified: true,
	})
}

// settle uses everything once, and notes what the instances hold then.
func (w *world) settle(ctx context.Context) error {
	w.loadFor(ctx, 2*time.Second)
	if _, err := w.recovery(ctx, time.Now(), usualAgain); err != nil {
		return fmt.Errorf("before anything is broken: %w", err)
	}
	w.sweep(ctx)
	if all := w.tally.violations(); len(all) > 0 {
		return fmt.Errorf("before anything is broken: %s: %s", all[0].kind, all[0].text)
	}
	var err error
	w.before, err = w.usage()
	return err
}

// usage returns what the instances hold while no connection to them is open.
func (w *world) usage() ([]usage, error) {
	w.balancer.closeIdle()
	var all []usage
	for _, i := range w.instances {
		u, err := i.usage()
		if err != nil {
			return nil, err
		}
		all = append(all, u)
	}
	return all, nil
}

// report counts a violation.
func (w *world) report(v violation) { w.tally.add(v) }

// count judges an answer and counts it.
func (w *world) count(a *answer, probing bool) {
	if probing {
		return // whoever tries whether it works again expects that it does not
	}
	w.tally.count(a)
	for _, v := range w.ledger.judge(a) {
		w.report(v)
	}
}

// random returns a source for one who acts by himself.
func (w *world) random(who int) *rand.Rand { return rand.New(rand.NewPCG(w.seed, uint64(who))) }

// passTime lets d go by, between two requests: one that is being served would find that
// all its time limits have passed.
func (w *world) passTime(ctx context.Context, d time.Duration) error {
	w.still.Lock()
	defer w.still.Unlock()
	return w.jump(ctx, d)
}

// jump lets d go by, for the instances, the hosted page and API, and Redis. Whoever calls
// it sees to it that nobody acts.
func (w *world) jump(ctx context.Context, d time.Duration) error {
	if d > lateWebhooks {
		w.tally.losePromises() // whoever has promised to go on trying does so for a minute
	}
	for _, i := range w.instances {
		o := i.clock
		o.wall, o.mono = o.wall+d, o.mono+d
		if err := i.setClock(o); err != nil {
			return err
		}
	}
	w.hub.Advance(d)
	if err := w.redis.passTime(ctx, d); err != nil {
		return err
	}
	// What the instances did in the background was cut off as well, and they may blame
	// Redis for it for a moment.
	pause(ctx, 20*time.Millisecond)
	return until(ctx, 5*time.Second, "the instances are ready again", func() bool {
		for n, i := range w.instances {
			if status, err := w.ask(ctx, n, "/readyz"); !i.down.Load() && (err != nil || status != 200) {
				return false
			}
		}
		return true
	})
}

// backend is the Redis of a world.
type backend struct {
	urls    []string // for each instance
	ping    func(context.Context) error
	one     *one
	trio    *redistest.Sentinel
	cluster *redistest.Cluster
}
