package session_test

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/idxauth/idxauth/internal/redistest"
	"github.com/idxauth/idxauth/session"
)

// startRedis starts a Redis that tells of changes, which the stand-in does not.
func startRedis(t testing.TB) redisServer {
	t.Helper()
	server := openRedis(t)
	if !server.Real() {
		t.Skip("redis-server is not installed: the near cache was not tested")
	}
	return server
}

// node returns a manager as another instance of the application would have it, with
// a client of its own, which counts its round trips.
func node(t testing.TB, addr string, cfg session.Config) (*session.Manager, *trips) {
	t.Helper()
	return openNode(t, addr, cfg, patience, patientStore)
}

// promptNode waits for Redis no longer than applications do.
func promptNode(t testing.TB, addr string, cfg session.Config) (*session.Manager, *trips) {
	t.Helper()
	return openNode(t, addr, cfg, 0, nil)
}

func openNode(t testing.TB, addr string, cfg session.Config, patience time.Duration, opts *session.RedisOptions) (*session.Manager, *trips) {
	t.Helper()
	o, err := session.ParseRedisURL("redis://" + addr)
	if err != nil {
		t.Fatal(err)
	}
	if patience > 0 {
		o.DialTimeout, o.ReadTimeout, o.WriteTimeout, o.PoolTimeout = patience, patience, patience, patience
	}
	client := redis.NewUniversalClient(o)
	t.Cleanup(func() { client.Close() })
	w := &trips{}
	client.AddHook(w)
	return newManager(t, session.NewRedis(client, opts), cfg), w
}

// warm waits until r's session is served from the near cache of m. Meanwhile Redis may be
// found not to answer; the session is there all the time.
func warm(t testing.TB, m *session.Manager, w *trips, r *http.Request) {
	t.Helper()
	redistest.Eventually(t, "the near cache has the session", func() bool {
		w.take()
		_, err := m.Load(r)
		if err != nil && !errors.Is(err, session.ErrUnavailable) {
			t.Fatalf("Load: %v", err)
		}
		return reads(w) == 0 && err == nil
	})
}

// longLease is for tests of what the stream alone can bring about, or keep: a lease does
// not run out while a test waits, on no machine.
var longLease = session.NearCache{Lease: time.Minute}

// wantQuiet checks that do comes without a read. Redis can tell late of what the test
// itself has written before, so do gets some tries.
func wantQuiet(t testing.TB, w *trips, what string, do func()) {
	t.Helper()
	n := 0
	for range 5 {
		w.take()
		do()
		if n = reads(w); n == 0 {
			return
		}
	}
	t.Errorf("%s: %d reads, each time", what, n)
}

// reads returns how many round trips since the last take were reads of sessions.
func reads(w *trips) (n int) {
	for _, names := range w.take() {
		if strings.HasPrefix(names, "get") {
			n++
		}
	}
	return n
}

// wantEnded waits until m refuses r for good, and returns how long that took.
func wantEnded(t testing.TB, m *session.Manager, r *http.Request) time.Duration {
	t.Helper()
	start := time.Now()
	redistest.Eventually(t, "the session is refused", func() bool {
		_, err := m.Load(r)
		return err != nil
	})
	return time.Since(start)
}

func TestWarmSessionAsksNobody(t *testing.T) {
	server := startRedis(t)
	m, w := node(t, server.Addr, session.Config{NearCache: longLease})
	_, r := signIn(t, m, "ada")
	warm(t, m, w, r)
	wantQuiet(t, w, "1,000 loads of a warm session", func() {
		for range 1000 {
			mustLoad(t, m, r)
		}
	})
}

func TestNearCacheCanBeSwitchedOff(t *testing.T) {
	server := startRedis(t)
	m, w := node(t, server.Addr, session.Config{NearCache: session.NearCache{Off: true}})
	_, r := signIn(t, m, "ada")
	w.take()
	for range 20 {
		mustLoad(t, m, r)
	}
	if n := reads(w); n != 20 {
		t.Errorf("20 loads: %d reads", n)
	}
	clients := server.Client().ClientList(t.Context()).Val()
	if strings.Contains(clients, "cmd=subscribe") {
		t.Errorf("somebody listens to changes:\n%s", clients)
	}
}

