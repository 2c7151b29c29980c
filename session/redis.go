package session

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/idxauth/idxauth/internal/background"
)

// defaultTimeout bounds one store operation in all. A request that waits longer is
// better answered with 503: the one behind it waits too.
const defaultTimeout = 500 * time.Millisecond

// RedisOptions adjust [NewRedis]. The zero value is ready to use.
type RedisOptions struct {
	// Prefix goes in front of every key, the application's namespace included. It
	// must not hold braces, which would move keys to other slots of a cluster.
	Prefix string

	// Timeout bounds each operation in all, retries and waiting for a connection
	// included. Default 500 ms.
	Timeout time.Duration
}

// NewRedis returns a store on client: a single node, Sentinel or Cluster, Redis 6.2
// or later. The client stays the caller's to close.
//
// The store keeps its time limit with any client. But go-redis waits for 5 s by
// default and ignores context deadlines, so while Redis hangs, goroutines of such a
// client wait behind answers that were given up: [New] logs one warning about it,
// and [ParseRedisURL] returns better settings. [New] fails for a client that reads
// from replicas (ReadOnly, RouteByLatency, RouteRandomly): what was revoked would
// live on there. It also warns of a connection to another host without TLS, and the
// first session that is read looks whether Redis evicts keys: an evicted session is a
// user signed out, an evicted claim can be made again, and [Manager.RevokeUser] and
// [Manager.List] miss the sessions of a user whose index was evicted: set
// maxmemory-policy to noeviction.
//
// Reads that come while others are under way go together in one pipeline. After two
// operations in a row that a server did not answer, all others fail at once until it
// is back, which is asked for every 100 ms while there are requests. A client may
// repeat what it got no answer to, writes too: each of them is made so that doing it
// twice is doing it once, but for the numbers that are returned.
//
// With the namespace as Space, records are under Space:s:{tag}:id, the sorted set
// of a user's sessions under Space:u:{tag}:user, both of them hashes, and claims
// under Space:n:name. The commands that are sent are EVALSHA, EVAL, GET, SET, DEL and
// PING and INFO, for the near cache also CLIENT ID, CLIENT TRACKING, SUBSCRIBE and, on a
// cluster, CLUSTER INFO. The scripts also call PTTL, EXPIREAT, PEXPIREAT, SETRANGE,
// GETRANGE, ZADD, ZREM, ZCARD, ZCOUNT, ZRANK, ZRANGE, ZREMRANGEBYSCORE,
// EXISTS and TIME.
func NewRedis(client redis.UniversalClient, opts *RedisOptions) Store {
	s := &redisStore{client: client, timeout: defaultTimeout}
	if opts != nil {
		s.prefix = opts.Prefix
		if opts.Timeout > 0 {
			s.timeout = opts.Timeout
		}
	}
	s.settings = settingsOf(client)
	s.only = newNode(s, client)
	return s
}

type redisStore struct {
	client   redis.UniversalClient
	prefix   string
	timeout  time.Duration
	settings clientSettings

	only         *node    // if the client is not a cluster's
	nodes        sync.Map // of a cluster: *redis.Client to *node
	knowsCluster atomic.Bool
}

// within runs op with the store's time limit. A client that ignores the deadlines
// of contexts is left behind: its goroutine ends with the client's own limits, and
// there are no more of them than the client has connections, since go-redis does
// honour the context of those that wait for one.
func within[T any](ctx context.Context, s *redisStore, op func(context.Context) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	if s.settings.honoursCtx {
		value, err := op(ctx)
		return value, s.discreet(err)
	}
	type answer struct {
		value T
		err   error
	}
	answers := make(chan answer, 1)
	go func() {
		a := answer{err: errPanic}
		defer func() { answers <- a }()
		defer background.Recover() // a stands if it was needed
		a.value, a.err = op(ctx)
	}()
	select {
	case a := <-answers:
		return a.value, s.discreet(a.err)
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	}
}

func (s *redisStore) Load(ctx context.Context, k Key) (Record, error) {
	key := s.record(k)
	n, err := s.node(ctx, key)
	if err != nil {
		return Record{}, err
	}
	return n.reads.get(ctx, key).record()
}

func (s *redisStore) Create(ctx context.Context, k Key, r Record, max int, full WhenFull) (ended []string, err error) {
	if isPast(r.Expires) || r.Expires.After(r.Deadline) {
		return nil, errExpiry
	}
	if len(r.Label) > maxLabel {
		return nil, errLabel
	}
	keys := []string{s.record(k), s.index(Key{k.Space, k.Tag, r.User})}
	answer, err := ask(ctx, s, keys[0], func(ctx context.Context) ([]any, error) {
		return createScript.Run(ctx, s.client, keys,
			k.ID, valueOf(r), r.Expires.UnixMilli(), r.Deadline.Unix(), max, s.records(k), int(full)).Slice()
	})
	if err != nil {
		return nil, err
	}
	switch answer[0] {
	case int64(taken):
		return nil, ErrConflict
	case int64(refused):
		return nil, ErrTooManySessions
	}
	for _, id := range answer[1:] {
		if id, ok := id.(string); ok {
			ended = append(ended, id)
		}
	}
	return ended, nil
}

