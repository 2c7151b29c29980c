package session

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/idxauth/idxauth/internal/background"
)

// invalidations is the channel on which Redis tells a RESP2 connection what has
// changed.
const invalidations = "__redis__:invalidate"

// watch keeps a near cache true: it has a stream from each node whose records the
// cache holds, on which that node names every record that is written, deleted,
// evicted or expires.
type watch struct {
	store  *redisStore
	near   *near
	space  string
	prefix string // of the keys of records
	lease  time.Duration
	log    *slog.Logger

	life    context.Context
	cancel  context.CancelFunc
	streams sync.Map // *node to *stream
	running sync.WaitGroup
	refused atomic.Bool

	starting sync.Mutex // of a stream, excludes closing
}

// watch begins with the first load: a store that is never used gets no connection. It
// returns nil for a client that does not tell which servers it talks to.
func (s *redisStore) watch(cfg Config, near *near) *watch {
	if !s.settings.known {
		cfg.Logger.Warn("session: each request asks Redis: the near cache needs a *redis.Client or *redis.ClusterClient; set NearCache.Off if that is meant to be",
			"client", fmt.Sprintf("%T", s.client))
		return nil
	}
	w := &watch{
		store:  s,
		near:   near,
		space:  cfg.Name,
		prefix: s.prefix + cfg.Name + ":s:",
		lease:  cfg.NearCache.Lease,
		log:    cfg.Logger,
	}
	w.life, w.cancel = context.WithCancel(context.Background())
	return w
}

func (w *watch) close() {
	w.starting.Lock()
	w.cancel()
	w.starting.Unlock()
	w.running.Wait()
}

// load is [Store.Load] with the lease under which its answer may be kept: nil if no
// stream covers it.
func (w *watch) load(ctx context.Context, n *name) (Record, *lease, error) {
	key := w.store.record(n.key(w.space))
	node, err := w.store.node(ctx, key)
	if err != nil {
		return Record{}, nil, err
	}
	lease := w.streamOf(node).lease.Load() // before the read, or a change could slip in between
	found := node.reads.get(ctx, key)
	if !found.direct {
		lease = nil
	}
	record, err := found.record()
	return record, lease, err
}

// stream is the connection on which one node tells of changes.
type stream struct {
	watch *watch
	node  *node

	lease atomic.Pointer[lease] // for what is read now: nil while there is no connection
	last  *lease                // for what was read last; of the goroutine of run
}

func (w *watch) streamOf(n *node) *stream {
	if s, ok := w.streams.Load(n); ok {
		return s.(*stream)
	}
	s := &stream{watch: w, node: n, last: new(lease)}
	client, ok := n.client.(*redis.Client)
	w.starting.Lock()
	defer w.starting.Unlock()
	if !ok || w.life.Err() != nil {
		return s // which never has a lease
	}
	if held, loaded := w.streams.LoadOrStore(n, s); loaded {
		return held.(*stream)
	}
	w.running.Go(func() {
		defer background.Recover()
		s.run(client)
	})
	return s
}

const (
	shortPause = 25 * time.Millisecond
	longPause  = 250 * time.Millisecond // at most, so that a restart of Redis stays invisible
	veryLong   = time.Minute            // after a refusal, which will be repeated
)

// run keeps the stream up until the watch is closed, or the node has left or is asked by
// nobody any more.
func (s *stream) run(client *redis.Client) {
	defer s.end()
	for pause := shortPause; s.watch.life.Err() == nil; {
		began := time.Now()
		err := s.follow(client)
		s.lease.Store(nil) // what is kept already stays until its lease ends, or another one begins
		if !isNetwork(err) {
			s.end()
		}
		switch {
		case errors.Is(err, redis.ErrClosed), s.node.isIdle():
			s.watch.streams.Delete(s.node)
			return
		case isRefusal(err):
			s.watch.refuse(s.node.store.discreet(err))
			pause = veryLong
		case time.Since(began) > time.Second:
			pause = shortPause
		default:
			pause = min(2*pause, longPause)
		}
		select {
		case <-s.watch.life.Done():
		case <-time.After(pause):
		}
	}
}

// follow reads one connection until it ends.
func (s *stream) follow(client *redis.Client) error {
	ctx, cancel := context.WithCancelCause(s.watch.life)
	defer cancel(nil)
	o := sideOptions(client)
	var server atomic.Value // which one the stream comes from
	o.OnConnect = s.watch.track(o.OnConnect, &server)
	side := redis.NewClient(o)
	defer side.Close()
	changes := side.Subscribe(ctx)
	defer changes.Close()
	context.AfterFunc(ctx, func() { changes.Close() }) // the end of ctx does not end a read

	if err := changes.Subscribe(ctx, invalidations); err != nil {
		return err
	}
	beating := false
	for {
		message, err := changes.ReceiveTimeout(ctx, s.watch.lease)
		if err != nil {
			return cmp.Or(context.Cause(ctx), err)
		}
		switch m := message.(type) {
		case *redis.Subscription: // also after go-redis has connected again by itself
			asked := s.now()
			if err := s.isFrom(ctx, client, &server); err != nil {
				return err
			}
			s.begin(asked)
			if !beating {
				beating = true
				s.watch.running.Go(func() {
					defer background.Recover()
					cancel(s.beat(ctx, client, changes, &server))
				})
			}
		case *redis.Pong:
			if sent, err := strconv.ParseInt(m.Payload, 10, 64); err == nil {
				s.prove(sent)
			}
		case *redis.Message:
			s.watch.drop(m.Payload)
			for _, key := range m.PayloadSlice {
				s.watch.drop(key)
			}
		}
	}
}