// What one instance changes, it sees at once, however many requests fill its cache
// meanwhile.
func TestOwnChangesAreSeenAtOnce(t *testing.T) {
	server := startRedis(t)
	m, w := node(t, server.Addr, session.Config{})
	_, first := signIn(t, m, "first")
	warm(t, m, w, first)
	ends := map[string]func(s *session.Session) error{
		"End":        func(s *session.Session) error { return m.End(t.Context(), s) },
		"Revoke":     func(s *session.Session) error { return m.Revoke(t.Context(), s.UserID(), s.ID()) },
		"RevokeUser": func(s *session.Session) error { _, err := m.RevokeUser(t.Context(), s.UserID(), nil); return err },
	}
	for what, end := range ends {
		for i := range 30 {
			s, r := signIn(t, m, fmt.Sprint(what, i))
			var stop atomic.Bool
			var readers sync.WaitGroup
			for range 4 {
				readers.Go(func() {
					for !stop.Load() {
						m.Load(r)
					}
				})
			}
			ctx := in(t, m, r)
			for n := range 5 {
				mustPut(t, ctx, "n", n)
				wantValue(t, in(t, m, r), "n", n)
			}
			if err := end(s); err != nil {
				t.Fatal(err)
			}
			wantStranger(t, m, r)
			stop.Store(true)
			readers.Wait()
			wantStranger(t, m, r)
		}
	}
}

// Each way to lose or change a session on one instance is seen by the other.
func TestChangesReachTheOtherInstance(t *testing.T) {
	server := startRedis(t)
	here, w := node(t, server.Addr, session.Config{MaxPerUser: 1, NearCache: longLease})
	there, _ := node(t, server.Addr, session.Config{MaxPerUser: 1})
	ctx := context.Background()
	for what, act := range map[string]func(s *session.Session, r *http.Request){
		"End":         func(s *session.Session, _ *http.Request) { there.End(ctx, s) },
		"Revoke":      func(s *session.Session, _ *http.Request) { there.Revoke(ctx, s.UserID(), s.ID()) },
		"RevokeUser":  func(s *session.Session, _ *http.Request) { there.RevokeUser(ctx, s.UserID(), nil) },
		"MaxPerUser":  func(s *session.Session, _ *http.Request) { signIn(t, there, s.UserID()) },
		"DEL by hand": func(s *session.Session, r *http.Request) { server.Client().Del(ctx, recordKey(r, s)) },
		"expiry": func(s *session.Session, r *http.Request) {
			server.Client().PExpire(ctx, recordKey(r, s), time.Millisecond)
		},
		"FLUSHALL": func(*session.Session, *http.Request) { server.Client().FlushAll(ctx) },
	} {
		t.Run(what, func(t *testing.T) {
			_, r := signIn(t, here, "ada of "+what)
			warm(t, here, w, r)
			s := mustLoad(t, there, r)
			act(s, r)
			wantEnded(t, here, r)
			wantStranger(t, here, r)
		})
	}
	t.Run("Put", func(t *testing.T) {
		_, r := signIn(t, here, "grace")
		warm(t, here, w, r)
		mustPut(t, in(t, there, r), "k", "new")
		redistest.Eventually(t, "the value is seen", func() bool {
			v, _, err := session.Get[string](in(t, here, r), "k")
			return err == nil && v == "new"
		})
	})
}

// gate is a client's hook that lets a test do something between the moment Redis
// has answered a read and the moment the answer is looked at.
type gate struct {
	trips
	after atomic.Pointer[func()]
}

func (g *gate) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := g.trips.ProcessHook(next)(ctx, cmd)
		if after := g.after.Load(); after != nil && cmd.Name() == "get" && g.after.CompareAndSwap(after, nil) {
			(*after)()
		}
		return err
	}
}

