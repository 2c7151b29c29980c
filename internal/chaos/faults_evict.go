package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

const (
	// room is what Redis may hold more than it does, in bytes, when it begins to evict.
	room = 512 << 10

	// ballast is the size of the values that somebody else writes, every so often.
	ballast      = 10 << 10
	ballastEvery = 20 * time.Millisecond

	// anotherMinute has to pass before visitors lose more sessions: three in a minute look
	// like cookies that do not come back.
	anotherMinute = 62 * time.Second

	// enough sessions that were evicted, as their visitors have seen.
	enough = 5
)

// evicts makes Redis give up what was not used for longest, as it is full of what
// somebody else writes.
func evicts() *fault {
	evicted := 0
	return &fault{
		name: "Redis out of memory, evicts (`allkeys-lru`)", on: onOne,
		sees:  "who is evicted signs in again, most without a word",
		terms: terms{view: time.Second, login: 2 * time.Second, lag: time.Second, refused: nothing, evicts: true}, ready: isReady,
		begin: func(ctx context.Context, w *world) (err error) {
			if err := w.passTime(ctx, anotherMinute); err != nil {
				return err
			}
			if evicted, err = w.redis.number(ctx, "evicted_keys"); err != nil {
				return err
			}
			used, err := w.redis.number(ctx, "used_memory")
			if err != nil {
				return err
			}
			return w.redis.configure(ctx, "maxmemory-policy", "allkeys-lru", "maxmemory", strconv.Itoa(used+room))
		},
		during: func(ctx context.Context, w *world) error {
			w.tally.setReadiness(isReady)
			began := time.Now()
			for n := 0; time.Since(began) < usualHold || w.tally.of(byRedis) < enough; n++ {
				if time.Since(began) > 5*usualHold {
					return fmt.Errorf("only %d sessions were evicted in %v", w.tally.of(byRedis), 5*usualHold)
				}
				if err := w.redis.master().Set(ctx, "ballast:"+strconv.Itoa(n), strings.Repeat("x", ballast), time.Minute).Err(); err != nil {
					return err
				}
				pause(ctx, ballastEvery)
			}
			return ctx.Err()
		},
		end: func(ctx context.Context, w *world) error {
			now, err := w.redis.number(ctx, "evicted_keys")
			w.tally.note(fmt.Sprintf("Redis evicted %d keys", now-evicted))
			return errors.Join(err, w.redis.configure(ctx, "maxmemory", "0", "maxmemory-policy", "noeviction"))
		},
		// Nobody knows whose lists of sessions are gone, and the next fault begins with
		// those of everybody.
		after: func(ctx context.Context, w *world) error {
			return errors.Join(w.passTime(ctx, anotherMinute), w.redis.master().FlushAll(ctx).Err())
		},
	}
}

// number returns one of INFO's.
func (b *backend) number(ctx context.Context, name string) (int, error) {
	info, err := b.master().Info(ctx).Result()
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(info, "\n"+name+":")
	number, _, _ := strings.Cut(rest, "\r\n")
	return strconv.Atoi(number)
}

// configure sets what names and values say.
func (b *backend) configure(ctx context.Context, names ...string) error {
	for n := 0; n < len(names); n += 2 {
		if err := b.master().ConfigSet(ctx, names[n], names[n+1]).Err(); err != nil {
			return err
		}
	}
	return nil
}
