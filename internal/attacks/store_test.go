package attacks_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/gob"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/idxauth/idxauth/idx/idxtest"
	"github.com/idxauth/idxauth/internal/redistest"
	"github.com/idxauth/idxauth/middleware"
	"github.com/idxauth/idxauth/session"
)

// recordMade returns the key of the session that do creates.
func recordMade(t *testing.T, server *redistest.Server, do func()) string {
	t.Helper()
	before := server.Patient().Keys(t.Context(), "*:s:*").Val()
	do()
	for _, key := range server.Patient().Keys(t.Context(), "*:s:*").Val() {
		if !slices.Contains(before, key) {
			return key
		}
	}
	t.Fatal("no session was made")
	return ""
}

// F1. Who writes to Redis puts the record of somebody else under the key of his own session,
// or his own under that of his victim.
func TestF1SwappedRecords(t *testing.T) {
	server := redistest.Start(t)
	s := newApp(t, onRedis(server), asksRedis)
	db, ctx := server.Patient(), t.Context()
	put := func(key, value string) {
		if err := db.SetArgs(ctx, key, value, keepTTL).Err(); err != nil {
			t.Fatal(err)
		}
	}
	get := func(key string) string {
		value, err := db.Get(ctx, key).Result()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
	bystander := s.browser()
	bystander.enter(idxtest.Radia)
	for _, tt := range []struct {
		name        string
		attack      func(mine, victims string)
		mine, other bool // who is still signed in
	}{
		{"swapped", func(mine, victims string) {
			a, b := get(mine), get(victims)
			put(mine, b)
			put(victims, a)
		}, false, false},
		{"the victim's under my key", func(mine, victims string) { put(mine, get(victims)) }, false, true},
		{"mine under the victim's key", func(mine, victims string) { put(victims, get(mine)) }, true, false},
		{"my stamp in front of the victim's record", func(mine, victims string) { put(mine, get(mine)[:6]+get(victims)[6:]) }, false, true},
		{"half of each", func(mine, victims string) {
			put(mine, get(victims)[:len(get(victims))/2]+get(mine)[len(get(mine))/2:])
		}, false, true},
		{"one bit", func(mine, _ string) {
			value := []byte(get(mine))
			value[len(value)/2] ^= 1
			put(mine, string(value))
		}, false, true},
		{"nothing", func(_, _ string) {}, true, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			me, victim := s.browser(), s.browser()
			mine := recordMade(t, server, func() { me.enter(idxtest.Grace) })
			victims := recordMade(t, server, func() { victim.enter(idxtest.Ada) })
			me.wantUser(idxtest.Grace)
			victim.wantUser(idxtest.Ada)
			tt.attack(mine, victims)
			for _, who := range []struct {
				*browser
				user idxtest.User
				in   bool
			}{{me, idxtest.Grace, tt.mine}, {victim, idxtest.Ada, tt.other}} {
				if who.in {
					who.wantUser(who.user)
				} else {
					who.wantStranger()
				}
			}
		})
	}
	bystander.wantUser(idxtest.Radia)
}

// F2. What is stored is no gob (CVE-2022-30635), and no length in it makes anybody allocate
// (CVE-2026-25899): bytes of an attacker are no session, and cost no memory.
func TestF2HostileBytes(t *testing.T) {
	server := redistest.Start(t)
	s := newApp(t, onRedis(server), asksRedis)
	goFiles(t, func(path, source string) {
		if strings.Contains(source, `"encoding/gob"`) {
			t.Errorf("%s imports encoding/gob", path)
		}
	})
	var bomb bytes.Buffer
	if err := gob.NewEncoder(&bomb).Encode(map[string]any{"user": "ada", "roles": "admin"}); err != nil {
		t.Fatal(err)
	}
	live := make([]byte, 8) // a stamp of a record that has an hour left
	binary.BigEndian.PutUint64(live, uint64(time.Now().Add(time.Hour).UnixMilli()))
	stamp := string(live[2:])
	db, ctx := server.Patient(), t.Context()
	for name, value := range map[string]string{
		"empty":          "",
		"a stamp alone":  stamp,
		"gob":            stamp + bomb.String(),
		"huge lengths":   stamp + strings.Repeat("\xff", 300),
		"deep JSON":      stamp + strings.Repeat("[", 60<<10),
		"a megabyte":     stamp + strings.Repeat("x", 1<<20),
		"label too long": string([]byte{live[2] | 0x80}) + string(live[3:]) + "x\xff",
	} {
		t.Run(name, func(t *testing.T) {
			v := s.browser()
			key := recordMade(t, server, func() { v.enter(idxtest.Ada) })
			v.wantUser(idxtest.Ada)
			db.SetArgs(ctx, key, value, keepTTL)
			before := allocated()
			v.wantStranger()
			if n := allocated() - before; n > 8<<20 {
				t.Errorf("%d bytes were allocated for it", n)
			}
		})
	}
	t.Run("another type", func(t *testing.T) {
		v := s.browser()
		key := recordMade(t, server, func() { v.enter(idxtest.Ada) })
		db.Del(ctx, key)
		db.LPush(ctx, key, "x")
		v.open("/dashboard/").want(t, 503, "store_unavailable")
		db.Del(ctx, key)
		v.wantStranger()
	})
	if text := s.log.String(); strings.Contains(text, "panic") {
		t.Errorf("log: %s", text)
	}
}

