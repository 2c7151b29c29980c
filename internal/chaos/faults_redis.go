package main

import (
	"context"
	"time"
)

// lease is how late an instance may learn of a change if Redis cannot tell it: that of
// the near cache, and what a busy machine takes.
const lease = 2500*time.Millisecond + 500*time.Millisecond

// do makes a step of what cannot fail by itself.
func do(f func(w *world)) func(context.Context, *world) error {
	return func(_ context.Context, w *world) error {
		f(w)
		return nil
	}
}

var redisFaults = []*fault{
	{
		name: "Redis paused (SIGSTOP)", on: onOne,
		sees:  "public pages; 503 elsewhere; nobody is signed out",
		terms: terms{view: 1500 * time.Millisecond, login: 2 * time.Second, lag: lease, refused: everything}, ready: isNotReady,
		begin: do(func(w *world) { w.redis.one.master.Pause() }),
		end:   do(func(w *world) { w.redis.one.master.Resume() }),
	},
	{
		name: "Redis killed, restarted with its data", on: onOne, brief: true,
		sees:  "public pages; 503 elsewhere; nobody is signed out",
		terms: terms{view: time.Second, login: 2 * time.Second, lag: lease, refused: everything}, ready: isNotReady,
		begin: do(func(w *world) { w.redis.one.master.Stop() }),
		end:   do(func(w *world) { w.redis.one.master.Restart() }),
	},
	{
		name: "Redis killed, restarted empty", on: onOne,
		sees:  "public pages, 503 elsewhere; then everybody signs in again, most without a word",
		terms: terms{view: time.Second, login: 2 * time.Second, lag: lease, refused: everything, losesData: true}, ready: isNotReady,
		begin: do(func(w *world) { w.redis.one.master.Stop() }),
		end:   do(func(w *world) { w.redis.one.master.RestartEmpty() }),
	},
	{
		name: "Redis slow by 500 ms", on: onOne,
		sees:  "public pages; 503 elsewhere; nobody is signed out",
		terms: terms{view: 1500 * time.Millisecond, login: 2 * time.Second, lag: lease, refused: everything},
		begin: do(func(w *world) { w.redis.one.setDelay(500 * time.Millisecond) }),
		end:   do(func(w *world) { w.redis.one.setDelay(0) }),
	},
	{
		name: "Redis out of memory (`noeviction`)", on: onOne,
		sees:  "pages and logouts as ever; 503 for logins and values",
		terms: terms{view: time.Second, login: 2 * time.Second, lag: time.Second, refused: refusals{kindLogin: true, kindNote: true}}, ready: isReady,
		begin: func(ctx context.Context, w *world) error {
			return w.redis.master().ConfigSet(ctx, "maxmemory", "1mb").Err() // less than it has
		},
		end: func(ctx context.Context, w *world) error {
			return w.redis.master().ConfigSet(ctx, "maxmemory", "0").Err()
		},
	},
	evicts(),
	{
		name: "all connections closed (`CLIENT KILL`), five times", on: onOne, brief: true,
		sees:  "nothing, or once a 503",
		terms: terms{view: time.Second, login: 2 * time.Second, lag: lease, refused: everything},
		begin: do(func(w *world) {}),
		during: func(ctx context.Context, w *world) error {
			for range 5 {
				w.redis.one.master.KillClients()
				pause(ctx, 400*time.Millisecond)
			}
			return nil
		},
		end: do(func(w *world) {}),
	},
	{
		name: "Redis' address leads to a replica, promoted 3 s later", on: onOne,
		sees:  "pages; 503 for logins, logouts and values",
		terms: terms{view: time.Second, login: 2 * time.Second, lag: lease, refused: everything, losesData: true},
		begin: do(func(w *world) {
			w.redis.one.master.Stop()
			w.redis.one.lead(w.redis.one.replica)
		}),
		end: do(func(w *world) {
			o := w.redis.one
			o.replica.Promote()
			o.master, o.replica = o.replica, o.master
		}),
	},
	{
		name: "master killed, failover by Sentinel", on: onTrio, brief: true,
		sees:  "public pages; 503 elsewhere until a replica takes over",
		terms: terms{view: time.Second, login: 2 * time.Second, lag: lease, refused: everything, losesData: true},
		begin: do(func(w *world) {}),
		during: func(ctx context.Context, w *world) error {
			w.redis.trio.Failover()
			return nil
		},
		end: do(func(w *world) {}),
	},
	{
		name: "master of a cluster killed, replica takes over", on: onCluster,
		sees:  "a third of the visitors: 503 until the replica takes over",
		terms: terms{view: time.Second, login: 2 * time.Second, lag: lease, refused: everything, losesData: true},
		begin: do(func(w *world) {}),
		during: func(ctx context.Context, w *world) error {
			w.redis.cluster.Failover(0)
			return nil
		},
		end: do(func(w *world) {}),
	},
}