func (s *redisStore) Update(ctx context.Context, k Key, old, data []byte, seen uint8, expires time.Time) error {
	if isPast(expires) {
		return errExpiry
	}
	n, err := s.run(ctx, updateScript, []string{s.record(k)},
		old, valueOf(Record{Data: data, Expires: expires}), expires.UnixMilli(), int(seen))
	switch {
	case err != nil:
		return err
	case n == missing:
		return ErrNotFound
	case n == taken:
		return ErrConflict
	}
	return nil
}

func (s *redisStore) Touch(ctx context.Context, k Key, expires time.Time) error {
	if isPast(expires) {
		return errExpiry
	}
	n, err := s.run(ctx, touchScript, []string{s.record(k)}, valueOf(Record{Expires: expires}), expires.UnixMilli())
	if err == nil && n == missing {
		return ErrNotFound
	}
	return err
}

// touchAll sends the script itself, and not its hash: what fails in a pipeline because
// Redis has forgotten a script cannot be sent again within it.
func (s *redisStore) touchAll(ctx context.Context, space string, batch []touch) (failed []touch) {
	if !s.only.up() {
		return batch
	}
	touched, err := within(ctx, s, func(ctx context.Context) ([]bool, error) {
		pipe := s.client.Pipeline()
		answers := make([]*redis.Cmd, len(batch))
		for i, t := range batch {
			key := s.record(t.name.key(space))
			answers[i] = touchScript.Eval(ctx, pipe, []string{key}, valueOf(Record{Expires: t.expires}), t.expires.UnixMilli())
		}
		pipe.Exec(ctx) // each command has its own error
		touched := make([]bool, len(batch))
		for i, answer := range answers {
			touched[i] = answer.Err() == nil
		}
		return touched, nil
	})
	if err != nil {
		return batch
	}
	for i, ok := range touched {
		if !ok {
			failed = append(failed, batch[i])
		}
	}
	return failed
}

func (s *redisStore) Delete(ctx context.Context, k Key, user string) error {
	if user == "" {
		_, err := ask(ctx, s, s.record(k), func(ctx context.Context) (int64, error) {
			return s.client.Del(ctx, s.record(k)).Result()
		})
		return err
	}
	_, err := s.run(ctx, deleteScript, []string{s.record(k), s.index(Key{k.Space, k.Tag, user})}, k.ID)
	return err
}

// Claim marks its value as its own with a few random bytes in front: when go-redis
// repeats a SET whose answer was lost, it finds what it wrote itself, which is a
// claim that succeeded, while the same value claimed by somebody else is not.
func (s *redisStore) Claim(ctx context.Context, space, name string, value []byte, ttl time.Duration) ([]byte, error) {
	if ttl < time.Millisecond {
		return nil, errExpiry
	}
	key, mine := s.claim(space, name), claimOf(value)
	return ask(ctx, s, key, func(ctx context.Context) ([]byte, error) {
		for ctx.Err() == nil {
			err := s.client.SetArgs(ctx, key, mine, redis.SetArgs{Mode: "NX", TTL: ttl}).Err()
			if !errors.Is(err, redis.Nil) {
				return nil, err
			}
			held, err := s.client.Get(ctx, key).Bytes()
			switch {
			case errors.Is(err, redis.Nil): // expired between the two: it is free again
				continue
			case err != nil:
				return nil, err
			case bytes.Equal(held, mine):
				return nil, nil
			}
			return held[min(claimMark, len(held)):], nil
		}
		return nil, ctx.Err()
	})
}

func (s *redisStore) Swap(ctx context.Context, space, name string, old, value []byte, ttl time.Duration) (bool, error) {
	var claim []byte
	if value != nil {
		if ttl < time.Millisecond {
			return false, errExpiry
		}
		claim = claimOf(value)
	}
	matters := 0
	if old != nil {
		matters = 1
	}
	n, err := s.run(ctx, swapScript, []string{s.claim(space, name)}, matters, old, claim, ttl.Milliseconds())
	return n == 1, err
}

const claimMark = 8

func claimOf(value []byte) []byte {
	mark := make([]byte, claimMark, claimMark+len(value))
	rand.Read(mark)
	return append(mark, value...)
}

func (s *redisStore) Ping(ctx context.Context) error {
	_, err := within(ctx, s, func(ctx context.Context) (string, error) {
		return s.client.Ping(ctx).Result()
	})
	return err
}

// run runs a script that answers with a number. It is sent by its hash, and whole
// only if Redis has forgotten it.
func (s *redisStore) run(ctx context.Context, script *redis.Script, keys []string, args ...any) (int, error) {
	return ask(ctx, s, keys[0], func(ctx context.Context) (int, error) {
		return script.Run(ctx, s.client, keys, args...).Int()
	})
}

// records is the beginning of all record keys with the tag of k. The braces make
// the tag what a cluster computes the slot from.
func (s *redisStore) records(k Key) string            { return s.prefix + k.Space + ":s:{" + k.Tag + "}:" }
func (s *redisStore) record(k Key) string             { return s.records(k) + k.ID }
func (s *redisStore) claim(space, name string) string { return s.prefix + space + ":n:" + name }
func (s *redisStore) index(k Key) string              { return s.prefix + k.Space + ":u:{" + k.Tag + "}:" + k.ID }