func allocated() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.TotalAlloc
}

// F3. A record that cannot be read is no session and no error (nextjs-auth0 answered 500 for
// sessions that had expired), for ever and on no route.
func TestF3UnreadableRecord(t *testing.T) {
	server := redistest.Start(t)
	s := newApp(t, onRedis(server), asksRedis)
	v := s.browser()
	key := recordMade(t, server, func() { v.login("/dashboard/", idxtest.Ada) })
	db, ctx := server.Patient(), t.Context()
	spoil := func() { db.SetArgs(ctx, key, strings.Repeat("garbage ", 20), keepTTL) }
	spoil()
	v.wantStranger()
	redistest.Eventually(t, "the record is removed", func() bool { return db.Exists(ctx, key).Val() == 0 })
	if n := strings.Count(s.log.String(), "unreadable record removed"); n != 1 {
		t.Errorf("%d log lines about it", n)
	}
	for _, path := range []string{"/", "/auth/logout"} {
		spoil()
		if got := v.open(path); got.StatusCode != 200 || strings.Contains(got.body, "user ") {
			t.Errorf("%s: %d %q", path, got.StatusCode, got.body)
		}
	}
	spoil()
	if got := v.signOut(); got.StatusCode != http.StatusSeeOther {
		t.Errorf("logout: %s", got.Status)
	}
	v.login("/dashboard/", idxtest.Ada)
	v.wantUser(idxtest.Ada)
}

// F4. A session outlives its deadline by a request that began before it, by a key whose
// expiry was taken off, by a backup. (mod_auth_openidc's expiry wrapped in 2038, which is
// P2; connect-redis wrote keys without one.)
func TestF4ImmortalSession(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	const life = 6 * time.Second // enough for what has to happen before, on a busy machine
	s := newApp(t, onRedis(server), asksRedis, func(c *middleware.Config) {
		c.Session.Absolute, c.Session.Idle = life, life
		c.Session.TouchEvery = time.Millisecond // each request writes
	})
	arrived, held, late := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	release := sync.OnceFunc(func() { close(held) })
	t.Cleanup(release) // before the server is closed, which waits for the handler
	s.protect("/slow", func(w http.ResponseWriter, r *http.Request) {
		if err := session.Put(r.Context(), "in time", 1); err != nil {
			t.Errorf("Put before the deadline: %v", err)
		}
		close(arrived)
		<-held
		late <- session.Put(r.Context(), "late", 1)
	})
	db, ctx := server.Patient(), t.Context()
	v, keeper := s.browser(), s.browser()
	key := recordMade(t, server, func() { v.enter(idxtest.Ada) })
	kept := recordMade(t, server, func() { keeper.enter(idxtest.Grace) })
	v.wantUser(idxtest.Ada)
	backup, canDump := db.Dump(ctx, key).Result()
	if !db.Persist(ctx, kept).Val() {
		t.Error("the key had no expiry")
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		v.send(v.request("GET", "/slow"))
	}()
	<-arrived
	redistest.Eventually(t, "the deadline has passed", func() bool {
		for _, key := range db.Keys(ctx, "*:[su]:*").Val() {
			ttl := db.PTTL(ctx, key).Val()
			if key != kept && ttl != -2 && (ttl < 0 || ttl > life) {
				t.Fatalf("key %q has TTL %v", key, ttl)
			}
		}
		return v.open("/dashboard/").StatusCode == http.StatusFound && keeper.open("/dashboard/").StatusCode == http.StatusFound
	})
	release()
	if err := <-late; err == nil {
		t.Error("Put after the deadline succeeded")
	}
	<-done
	redistest.Eventually(t, "nothing is left of it", func() bool { return db.Exists(ctx, key).Val() == 0 })
	v.wantStranger()
	if canDump == nil { // the stand-in cannot
		if err := db.RestoreReplace(ctx, key, 0, backup).Err(); err != nil {
			t.Fatal(err)
		}
	}
	v.wantStranger()
	keeper.wantStranger()
}

