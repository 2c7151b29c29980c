package main

import (
	"os"
	"os/exec"
	"testing"
)

func TestMain(m *testing.M) {
	serveIfChild()
	os.Exit(m.Run())
}

func needRedis(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err == nil && os.Getenv("IDXAUTH_NO_REDIS") != "1" {
		return
	} else if os.Getenv("IDXAUTH_REQUIRE_REDIS") == "1" {
		t.Fatal("IDXAUTH_REQUIRE_REDIS=1, but there is no redis-server")
	}
	t.Skip("redis-server is not installed: what load does to it and to the application was not tested")
}

// What must hold under any load; how fast it is, is for a quiet machine to say.

func TestLogins(t *testing.T) {
	needRedis(t)
	r, err := logins(t.Context(), 150, -1)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("\n%s", r)
	if r.succeeded() != r.browsers {
		t.Errorf("%d of %d signed in; the others: %v", r.succeeded(), r.browsers, r.failed)
	}
	if r.after.Goroutines > r.before.Goroutines+fewGoroutines {
		t.Errorf("%d goroutines, before %d", r.after.Goroutines, r.before.Goroutines)
	}
	if r.calls > int64(2*(r.browsers+r.busy)) { // a call that fails is tried again once
		t.Errorf("%d API calls for %d logins and %d answers 503", r.calls, r.browsers, r.busy)
	}
	// Three a login, one for the page after it, and some a second for the near cache.
	most := int64(5*r.browsers) + 200 + int64(20*r.took.Seconds())
	if trips := r.after.Trips - r.before.Trips; r.busy == 0 && trips > most {
		t.Errorf("%d round trips to Redis for %d logins", trips, r.browsers)
	}
}

// With a limit of the API's rate some come too soon, and obey.
func TestLoginsWithABrake(t *testing.T) {
	needRedis(t)
	r, err := logins(t.Context(), 100, 20)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("\n%s", r)
	if r.succeeded() != r.browsers {
		t.Errorf("%d of %d signed in; the others: %v", r.succeeded(), r.browsers, r.failed)
	}
	if r.took.Seconds() > 1 && float64(r.calls)/r.took.Seconds() > 45 {
		t.Errorf("%d API calls in %v, with a rate of 20 a second and a burst of 40", r.calls, r.took)
	}
}

func TestLiveSessions(t *testing.T) {
	needRedis(t)
	c, err := newCrowd(t.Context(), &figures{sessions: 300})
	defer c.stop()
	if err == nil {
		err = c.round(t.Context())
	}
	if err == nil {
		err = c.finish(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	if c.trips > c.views/2+int64(2*c.sessions) {
		t.Errorf("%d round trips to Redis for %d views of %d sessions", c.trips, c.views, c.sessions)
	}
	if c.redisMemory > 6000 { // of a few, whose share of what is there once is large
		t.Errorf("a session takes %d bytes of Redis", c.redisMemory)
	}
}

func TestLoginStorm(t *testing.T) {
	needRedis(t)
	r, err := loginStorm(t.Context(), 60, -1)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("\n%s", r)
	if r.signedInAgain != r.browsers {
		t.Errorf("%d of %d were signed in again", r.signedInAgain, r.browsers)
	}
	if total(r.failed) > 0 {
		t.Errorf("failures: %v", r.failed)
	}
	if r.calls > int64(2*(r.browsers+r.busy)) {
		t.Errorf("%d API calls for %d browsers and %d answers 503", r.calls, r.browsers, r.busy)
	}
	if r.after.Goroutines > r.before.Goroutines+fewGoroutines {
		t.Errorf("%d goroutines, before %d", r.after.Goroutines, r.before.Goroutines)
	}
}