// A session that is revoked while its record is on the way to a cache is not kept.
func TestFillRacingARevocation(t *testing.T) {
	server := startRedis(t)
	g := &gate{}
	client := redis.NewClient(&redis.Options{Addr: server.Addr, ContextTimeoutEnabled: true, ReadTimeout: time.Second, PipelinePoolSize: -1})
	defer client.Close()
	client.AddHook(g)
	here := newManager(t, session.NewRedis(client, &session.RedisOptions{Timeout: 10 * time.Second}), session.Config{})
	there, _ := node(t, server.Addr, session.Config{})
	for i := range 20 {
		s, r := signIn(t, there, fmt.Sprint("ada", i))
		m, marker := signIn(t, there, fmt.Sprint("marker", i))
		warm(t, here, &g.trips, marker)
		revoke := func() {
			there.End(t.Context(), s)
			there.End(t.Context(), m)
			// Changes arrive in their order: once this one is known, so is the other.
			wantEnded(t, here, marker)
		}
		g.after.Store(&revoke)
		if _, err := here.Load(r); err != nil {
			t.Fatalf("the read came before the revocation, and says %v", err)
		}
		wantStranger(t, here, r)
	}
}

func TestUnknownTokenIsRememberedBriefly(t *testing.T) {
	server := startRedis(t)
	m, w := node(t, server.Addr, session.Config{NearCache: longLease})
	_, r := signIn(t, m, "ada")
	warm(t, m, w, r)
	unknown := requestWith(&http.Cookie{Name: m.CookieName(), Value: "ab" + base64.RawURLEncoding.EncodeToString(make([]byte, 32))})
	w.take()
	start := time.Now()
	for range 100 {
		wantStranger(t, m, unknown)
	}
	// It is forgotten after two seconds.
	if n, took := reads(w), time.Since(start); n < 1 || n > 1+int(took/(2*time.Second)) {
		t.Errorf("100 requests with an unknown token in %v: %d reads", took, n)
	}
	// Whoever makes up tokens does not push out the sessions of others.
	for range 10_000 {
		m.Load(requestWith(&http.Cookie{Name: m.CookieName(), Value: "ab" + randomToken()}))
	}
	w.take()
	mustLoad(t, m, r)
	if n := reads(w); n > 0 && time.Since(start) < 40*time.Second { // later it is read again anyway
		t.Error("invented tokens pushed a session out")
	}
}

func randomToken() string {
	b := make([]byte, 32)
	rand.Read(b)
	return base64.RawURLEncoding.EncodeToString(b)
}

// While the stream of changes is silent, hits end with the lease.
func TestSilentPartition(t *testing.T) {
	server := startRedis(t)
	proxy := redistest.NewProxy(t, server.Addr)
	const lease = 500 * time.Millisecond
	here, w := promptNode(t, proxy.Addr, session.Config{NearCache: session.NearCache{Lease: lease}})
	there, _ := node(t, server.Addr, session.Config{})
	_, r := signIn(t, there, "ada")
	warm(t, here, w, r)
	proxy.Cut()
	start := time.Now()
	there.End(t.Context(), mustLoad(t, there, r))
	for {
		asked := time.Now() // before the answer: what counts is when it was right
		_, err := here.Load(r)
		if err == nil {
			if late := asked.Sub(start); late > lease {
				t.Fatalf("still let in %v after the connection was cut and the session ended", late)
			}
			continue
		}
		wantError(t, "Load", err, session.ErrUnavailable) // and not "signed out": it cannot know
		break
	}
}

// All that was kept is forgotten when the stream was interrupted, however short.
func TestInterruptedStream(t *testing.T) {
	server := startRedis(t)
	here, w := node(t, server.Addr, session.Config{NearCache: longLease})
	there, _ := node(t, server.Addr, session.Config{})
	for i := range 10 {
		_, r := signIn(t, there, fmt.Sprint("ada", i))
		warm(t, here, w, r)
		s := mustLoad(t, there, r)
		// In one transaction, nobody can listen in between.
		ctx := t.Context()
		server.Client().TxPipelined(ctx, func(p redis.Pipeliner) error {
			p.Do(ctx, "client", "kill", "type", "pubsub")
			p.Del(ctx, recordKey(r, s))
			return nil
		})
		wantEnded(t, here, r)
	}
}

