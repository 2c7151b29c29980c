package middleware_test

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/idxauth/idxauth/idx/idxtest"
	"github.com/idxauth/idxauth/internal/redistest"
	"github.com/idxauth/idxauth/middleware"
	"github.com/idxauth/idxauth/session"
)

// onRedis has a client that waits for a busy machine: none of these tests is about how long
// Redis takes.
func onRedis(server *redistest.Server) func(*middleware.Config) {
	return func(c *middleware.Config) {
		c.Store = session.NewRedis(server.Patient(), &session.RedisOptions{Timeout: time.Minute})
	}
}

func TestStrangersCostRedisNothing(t *testing.T) {
	server := redistest.Start(t)
	a := newApp(t, onRedis(server))
	before := commands(t, server)
	for i := range 500 {
		b := a.browser()
		b.step(b.request("GET", "/dashboard/"))
		b.step(b.request("GET", "/auth/callback?token=x&state=y"))
		garbage := fmt.Sprintf("%s=%d", a.auth.Sessions().CookieName(), i)
		b.step(b.request("GET", "/dashboard/", "Cookie", garbage))
	}
	if after := commands(t, server); !maps.Equal(after, before) {
		t.Errorf("500 strangers: commands before %v, after %v", before, after)
	}
	if n, err := server.Client().DBSize(context.Background()).Result(); n != 0 || err != nil {
		t.Errorf("500 strangers left %d keys (%v)", n, err)
	}
}

func TestPageViewCostsOneRead(t *testing.T) {
	server := redistest.Start(t)
	a, b := pageViewer(t, server, session.NearCache{Off: true})
	a.open20(b) // whatever a first page costs more
	if got, want := costOf(t, server, func() { a.open20(b) }), map[string]int{"get": 20}; !maps.Equal(got, want) {
		t.Errorf("20 page views cost %v, want %v", got, want)
	}
}

func TestPageViewOfAWarmSessionCostsNothing(t *testing.T) {
	server := redistest.Start(t)
	if !server.Real() {
		t.Skip("redis-server is not installed: the near cache was not tested")
	}
	// With a lease that no slow machine lets run out. When the cache is warm is for it to
	// say: what the login has written may be told of after the first pages.
	a, b := pageViewer(t, server, session.NearCache{Lease: time.Minute})
	var cost map[string]int
	defer func() {
		if t.Failed() {
			t.Logf("20 page views cost %v", cost)
		}
	}()
	redistest.Eventually(t, "20 page views cost nothing", func() bool {
		cost = costOf(t, server, func() { a.open20(b) })
		return len(cost) == 0
	})
}

// pageViewer starts an application with pages to look at, and signs Ada in.
func pageViewer(t *testing.T, server *redistest.Server, cache session.NearCache) (*app, *browser) {
	t.Helper()
	a := newApp(t, onRedis(server), func(cfg *middleware.Config) { cfg.Session.NearCache = cache })
	// Wrapped three times, it costs no more.
	a.mux.Handle("/thrice", a.auth.LoadUser(a.auth.RequireLogin(a.auth.Require(middleware.EmailVerified())(http.HandlerFunc(a.page)))))
	b := a.browser()
	b.signIn("/dashboard/", idxtest.Ada)
	return a, b
}

func (a *app) open20(b *browser) {
	a.t.Helper()
	for range 10 {
		b.open("/dashboard/").want(a.t, 200, "user")
		b.open("/thrice").want(a.t, 200, "user")
	}
}

// costOf returns the commands that do has cost Redis, heartbeats of the near cache and
// what makes its connection aside.
func costOf(t *testing.T, server *redistest.Server, do func()) map[string]int {
	t.Helper()
	before := commands(t, server)
	do()
	cost := commands(t, server)
	for name := range cost {
		if cost[name] -= before[name]; cost[name] == 0 || name == "ping" || name == "subscribe" {
			delete(cost, name)
		}
	}
	return cost
}

func TestRedisHoldsNothingReadable(t *testing.T) {
	server := redistest.Start(t)
	a := newApp(t, onRedis(server))
	// A name of three letters is met by chance among so many random bytes.
	const firstName, lastName = "Augusta-Ada", "King-Lovelace"
	a.hub.UpdateUser(idxtest.Ada.Email, func(u *idxtest.User) { u.FirstName, u.LastName = firstName, lastName })
	b := a.browser()
	callback := b.callback("/dashboard/", idxtest.Ada)
	b.open(callback.String()).want(t, 200, "user")
	ctx := context.Background()
	keys, err := server.Client().Keys(ctx, "*").Result()
	if err != nil || len(keys) == 0 {
		t.Fatalf("keys: %v, %v", keys, err)
	}
	var dump strings.Builder
	for _, key := range keys {
		// Not DUMP, which compresses.
		var content string
		if strings.Contains(key, ":u:") {
			members, zrangeErr := server.Client().ZRange(ctx, key, 0, -1).Result()
			content, err = strings.Join(members, ""), zrangeErr
		} else {
			content, err = server.Client().Get(ctx, key).Result()
		}
		if err != nil {
			t.Fatalf("%q: %v", key, err)
		}
		dump.WriteString(key + content)
	}
	for what, secret := range map[string]string{
		"access token":  callback.Query().Get("token"),
		"state":         callback.Query().Get("state"),
		"session token": b.cookies()["session"][2:],
		"e-mail":        idxtest.Ada.Email,
		"first name":    firstName,
		"last name":     lastName,
	} {
		if strings.Contains(dump.String(), secret) {
			t.Errorf("Redis holds the %s", what)
		}
	}
}

