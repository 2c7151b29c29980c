package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"math/big"
	"slices"
	"time"

	"github.com/idxauth/idxauth/idx/idxtest"
)

// plan is what to measure.
type plan struct {
	only        []string // names of contenders
	connections []int
	sessions    int
	rounds      int
	time        time.Duration // of one measurement
	warmUp      time.Duration // before each
	pin         bool          // give each process a core, this one included
}

func (p plan) check() error {
	if p.rounds < 1 || p.sessions < 1 || p.time <= 0 || p.time > time.Minute || p.warmUp <= 0 || p.warmUp > time.Minute {
		return errors.New("want at least one round and one session, and times of up to a minute")
	}
	for _, name := range p.only {
		if !slices.ContainsFunc(contenders(), func(c contender) bool { return c.name == name }) {
			return fmt.Errorf("%q is no contender", name)
		}
	}
	return nil
}

// run is a plan being carried out.
type run struct {
	plan
	layout
	log   io.Writer
	redis *redisServer
	hub   *idxtest.Server
}

// cell names one place in the tables.
type cell struct {
	contender   string
	connections int
}

// results are all figures, those of a cell in the order of the rounds.
type results struct {
	plan
	contenders []contender
	figures    map[cell][]figures
	missing    map[string]string // contenders that could not run, and why
	memory     map[string]int64  // bytes in Redis of all sessions of a contender
	setting    []string          // what it was measured on
}

// carryOut measures every contender in every round, in an order drawn anew for each,
// so that what else the machine does meets all of them alike.
func (p plan) carryOut(ctx context.Context, log io.Writer) (*results, error) {
	if err := p.check(); err != nil {
		return nil, err
	}
	r := &run{plan: p, layout: layout{note: "nothing was pinned"}, log: log}
	if p.pin {
		r.layout = newLayout()
	}
	fmt.Fprintln(log, r.note)
	var err error
	if r.redis, err = startRedis(ctx, r.rest); err != nil {
		return nil, err
	}
	defer r.redis.stop()
	if r.hub, err = idxtest.Start(""); err != nil {
		return nil, err
	}
	defer r.hub.Close()
	r.hub.Set(func(s *idxtest.Settings) { s.Headless = true })

	res := &results{plan: p, figures: make(map[cell][]figures), missing: make(map[string]string), memory: make(map[string]int64)}
	for _, c := range contenders() {
		if slices.Contains(p.only, c.name) {
			res.contenders = append(res.contenders, c)
		}
	}
	field, err := r.gather(ctx, res)
	defer field.stop()
	if err != nil {
		return nil, err
	}
	if err := r.playRounds(ctx, field, res); err != nil {
		return nil, err
	}
	for _, e := range field {
		if err := r.check(ctx, e.contender, e.address, e.cookies); err != nil {
			return nil, fmt.Errorf("%s, after the load: %w", e.name, err)
		}
	}
	res.setting = r.setting(ctx)
	return res, nil
}

// entrant is a contender whose server runs and has its sessions.
type entrant struct {
	contender
	*server
	cookies []string
	keys    []string // in Redis, of the sessions of one whose sessions are changed
	load    *load
}

type field []entrant

func (f field) stop() {
	for _, e := range f {
		e.stop()
	}
}

// gather starts the contenders, and notes in res which ones this machine cannot
// start. One that starts and then errs is an error.
func (r *run) gather(ctx context.Context, res *results) (f field, err error) {
	env := surroundings{redis: r.redis.address, hub: r.hub.Config()}
	for _, c := range res.contenders {
		cmd, err := c.command(ctx, env)
		if ctx.Err() != nil {
			return f, ctx.Err()
		}
		if errors.Is(err, errNotHere) {
			fmt.Fprintf(r.log, "%s: not run: %v\n", c.name, err)
			res.missing[c.name] = err.Error()
			continue
		}
		if err != nil {
			return f, fmt.Errorf("%s: %w", c.name, err)
		}
		s, err := startServer(cmd, r.server)
		if err != nil {
			return f, fmt.Errorf("%s: %w", c.name, err)
		}
		e := entrant{contender: c, server: s}
		f = append(f, e)
		began := time.Now()
		before, err := r.redis.memory(ctx)
		if err != nil {
			return f, err
		}
		others, err := r.redis.sessionKeys(ctx)
		if err != nil {
			return f, err
		}
		if e.cookies, err = r.signInAll(ctx, c, s.address); err != nil {
			return f, fmt.Errorf("%s: %w", c.name, err)
		}
		after, err := r.redis.memory(ctx)
		if err != nil {
			return f, err
		}
		res.memory[c.name] = after - before
		if err := r.check(ctx, c, s.address, e.cookies); err != nil {
			return f, fmt.Errorf("%s: %w", c.name, err)
		}
		if c.changes > 0 {
			all, err := r.redis.sessionKeys(ctx)
			if err != nil {
				return f, err
			}
			e.keys = without(all, others)
		}
		e.load = newLoad(c, s.address, e.cookies)
		f[len(f)-1] = e
		fmt.Fprintf(r.log, "%s: %d sessions in %v\n", c.name, r.sessions, time.Since(began).Round(time.Millisecond))
	}
	return f, nil
}

func (r *run) playRounds(ctx context.Context, f field, res *results) error {
	type turn struct {
		entrant
		connections int
	}
	var turns []turn
	for _, e := range f {
		for _, n := range r.connections {
			turns = append(turns, turn{e, n})
		}
	}
	for _, e := range f {
		if err := r.warm(ctx, e.load); err != nil {
			return fmt.Errorf("%s: %w", e.name, err)
		}
	}
	for round := range r.rounds {
		if err := shuffle(turns); err != nil {
			return err
		}
		for _, t := range turns {
			calm := r.redis.change(ctx, t.keys, t.changes)
			figures, err := r.measure(ctx, t.load, t.connections)
			if err = errors.Join(err, calm()); err != nil {
				return fmt.Errorf("%s, %d connections: %w", t.name, t.connections, err)
			}
			at := cell{t.name, t.connections}
			res.figures[at] = append(res.figures[at], figures)
			fmt.Fprintf(r.log, "round %d of %d: %s, %d connections: %.0f/s\n", round+1, r.rounds, t.name, t.connections, figures.rate)
		}
	}
	return nil
}

// warm asks for the page of every session once, and for long enough that what is
// compiled at run time is.
func (r *run) warm(ctx context.Context, l *load) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	_, err := l.run(16, 3*r.warmUp, func() error {
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for l.answered.Load() < int64(r.sessions) && !l.stop.Load() {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	})
	return err
}

func shuffle[T any](s []T) error {
	for i := range s {
		j, err := rand.Int(rand.Reader, big.NewInt(int64(i+1)))
		if err != nil {
			return err
		}
		s[i], s[j.Int64()] = s[j.Int64()], s[i]
	}
	return nil
}