// A restart of Redis that is over before the lease is not seen by those who are
// signed in, and nothing is lost by it.
func TestRestartIsInvisibleToWarmSessions(t *testing.T) {
	server := startRedis(t)
	m, w := node(t, server.Addr, session.Config{NearCache: longLease})
	_, r := signIn(t, m, "ada")
	warm(t, m, w, r)
	done := make(chan struct{})
	var views, failures atomic.Int64
	var visitors sync.WaitGroup
	for range 4 {
		visitors.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				if _, err := m.Load(r); err != nil {
					failures.Add(1)
				}
				views.Add(1)
			}
		})
	}
	server.Restart()
	close(done)
	visitors.Wait()
	if failures.Load() > 0 {
		t.Errorf("%d of %d page views failed during a restart", failures.Load(), views.Load())
	}
	warm(t, m, w, r) // there is a new stream
}

// A Redis that does not let itself be followed is asked each time, and says so once.
func TestRefusedTracking(t *testing.T) {
	server := startRedis(t)
	ctx := t.Context()
	err := server.Client().Do(ctx, "ACL", "SETUSER", "app", "on", ">pw", "~*", "+get", "+set", "+del", "+evalsha", "+eval", "+ping",
		"+exists", "+time", "+zadd", "+zrange", "+zrem", "+zcard", "+zremrangebyscore", "+expireat", "+pexpireat", "+pttl", "+setrange",
		"+getrange", "+zrank", "+zcount", "+select").Err()
	if err != nil {
		t.Fatal(err)
	}
	client := redis.NewClient(&redis.Options{Addr: server.Addr, Username: "app", Password: "pw", Protocol: 2, DisableIdentity: true})
	defer client.Close()
	var warnings warnings
	m := newManager(t, session.NewRedis(client, patientStore), session.Config{Logger: slog.New(&warnings)})
	_, r := signIn(t, m, "ada")
	redistest.Eventually(t, "a warning", func() bool {
		mustLoad(t, m, r)
		return warnings.about("CLIENT TRACKING") == 1
	})
	for range 20 {
		mustLoad(t, m, r)
	}
	if n := warnings.about("CLIENT TRACKING"); n != 1 {
		t.Errorf("%d warnings", n)
	}
}

// The rights that the README names are enough.
func TestLeastPrivileges(t *testing.T) {
	server := startRedis(t)
	ctx := t.Context()
	rights := "on >pw resetchannels ~app:* &__redis__:* -@all +get +set +del +eval +evalsha +ping +info +subscribe +client|id +client|tracking " +
		"+exists +expireat +getrange +pexpireat +pttl +setrange +time +zadd +zcard +zcount +zrange +zrank +zrem +zremrangebyscore"
	command := []any{"ACL", "SETUSER", "app"}
	for _, right := range strings.Fields(rights) {
		command = append(command, right)
	}
	if err := server.Client().Do(ctx, command...).Err(); err != nil {
		t.Fatal(err)
	}
	o := promptTo(t, "redis://app:pw@"+server.Addr)
	o.ReadTimeout = patience
	client := redis.NewUniversalClient(o)
	t.Cleanup(func() { client.Close() })
	w := &trips{}
	client.AddHook(w)
	m := newManager(t, session.NewRedis(client, patientStore), session.Config{MaxPerUser: 2, Idle: time.Hour, TouchEvery: 10 * time.Millisecond})
	var r *http.Request
	for range 3 {
		_, r = signIn(t, m, "ada")
	}
	mustPut(t, in(t, m, r), "k", 1)
	warm(t, m, w, r)
	if list, err := m.List(ctx, "ada"); len(list) != 2 || err != nil {
		t.Errorf("List: %v, %v", list, err)
	}
	if n, err := m.MarkUser(ctx, "ada"); n != 2 || err != nil {
		t.Errorf("MarkUser: %v, %v", n, err)
	}
	if held, err := m.Claim(ctx, "n", nil, time.Minute); held != nil || err != nil {
		t.Errorf("Claim: %v, %v", held, err)
	}
	if n, err := m.RevokeUser(ctx, "ada", nil); n != 2 || err != nil {
		t.Errorf("RevokeUser: %v, %v", n, err)
	}
	if err := m.Ping(ctx); err != nil {
		t.Errorf("Ping: %v", err)
	}
}