// F5. A reply comes late, or belongs to somebody else's question (go-redis CVE-2025-29923;
// the ChatGPT incident of 2023-03-20). Nobody sees another user.
func TestF5RepliesMixedUp(t *testing.T) {
	server := redistest.Start(t)
	way := newWay(t, server.Addr)
	s := newApp(t, asksRedis, by(t, way))
	ada, grace := s.browser(), s.browser()
	adas := recordMade(t, server, func() { ada.enter(idxtest.Ada) })
	graces := recordMade(t, server, func() { grace.enter(idxtest.Grace) })
	t.Run("late", func(t *testing.T) {
		release := way.hold(t)
		ada.open("/dashboard/").want(t, 503, "store_unavailable")
		release() // Ada's record arrives now, on whatever connection is still open
		for range 20 {
			for _, who := range []struct {
				*browser
				user idxtest.User
			}{{grace, idxtest.Grace}, {ada, idxtest.Ada}} {
				redistest.Eventually(t, "Redis answers again", func() bool {
					got := who.open("/dashboard/")
					if got.StatusCode == 200 {
						got.want(t, 200, "user "+who.user.Email)
					}
					return got.StatusCode == 200
				})
			}
		}
	})
	t.Run("of another question", func(t *testing.T) {
		way.replace(adas, graces) // who asks for Ada's record is given Grace's
		got := ada.known("/dashboard/")
		if way.replaced() == 0 {
			t.Fatal("nothing was mixed up")
		}
		if got.StatusCode != http.StatusFound || strings.Contains(got.body, "user") {
			t.Errorf("Ada got %d %q", got.StatusCode, got.body)
		}
	})
}

// way leads to Redis, and can hold replies back or change questions.
type way struct {
	addr string

	mu      sync.Mutex
	held    chan struct{} // replies wait until it is closed
	old     []byte
	new     []byte
	changes atomic.Int64
	asks    atomic.Int64
}

func newWay(t *testing.T, addr string) *way {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &way{addr: l.Addr().String(), held: make(chan struct{})}
	close(w.held)
	var pumps sync.WaitGroup
	var conns sync.Map
	t.Cleanup(func() {
		l.Close()
		conns.Range(func(c, _ any) bool { c.(net.Conn).Close(); return true })
		pumps.Wait()
	})
	pumps.Go(func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", addr)
			if err != nil {
				in.Close()
				continue
			}
			conns.Store(in, nil)
			conns.Store(out, nil)
			pumps.Go(func() { w.pump(out, in, w.ask) })
			pumps.Go(func() { w.pump(in, out, w.reply) })
		}
	})
	return w
}

func (w *way) pump(to, from net.Conn, change func([]byte) []byte) {
	defer to.Close()
	defer from.Close()
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		if err != nil {
			return
		}
		if _, err := to.Write(change(buffer[:n])); err != nil {
			return
		}
	}
}

func (w *way) ask(b []byte) []byte {
	w.asks.Add(1)
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.old) > 0 && bytes.Contains(b, w.old) {
		w.changes.Add(1)
		b = bytes.ReplaceAll(b, w.old, w.new)
	}
	return b
}

func (w *way) reply(b []byte) []byte {
	w.mu.Lock()
	held := w.held
	w.mu.Unlock()
	<-held
	return b
}

