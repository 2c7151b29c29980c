package main

import (
	"slices"
	"sync"
	"time"
)

// tally counts what happens during one fault.
type tally struct {
	mu       sync.Mutex
	requests int
	views    int
	refused  int
	slowest  map[kind]time.Duration
	found    []violation
	ready    readiness
	promises bool // those of an instance that is no more are lost
	notes    []string

	noRedis bool // pages may be refused, as Redis is broken

	// machine is the longest that /healthz took, which asks nobody, or that this program
	// did not get to run: what answers take beyond their bound because the machine is
	// busy. An answer is too slow only if it took so much more.
	machine time.Duration

	// silences are when a client of Redis that does nothing else got no answer in the
	// time that the application waits for one, or the application did not get to run for
	// half of it. That Redis does not answer is not said without need then.
	silences []time.Time
}

func newTally() *tally { return &tally{slowest: make(map[kind]time.Duration), ready: isReady} }

func (t *tally) add(v violation) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.found = append(t.found, v)
}

func (t *tally) count(a *answer) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.requests++
	if a.kind == kindView {
		t.views++
	}
	if a.status == 503 {
		t.refused++
	}
	k := a.kind
	switch k {
	case kindPublic:
		k = kindView
	case kindLogout, kindAdmin:
		k = kindNote
	}
	t.slowest[k] = max(t.slowest[k], a.took())
}

// violations returns those that count.
func (t *tally) violations() (all []violation) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, v := range t.found {
		if v.kind != byRedis && v.kind != byRedisBack && v.kind != missed && !t.isExcused(v) {
			all = append(all, v)
		}
	}
	return all
}

// isExcused reports whether the machine is to blame, and nothing else.
func (t *tally) isExcused(v violation) bool {
	switch {
	case v.kind == slow && v.by <= t.machine:
		return true
	case v.kind == slow:
		// Whoever waits for a Redis that does not get to run waits as long as for one that
		// is broken. Where it is meant to be, that is in the bound.
		return !t.noRedis && v.by <= time.Second && t.wasSilent(v.at)
	}
	return t.wasSilent(v.at)
}

// of returns how often something of a kind was found.
func (t *tally) of(kind string) (n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, v := range t.found {
		if v.kind == kind {
			n++
		}
	}
	return n
}

func (t *tally) readiness() readiness {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.ready
}

func (t *tally) setReadiness(r readiness) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ready = r
}

func (t *tally) lostPromises() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.promises
}

func (t *tally) losePromises() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.promises = true
}

// note keeps a line for the report.
func (t *tally) note(line string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.notes = append(t.notes, line)
}

// measureMachine notes how long an answer took that asks nobody.
func (t *tally) measureMachine(d time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.machine = max(t.machine, d)
}

// noteSilence notes that Redis did not answer in time.
func (t *tally) noteSilence() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.silences = append(t.silences, time.Now())
}

// wasSilent reports whether Redis did not answer at about that time.
func (t *tally) wasSilent(at time.Time) bool {
	return slices.ContainsFunc(t.silences, func(s time.Time) bool { return at.Sub(s).Abs() < time.Second })
}

// excused returns how many violations are none, because the machine was too busy.
func (t *tally) excused() (n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, v := range t.found {
		if t.isExcused(v) {
			n++
		}
	}
	return n
}