// track turns tracking on for each new connection, redirected to itself, and notes
// which server it is with. It is done before the subscription, and nothing is kept
// until that is confirmed.
func (w *watch) track(before func(context.Context, *redis.Conn) error, server *atomic.Value) func(context.Context, *redis.Conn) error {
	return func(ctx context.Context, cn *redis.Conn) error {
		if before != nil {
			if err := before(ctx, cn); err != nil {
				return err
			}
		}
		info, err := cn.Info(ctx, "replication").Result()
		if err != nil {
			return err
		}
		server.Store(masterOf(info))
		id, err := cn.ClientID(ctx).Result()
		if err != nil {
			return err
		}
		return cn.Process(ctx, redis.NewStatusCmd(ctx,
			"client", "tracking", "on", "redirect", id, "bcast", "prefix", w.prefix))
	}
}

// beats in a lease: one that gets lost does not end it.
const beats = 10

// beat sends heartbeats down the stream. What comes back proves that everything has
// arrived that had changed before the same server was asked whether it is the one. The
// question is part of the proof: a server tells of changes when it has answered all
// that it had read, so an answer to a heartbeat can be faster than a change that came
// before it, but not than one that came before an earlier answer.
func (s *stream) beat(ctx context.Context, client *redis.Client, changes *redis.PubSub, server *atomic.Value) error {
	ticker := time.NewTicker(s.watch.lease / beats)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
		if s.node.isIdle() {
			return errIdle // whoever asks it again may find it under another name
		}
		sent := s.now()
		err := s.isFrom(ctx, client, server)
		if errors.Is(err, errNoMaster) || errors.Is(err, redis.ErrClosed) || isRefusal(err) {
			return err
		}
		if err == nil {
			changes.Ping(ctx, strconv.FormatInt(sent, 10)) // whether it arrived is for the pong to say
		}
	}
}

var errIdle = errors.New("session: nobody asks the node any more")

var errNoMaster = errors.New("session: the stream does not come from the master of the keys any more")

// isFrom checks that the server where client reads is that of the stream, and the
// master. One that was replaced, or that is cut off from the rest of its cluster, does
// not hear of all changes; and after a failover a client's new connections can be with
// another server than its old ones.
func (s *stream) isFrom(ctx context.Context, client *redis.Client, server *atomic.Value) error {
	if !s.node.up() {
		return errDown
	}
	_, err := within(ctx, s.node.store, func(ctx context.Context) (any, error) {
		pipe := client.Pipeline()
		replication := pipe.Info(ctx, "replication")
		cluster := redis.NewStringResult("cluster_state:ok", nil)
		if _, ok := s.node.store.client.(*redis.ClusterClient); ok {
			cluster = pipe.ClusterInfo(ctx)
		}
		if _, err := pipe.Exec(ctx); err != nil {
			return nil, err
		}
		master := masterOf(replication.Val())
		if master == "" || master != server.Load() || !strings.Contains(cluster.Val(), "cluster_state:ok") {
			return nil, errNoMaster
		}
		return nil, nil
	})
	return err
}

// masterOf returns what tells a master from all others in the answer to INFO
// replication: each begins a history of its own. It is empty for a replica.
func masterOf(info string) string {
	if !strings.Contains(info, "role:master") {
		return ""
	}
	_, rest, _ := strings.Cut(info, "master_replid:")
	id, _, _ := strings.Cut(rest, "\r\n")
	return id
}

func (s *stream) now() int64 { return s.watch.near.clock(time.Now()) }

// begin gives out a new lease, and ends the last one: what was kept under it may
// have changed while nobody listened.
func (s *stream) begin(proven int64) {
	s.end()
	s.last = new(lease)
	s.prove(proven)
	s.lease.Store(s.last)
}

// prove extends the lease from when everything is known to have been heard.
func (s *stream) prove(at int64) { s.last.until.Store(at + int64(s.watch.lease)) }

// end makes the near cache forget what came from the node.
func (s *stream) end() {
	s.lease.Store(nil)
	s.last.until.Store(0)
}

// drop makes the near cache forget the session whose record is under key.
func (w *watch) drop(key string) {
	if n, ok := w.nameOf(key); ok {
		w.near.drop(&n)
	}
}

func (w *watch) nameOf(key string) (n name, ok bool) {
	rest, ok := strings.CutPrefix(key, w.prefix)
	if !ok || len(rest) != len("{")+tagLen+len("}:")+hashLen || rest[0] != '{' || rest[1+tagLen:3+tagLen] != "}:" {
		return n, false
	}
	copy(n[:], rest[1:1+tagLen])
	copy(n[tagLen:], rest[3+tagLen:])
	return n, true
}

// refuse tells once that there will be no near cache.
func (w *watch) refuse(err error) {
	if !w.refused.Swap(true) {
		w.log.Warn("session: each request asks Redis, because Redis refuses what the near cache needs: CLIENT ID, CLIENT TRACKING, SUBSCRIBE, INFO, on a cluster CLUSTER INFO; set NearCache.Off if that is meant to be", "error", err)
	}
}

// isRefusal reports whether err is the answer that a command is unknown or forbidden.
func isRefusal(err error) bool {
	var answer redis.Error
	if !errors.As(err, &answer) {
		return false
	}
	for _, beginning := range []string{"NOPERM", "NOAUTH", "WRONGPASS", "ERR unknown", "ERR syntax", "ERR wrong number", "ERR This instance has cluster support disabled"} {
		if strings.HasPrefix(answer.Error(), beginning) {
			return true
		}
	}
	return false
}

// isNetwork reports whether err is the end of a connection, and nothing said on it.
func isNetwork(err error) bool {
	var network net.Error
	return errors.As(err, &network) || errors.Is(err, io.EOF) || errors.Is(err, context.DeadlineExceeded)
}