// hold keeps replies back until release is called, or the test ends.
func (w *way) hold(t *testing.T) (release func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	held := make(chan struct{})
	w.held = held
	release = sync.OnceFunc(func() { close(held) })
	t.Cleanup(release)
	return release
}

// asked counts what has come from the application.
func (w *way) asked() int64 { return w.asks.Load() }

func (w *way) replace(old, new string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.old, w.new = []byte(old), []byte(new)
}

func (w *way) replaced() int64 { return w.changes.Load() }

// F6. Redis loses its data, or does not answer when a login is to be marked as used (a replay
// cache of mod_auth_openidc failed open): nobody gets in by that.
func TestF6LostRedisData(t *testing.T) {
	server := redistest.Start(t, "--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru")
	s := newApp(t, onRedis(server), asksRedis)
	v, thief := s.browser(), s.browser()
	used := v.ticket("/dashboard/", idxtest.Ada)
	v.open(used).want(t, 303, "")
	v.wantUser(idxtest.Ada)

	if err := server.Patient().FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	v.wantStranger()
	calls := s.apiCalls()
	thief.open(used) // from a log; that it was used is forgotten
	thief.wantStranger()
	if n := s.apiCalls(); n != calls {
		t.Errorf("the replay cost %d calls", n-calls)
	}
	pending := v.ticket("/dashboard/", idxtest.Ada)
	if server.Real() {
		redistest.Eventually(t, "the operator is warned of eviction", func() bool {
			return strings.Contains(s.log.String(), "maxmemory-policy to noeviction")
		})
	}

	server.Stop()
	oldSession := v.pair("session")
	got := v.open(pending)
	got.want(t, 503, "store_unavailable")
	if v.pair("session") != oldSession {
		t.Error("a login succeeded without a store")
	}
	server.Restart()
	redistest.Eventually(t, "the same login goes on", func() bool {
		return v.open(pending).StatusCode == 303 && v.open("/dashboard/").StatusCode == 200
	})
	thief.open(pending)
	thief.wantStranger()
}

// F7. "Sign out everywhere" misses sessions that begin meanwhile, or the list of them grows
// for ever.
func TestF7RevokeWhileLoginsRun(t *testing.T) {
	server := redistest.Start(t)
	s := newApp(t, onRedis(server), asksRedis, func(c *middleware.Config) { c.Session.MaxPerUser = 12 })
	uid, ctx := s.hub.User(idxtest.Ada.Email).UID, t.Context()
	other := s.browser()
	other.enter(idxtest.Grace)
	for range 3 {
		var before []*browser
		for range 5 {
			v := s.browser()
			v.enter(idxtest.Ada)
			v.wantUser(idxtest.Ada)
			before = append(before, v)
		}
		var during []*browser
		var logins sync.WaitGroup
		for range 10 {
			v := s.browser()
			during = append(during, v)
			back := v.ticket("/dashboard/", idxtest.Ada)
			logins.Go(func() { v.send(v.request("GET", back)) })
		}
		if _, err := s.auth.Sessions().RevokeUser(ctx, uid, nil); err != nil {
			t.Fatal(err)
		}
		logins.Wait()
		for _, v := range before {
			v.wantStranger()
		}
		live := 0
		for _, v := range during {
			if v.open("/dashboard/").StatusCode == 200 {
				live++
			}
		}
		if list, err := s.auth.Sessions().List(ctx, uid); len(list) != live || err != nil {
			t.Errorf("%d sessions are live, the list has %d (%v)", live, len(list), err)
		}
		s.auth.Sessions().RevokeUser(ctx, uid, nil)
		for _, v := range during {
			v.wantStranger()
		}
	}
	// The list is bounded, and what was lost otherwise leaves it.
	var all []*browser
	for range 20 {
		v := s.browser()
		v.enter(idxtest.Ada)
		all = append(all, v)
	}
	list, err := s.auth.Sessions().List(ctx, uid)
	if len(list) != 12 || err != nil {
		t.Errorf("20 logins: %d sessions (%v), want 12", len(list), err)
	}
	live := 0 // which of those of one second end is not said
	for _, v := range all {
		if v.open("/dashboard/").StatusCode == 200 {
			live++
		}
	}
	if live != 12 {
		t.Errorf("20 logins: %d are signed in, want 12", live)
	}
	all[19].wantUser(idxtest.Ada)
	for _, key := range server.Patient().Keys(ctx, "*:s:*").Val() { // as eviction does
		server.Patient().Del(ctx, key)
	}
	if list, err := s.auth.Sessions().List(ctx, uid); len(list) != 0 || err != nil {
		t.Errorf("after the records are gone: %d sessions, %v", len(list), err)
	}
	if n := server.Patient().Keys(ctx, "*:u:*").Val(); len(n) > 1 { // Grace's
		t.Errorf("indexes %q are left", n)
	}
}