// warnings is a log that counts.
type warnings struct {
	slog.Handler
	mu   sync.Mutex
	text []string
}

func (w *warnings) Enabled(context.Context, slog.Level) bool { return true }
func (w *warnings) Handle(_ context.Context, r slog.Record) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.text = append(w.text, r.Message)
	return nil
}

func (w *warnings) about(what string) (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, text := range w.text {
		if strings.Contains(text, what) {
			n++
		}
	}
	return n
}

// A Redis that gives up sessions when its memory is full is told of once.
func TestEvictionIsWarnedOf(t *testing.T) {
	for policy, want := range map[string]int{"noeviction": 0, "allkeys-lru": 1, "volatile-ttl": 1} {
		server := startRedis(t)
		server.Client().ConfigSet(t.Context(), "maxmemory", "100mb")
		server.Client().ConfigSet(t.Context(), "maxmemory-policy", policy)
		var warnings warnings
		m := newManager(t, session.NewRedis(server.Client(), patientStore), session.Config{Logger: slog.New(&warnings)})
		_, r := signIn(t, m, "ada")
		mustLoad(t, m, r)
		mustLoad(t, m, r)
		m.Close() // waits for who looked
		if n := warnings.about("noeviction"); n != want {
			t.Errorf("%s: %d warnings, want %d", policy, n, want)
		}
	}
}

// Close ends the connections of the near cache, and its hits.
func TestCloseEndsTheNearCache(t *testing.T) {
	server := startRedis(t)
	m, w := node(t, server.Addr, session.Config{})
	_, r := signIn(t, m, "ada")
	warm(t, m, w, r)
	m.Close()
	redistest.Eventually(t, "nobody listens to changes", func() bool {
		return !strings.Contains(server.Client().ClientList(t.Context()).Val(), "cmd=subscribe")
	})
	w.take()
	mustLoad(t, m, r)
	if reads(w) != 1 {
		t.Error("served from the cache of a closed manager")
	}
}

// On two instances with warm caches, a session in use is touched once per interval
// in all, and never ends.
func TestTouchOfAWarmSession(t *testing.T) {
	server := startRedis(t)
	cfg := session.Config{Idle: 5 * time.Second, TouchEvery: time.Second}
	here, w1 := node(t, server.Addr, cfg)
	there, w2 := node(t, server.Addr, cfg)
	_, r := signIn(t, here, "ada")
	warm(t, here, w1, r)
	warm(t, there, w2, r)
	touches := 0
	start := time.Now()
	for time.Since(start) < 7*time.Second {
		mustLoad(t, here, r)
		mustLoad(t, there, r)
		for _, names := range append(w1.take(), w2.take()...) {
			if strings.HasPrefix(names, "eval") {
				touches++
			}
		}
	}
	if took := time.Since(start); touches < 2 || touches > 2*int(took/time.Second)+2 {
		t.Errorf("%d touches in %v", touches, took)
	}
	wantExpiries(t, server, 7*24*time.Hour)
}