func TestUnreadableRecordIsNoSession(t *testing.T) {
	server := redistest.Start(t)
	a := newApp(t, onRedis(server))
	b := a.browser()
	b.signIn("/dashboard/", idxtest.Ada)
	ctx := context.Background()
	keys, err := server.Client().Keys(ctx, "*:s:*").Result()
	if err != nil || len(keys) != 1 {
		t.Fatalf("keys: %q, %v", keys, err)
	}
	if err := server.Client().Set(ctx, keys[0], "garbage", time.Hour).Err(); err != nil {
		t.Fatal(err)
	}
	b.step(b.request("GET", "/dashboard/")).want(t, 302, "")
	b.open("/").want(t, 200, "stranger")
	b.open("/dashboard/").want(t, 200, "user") // silent
}

// "Redis does not answer" is not "nobody is signed in".
func TestStoreOutage(t *testing.T) {
	server := redistest.Start(t)
	a := newApp(t, onRedis(server))
	b := a.browser()
	b.signIn("/dashboard/", idxtest.Ada)
	pending := a.browser()
	callback := pending.callback("/dashboard/", idxtest.Grace)
	leaving := a.browser()
	leaving.signIn("/dashboard/", idxtest.Grace)
	left := cookieHeader(leaving, "session", leaving.cookies()["session"])

	server.Stop()
	for _, headers := range [][]string{nil, {"Sec-Fetch-Mode", "cors", "Accept", "*/*"}} {
		got := b.step(b.request("GET", "/dashboard/", headers...))
		got.want(t, 503, "store_unavailable")
		if got.Header.Get("Retry-After") == "" || len(got.Cookies()) > 0 {
			t.Errorf("Retry-After %q, cookies %v", got.Header.Get("Retry-After"), got.Cookies())
		}
	}
	b.step(b.request("GET", "/")).want(t, 200, "stranger")
	stranger := a.browser()
	stranger.step(stranger.request("GET", "/dashboard/")).want(t, 302, "")
	got := pending.step(pending.request("GET", callback.String()))
	got.want(t, 503, "store_unavailable")
	if _, ok := pending.cookies()["session"]; ok {
		t.Error("a login succeeded without a store")
	}
	out := leaving.step(leaving.request("POST", "/auth/logout", "Sec-Fetch-Site", "same-origin"))
	out.want(t, 503, "logout_unconfirmed")
	// The hosted page still knows the visitor; one more click leaves it too.
	out.want(t, 503, `<form method="post" action="/auth/logout">`)
	again := leaving.step(leaving.request("POST", "/auth/logout", "Sec-Fetch-Site", "same-origin"))
	if got := again.Header.Get("Location"); !strings.HasPrefix(got, a.hub.URL+"/auth.aspx?action=logout") {
		t.Errorf("signing out once more leads to %q", got)
	}
	if _, ok := leaving.cookies()["session"]; ok {
		t.Error("logout left the cookie")
	}
	if err := a.auth.Health(context.Background()); err == nil {
		t.Error("Health says nothing")
	}

	server.Restart()
	eventually(t, "signed in again", func() bool {
		return b.step(b.request("GET", "/dashboard/")).StatusCode == http.StatusOK
	})
	thief := a.browser()
	eventually(t, "logged out afterwards", func() bool {
		return thief.step(thief.request("GET", "/dashboard/", "Cookie", left)).StatusCode == http.StatusFound
	})
	pending.open(callback.String()).want(t, 200, "user "+idxtest.Grace.Email)
}

// commands returns how often each command was called, those of connecting and of this
// question aside.
func commands(t *testing.T, server *redistest.Server) map[string]int {
	t.Helper()
	info, err := server.Client().Info(context.Background(), "commandstats").Result()
	if err != nil {
		t.Skipf("not run: the stand-in for redis-server does not count commands: %v", err)
	}
	counts := make(map[string]int)
	for line := range strings.Lines(info) {
		var n int
		name, stats, _ := strings.Cut(strings.TrimPrefix(line, "cmdstat_"), ":calls=")
		if _, err := fmt.Sscanf(stats, "%d,", &n); err == nil && name != "info" && name != "hello" && !strings.HasPrefix(name, "client") {
			counts[name] = n
		}
	}
	return counts
}