// F8. Two applications share a Redis, with the same users and the same visitor. Neither sees
// the keys of the other, and no command is sent that reads more than its own.
func TestF8SharedRedis(t *testing.T) {
	server := redistest.Start(t)
	if !server.Real() {
		t.Skip("redis-server is not installed: commands were not watched")
	}
	one := newApp(t, onRedis(server))
	two := newApp(t, onRedis(server), func(c *middleware.Config) { c.IDX.AppName = "other-app" })
	seen := watchCommands(t, server)
	v, w := one.browser(), two.browser()
	v.enter(idxtest.Ada)
	w.enter(idxtest.Ada)
	v.wantUser(idxtest.Ada)
	w.wantUser(idxtest.Ada)
	// A cookie of one, under the name that the other looks for.
	_, token, _ := strings.Cut(v.pair("session"), "=")
	intruder := two.browser()
	intruder.open("/dashboard/", "Cookie", two.auth.Sessions().CookieName()+"="+token).want(t, 302, "")
	two.auth.Sessions().RevokeUser(t.Context(), two.hub.User(idxtest.Ada.Email).UID, nil)
	w.wantStranger()
	v.wantUser(idxtest.Ada)
	one.auth.Sessions().List(t.Context(), one.hub.User(idxtest.Ada.Email).UID)
	v.signOut()
	v.wantStranger()

	allowed := strings.Fields("get set del eval evalsha ping info subscribe client hello multi exec " +
		"exists expireat getrange pexpireat pttl setrange time zadd zcard zcount zrange zrank zrem zremrangebyscore")
	spaces := []string{one.space(), two.space()}
	keys := 0
	for _, line := range seen() {
		if !slices.Contains(allowed, line.command) {
			t.Errorf("%s was sent", line.command)
		}
		for _, key := range line.keys {
			keys++
			if !strings.HasPrefix(key, spaces[0]+":") && !strings.HasPrefix(key, spaces[1]+":") {
				t.Errorf("%s of %q", line.command, key)
			}
		}
	}
	if keys < 10 || spaces[0] == spaces[1] {
		t.Errorf("%d keys were seen, in the spaces %q", keys, spaces)
	}
}

type commandLine struct {
	command string
	keys    []string
}

var word = regexp.MustCompile(`"((?:[^"\\]|\\.)*)"`)

// watchCommands watches the commands of server until the returned function is called.
func watchCommands(t *testing.T, server *redistest.Server) func() []commandLine {
	t.Helper()
	conn, err := net.Dial("tcp", server.Addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(time.Minute))
	io.WriteString(conn, "MONITOR\r\n")
	lines := bufio.NewReader(conn)
	if ok, err := lines.ReadString('\n'); ok != "+OK\r\n" {
		t.Fatalf("MONITOR: %q, %v", ok, err)
	}
	return func() (all []commandLine) {
		server.Patient().Echo(context.Background(), "the end")
		for {
			text, err := lines.ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			var words []string
			for _, w := range word.FindAllStringSubmatch(text, -1) {
				words = append(words, w[1])
			}
			if len(words) == 0 {
				continue
			}
			line := commandLine{command: strings.ToLower(words[0])}
			switch c := line.command; {
			case c == "echo":
				return all
			case c == "get" || c == "set" || c == "del" || strings.HasPrefix(c, "z") || strings.HasPrefix(c, "p") && c != "ping" || strings.HasPrefix(c, "ex") && c != "exec":
				line.keys = words[1:2]
			case c == "eval" || c == "evalsha":
				var n int
				fmt.Sscan(words[2], &n)
				line.keys = words[3 : 3+n]
			}
			all = append(all, line)
		}
	}
}