// Touches of many sessions go together.
func TestTouchesTravelTogether(t *testing.T) {
	server := startRedis(t)
	const sessions, every = 300, 2 * time.Second
	m, w := node(t, server.Addr, session.Config{Idle: time.Minute, TouchEvery: every})
	var requests []*http.Request
	var keys []string
	for i := range sessions {
		s, r := signIn(t, m, fmt.Sprint("ada", i))
		requests, keys = append(requests, r), append(keys, recordKey(r, s))
	}
	begin := time.Now()
	redistest.Eventually(t, "touches are due", func() bool { return time.Since(begin) > every })
	w.take()
	ends := func(key string) time.Duration { return server.Client().PExpireTime(t.Context(), key).Val() } // since 1970
	before := make([]time.Duration, sessions)
	for i, key := range keys {
		before[i] = ends(key)
	}
	var visitors sync.WaitGroup
	for _, r := range requests {
		visitors.Go(func() { mustLoad(t, m, r) })
	}
	visitors.Wait()
	for i, key := range keys { // without loading any, or it would be touched once more
		redistest.Eventually(t, "the session is extended", func() bool { return ends(key) >= before[i]+every/2 })
	}
	trips := 0
	for _, names := range w.take() {
		if strings.HasPrefix(names, "eval") {
			trips++
		}
	}
	if trips == 0 || trips > sessions/2 {
		t.Errorf("%d sessions were touched in %d round trips", sessions, trips)
	}
	wantExpiries(t, server, 7*24*time.Hour)
}

func TestFailoverWithWarmSessions(t *testing.T) {
	t.Parallel()
	sentinel := redistest.StartSentinel(t)
	w := &trips{}
	sentinel.Client().AddHook(w)
	m := newManager(t, session.NewRedis(sentinel.Client(), nil), session.Config{})
	s, r := signIn(t, m, "ada")
	_, other := signIn(t, m, "bob")
	warm(t, m, w, r)
	warm(t, m, w, other)
	sentinel.Failover()
	redistest.Eventually(t, "the session is ended on the new master", func() bool { return m.End(t.Context(), s) == nil })
	wantStranger(t, m, r)
	redistest.Eventually(t, "the near cache follows the new master", func() bool {
		w.take()
		_, err := m.Load(other)
		return err == nil && reads(w) == 0
	})
}

func TestClusterWithWarmSessions(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartCluster(t)
	open := func() (*session.Manager, *trips) {
		o, err := session.ParseRedisURL("redis://" + strings.Join(cluster.Addrs(), ","))
		if err != nil {
			t.Fatal(err)
		}
		o.ReadTimeout, o.WriteTimeout, o.PoolTimeout = time.Second, time.Second, time.Second
		client := redis.NewUniversalClient(o)
		t.Cleanup(func() { client.Close() })
		w := &trips{}
		client.(*redis.ClusterClient).OnNewNode(func(node *redis.Client) { node.AddHook(w) })
		// Longer than one may wait below, so that none of that is the end of a lease.
		return newManager(t, session.NewRedis(client, &session.RedisOptions{Timeout: 3 * time.Second}), session.Config{NearCache: session.NearCache{Lease: 15 * time.Second}}), w
	}
	here, w := open()
	there, _ := open()
	var requests []*http.Request
	for i := range 30 { // on all masters
		_, r := signIn(t, there, fmt.Sprint("ada", i))
		requests = append(requests, r)
		warm(t, here, w, r)
	}
	for i, r := range requests[:10] {
		there.End(t.Context(), mustLoad(t, there, r))
		if took := wantEnded(t, here, r); took > 10*time.Second {
			t.Errorf("session %d refused after %v", i, took)
		}
	}

	// One of the sessions moves to another master, is still served, and still revoked.
	moved := requests[10]
	cluster.MoveSlot("{" + cookieOf(moved)[:2] + "}")
	mustLoad(t, here, moved)
	there.End(t.Context(), mustLoad(t, there, moved))
	wantEnded(t, here, moved)
	redistest.Eventually(t, "the moved slot is served from the near cache again", func() bool {
		_, r := signIn(t, there, userWithTag(cookieOf(moved)[:2]))
		mustLoad(t, here, r)
		w.take()
		mustLoad(t, here, r)
		return reads(w) == 0
	})

	// One master dies: the sessions of the others do not notice.
	cluster.Nodes[0].Stop()
	ok, down := 0, 0
	for range 3 {
		for _, r := range requests[11:] {
			start := time.Now()
			_, err := here.Load(r)
			switch {
			case err == nil:
				ok++
			case errors.Is(err, session.ErrUnavailable):
				down++
			default:
				t.Errorf("got %v", err)
			}
			if took := time.Since(start); took > 5*time.Second {
				t.Errorf("took %v", took)
			}
		}
	}
	if ok == 0 {
		t.Errorf("with one of three masters down: %d served, %d not", ok, down)
	}
}

