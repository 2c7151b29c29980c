package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"syscall"
	"time"

	"github.com/idxauth/idxauth/internal/peers/site"
)

// figures are what one measurement of one contender showed, most of them a request.
type figures struct {
	rate          float64 // requests a second
	p50, p99      time.Duration
	serverCPU     float64 // microseconds
	redisCPU      float64 // microseconds
	redisCommands float64
	mallocs       float64
	driverBusy    float64 // share of the time that the load generator computed
}

// reading is how far all counters have come.
type reading struct {
	at       time.Time
	answered int64
	driver   time.Duration
	server   site.Cost
	redis    redisCost
}

func (r *run) read(ctx context.Context, l *load) (reading, error) {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return reading{}, err
	}
	now := reading{
		at:       time.Now(),
		answered: l.answered.Load(),
		driver:   time.Duration(usage.Utime.Nano() + usage.Stime.Nano()),
	}
	var err error
	if now.redis, err = r.redis.cost(ctx); err != nil {
		return now, err
	}
	answer, body, err := get(ctx, "http://"+l.address+"/bench/cost", "")
	if err != nil {
		return now, err
	}
	if answer.StatusCode != 200 {
		return now, fmt.Errorf("cost: status %d", answer.StatusCode)
	}
	return now, json.Unmarshal([]byte(body), &now.server)
}

// measure loads one contender for a while.
func (r *run) measure(ctx context.Context, l *load, connections int) (figures, error) {
	var before, after reading
	took, err := l.run(connections, r.warmUp, func() (err error) {
		if before, err = r.read(ctx, l); err != nil {
			return err
		}
		timer := time.NewTimer(r.time)
		defer timer.Stop()
		select {
		case <-timer.C: // what is measured: not a wait for something to happen
		case <-ctx.Done():
			return ctx.Err()
		}
		after, err = r.read(ctx, l)
		return err
	})
	if err != nil {
		return figures{}, err
	}
	slices.Sort(took)
	n := float64(after.answered - before.answered)
	if n == 0 || len(took) == 0 {
		return figures{}, fmt.Errorf("no answer within %v", r.time)
	}
	elapsed := after.at.Sub(before.at)
	return figures{
		rate:          n / elapsed.Seconds(),
		p50:           took[len(took)/2],
		p99:           took[len(took)*99/100],
		serverCPU:     float64(after.server.CPU-before.server.CPU) / n,
		redisCPU:      float64((after.redis.cpu - before.redis.cpu).Microseconds()) / n,
		redisCommands: float64(after.redis.commands-before.redis.commands) / n,
		mallocs:       float64(after.server.Mallocs-before.server.Mallocs) / n,
		driverBusy:    float64(after.driver-before.driver) / float64(elapsed),
	}, nil
}