// userWithTag returns a user whose sessions have that tag.
func userWithTag(tag string) string {
	m, err := session.New(session.NewMemory(), session.Config{Name: "app"}, nil)
	if err != nil {
		panic(err)
	}
	for i := 0; ; i++ {
		user := fmt.Sprint("user", i)
		w := httptest.NewRecorder()
		if _, err := m.Start(context.Background(), w, session.NewSession{UserID: user}); err != nil {
			panic(err)
		}
		if w.Result().Cookies()[0].Value[:2] == tag {
			return user
		}
	}
}

// stay checks how long a session that has ended is still let in.
func stay(t *testing.T, m *session.Manager, r *http.Request, lease time.Duration) {
	t.Helper()
	ended := time.Now()
	for time.Since(ended) < 10*lease {
		asked := time.Now()
		if _, err := m.Load(r); err != nil {
			return
		}
		if late := asked.Sub(ended); late > lease+100*time.Millisecond { // some, for the write's way
			t.Fatalf("still let in %v after the session ended; the lease is %v", late, lease)
		}
	}
}

// Sentinel promotes a replica while the old master lives on, out of the sentinels'
// reach but not of ours. go-redis follows with new connections; the stream must, too.
func TestStreamDoesNotStayWithAnOldMaster(t *testing.T) {
	t.Parallel()
	sentinel := redistest.StartSentinel(t)
	ctx := t.Context()
	open := func() (*redis.Client, *trips) {
		client := redis.NewFailoverClient(&redis.FailoverOptions{
			MasterName: redistest.MasterName, SentinelAddrs: sentinel.Addrs, Username: "app", Password: "pw",
			ContextTimeoutEnabled: true, ReadTimeout: 250 * time.Millisecond, DialTimeout: 500 * time.Millisecond, MaxRetries: 1, PipelinePoolSize: -1,
		})
		t.Cleanup(func() { client.Close() })
		w := &trips{}
		client.AddHook(w)
		return client, w
	}
	for _, n := range sentinel.Nodes() {
		if err := n.Client().Do(ctx, "ACL", "SETUSER", "app", "on", ">pw", "~*", "&*", "+@all").Err(); err != nil {
			t.Fatal(err)
		}
	}
	const lease = 500 * time.Millisecond
	cfg := session.Config{NearCache: session.NearCache{Lease: lease}}
	c1, w := open()
	c2, _ := open()
	here, there := newManager(t, session.NewRedis(c1, nil), cfg), newManager(t, session.NewRedis(c2, nil), cfg)
	_, r := signIn(t, there, "ada")
	warm(t, here, w, r)
	port := sentinel.Isolate()
	for _, c := range []*redis.Client{c1, c2} {
		redistest.Eventually(t, "the clients follow", func() bool {
			return strings.Contains(c.Info(ctx, "server").Val(), "tcp_port:"+port)
		})
	}
	if err := there.End(ctx, mustLoad(t, there, r)); err != nil {
		t.Fatal(err)
	}
	stay(t, here, r, lease)
}

// The same behind a name or a balancer that leads to another server from now on.
func TestStreamFollowsTheDialer(t *testing.T) {
	a, b := startRedis(t), startRedis(t)
	ctx := t.Context()
	var target atomic.Pointer[string]
	target.Store(&a.Addr)
	open := func() (*redis.Client, *trips) {
		client := redis.NewClient(&redis.Options{
			Addr: "redis.internal:6379", ContextTimeoutEnabled: true, ReadTimeout: 2 * time.Second, PipelinePoolSize: -1,
			Dialer: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return (&net.Dialer{}).DialContext(ctx, "tcp", *target.Load())
			},
		})
		t.Cleanup(func() { client.Close() })
		w := &trips{}
		client.AddHook(w)
		return client, w
	}
	const lease = 500 * time.Millisecond
	cfg := session.Config{NearCache: session.NearCache{Lease: lease}}
	c1, w := open()
	c2, _ := open()
	here, there := newManager(t, session.NewRedis(c1, nil), cfg), newManager(t, session.NewRedis(c2, nil), cfg)
	_, r := signIn(t, there, "ada")
	warm(t, here, w, r)
	host, port, _ := net.SplitHostPort(a.Addr)
	b.Client().ReplicaOf(ctx, host, port)
	redistest.Eventually(t, "b has the data", func() bool { return b.Client().DBSize(ctx).Val() == a.Client().DBSize(ctx).Val() })
	b.Client().ReplicaOf(ctx, "no", "one")
	target.Store(&b.Addr)
	a.Client().Do(ctx, "client", "kill", "type", "normal", "skipme", "yes")
	warm(t, here, w, r)
	if err := there.End(ctx, mustLoad(t, there, r)); err != nil {
		t.Fatal(err)
	}
	stay(t, here, r, lease)
}

// panics is a client's hook that panics some times.
type panics struct {
	trips
	left atomic.Int32
}

func (p *panics) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if cmd.Name() == "get" && p.left.Add(-1) >= 0 {
			panic("hook")
		}
		return next(ctx, cmd)
	}
}

// net/http recovers the panics of requests: a reader that ended so holds up nobody.
func TestPanicInARead(t *testing.T) {
	server := startRedis(t)
	p := &panics{}
	client := redis.NewClient(&redis.Options{Addr: server.Addr, ContextTimeoutEnabled: true, PipelinePoolSize: -1})
	defer client.Close()
	client.AddHook(p)
	m := newManager(t, session.NewRedis(client, patientStore), session.Config{NearCache: session.NearCache{Off: true}})
	_, r := signIn(t, m, "ada")
	const n = 5
	p.left.Store(n)
	for range n {
		func() {
			defer func() { recover() }()
			m.Load(r)
		}()
	}
	mustLoad(t, m, r)
}

// A process that starts while its cluster hangs answers in time, too.
func TestClusterThatHangsFromTheStart(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() // the system accepts for it, and nobody answers
	client := redis.NewUniversalClient(promptTo(t, "redis://"+l.Addr().String()+","+l.Addr().String()))
	defer client.Close()
	m := newManager(t, session.NewRedis(client, nil), session.Config{})
	soonest := time.Hour
	for i := range 8 {
		start := time.Now()
		_, err := m.Load(requestWith(&http.Cookie{Name: m.CookieName(), Value: "ab" + randomToken()}))
		wantError(t, "Load", err, session.ErrUnavailable)
		took := time.Since(start)
		if took > 3*time.Second {
			t.Errorf("load %d took %v", i, took)
		}
		if i > 3 {
			soonest = min(soonest, took)
		}
	}
	if soonest > 250*time.Millisecond { // one that asks the cluster waits for twice as long
		t.Errorf("of the last loads none took less than %v", soonest)
	}
}

// A manager whose client is closed leaves Redis alone.
func TestClientClosedFirst(t *testing.T) {
	server := startRedis(t)
	client := redis.NewClient(&redis.Options{Addr: server.Addr, ContextTimeoutEnabled: true, PipelinePoolSize: -1})
	w := &trips{}
	client.AddHook(w)
	m := newManager(t, session.NewRedis(client, nil), session.Config{NearCache: session.NearCache{Lease: 200 * time.Millisecond}})
	_, r := signIn(t, m, "ada")
	warm(t, m, w, r)
	client.Close()
	redistest.Eventually(t, "nobody listens to changes", func() bool {
		return !strings.Contains(server.Client().ClientList(t.Context()).Val(), "cmd=subscribe")
	})
	m.Close()
	m.Close()
	m.Load(r)
}
