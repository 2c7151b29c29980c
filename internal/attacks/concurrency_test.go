package attacks_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/idxauth/idxauth/idx/idxtest"
	"github.com/idxauth/idxauth/internal/redistest"
	"github.com/idxauth/idxauth/middleware"
	"github.com/idxauth/idxauth/session"
)

// G1. A request is in flight while its user logs out, and writes afterwards: the session
// stays ended. (Spring Security CVE-2023-20862: a logout that was not saved; plain scs
// writes the session back.)
func TestG1LogoutAgainstRequestsInFlight(t *testing.T) {
	server := redistest.Start(t)
	s := newApp(t, onRedis(server), func(c *middleware.Config) { c.Session.TouchEvery = time.Millisecond })
	arrived, held, late := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	release := sync.OnceFunc(func() { close(held) })
	t.Cleanup(release) // before the server is closed, which waits for the handler
	s.protect("/slow", func(_ http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-held
		late <- session.Put(r.Context(), "cart", 1)
	})
	s.protect("/write", func(_ http.ResponseWriter, r *http.Request) { session.Put(r.Context(), "n", rand.Int()) })
	v := s.browser()
	v.enter(idxtest.Ada)
	stolen, thief := v.pair("session"), s.browser()
	v.open("/write").want(t, 200, "")
	done := make(chan struct{})
	go func() {
		defer close(done)
		v.send(v.request("GET", "/slow"))
	}()
	<-arrived
	v.signOut().want(t, 303, "")
	release()
	if err := <-late; err == nil {
		t.Error("a write after the logout succeeded")
	}
	<-done
	thief.known("/dashboard/", "Cookie", stolen).want(t, 302, "")

	for round := range 100 {
		v := s.browser()
		v.enter(idxtest.Ada)
		stolen := v.pair("session")
		requests := []*http.Request{
			v.request("GET", "/write"), v.request("GET", "/dashboard/"), v.request("GET", "/write"), v.request("GET", "/"),
			v.request("POST", "/auth/logout", "Sec-Fetch-Site", "same-origin"),
		}
		rand.Shuffle(len(requests), func(i, j int) { requests[i], requests[j] = requests[j], requests[i] })
		var all sync.WaitGroup
		still := http.Client{} // without a jar: each has the cookie
		still.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		for _, req := range requests {
			req.Header.Set("Cookie", stolen)
			all.Go(func() {
				if resp, err := still.Do(req); err == nil {
					resp.Body.Close()
				}
			})
		}
		all.Wait()
		if got := thief.known("/dashboard/", "Cookie", stolen); got.StatusCode != http.StatusFound {
			t.Fatalf("round %d: the session is back: %d %q", round, got.StatusCode, got.body)
		}
	}
	redistest.Eventually(t, "nothing is left of any session", func() bool {
		return len(server.Patient().Keys(t.Context(), "*:s:*").Val()) == 0
	})
}

// G2. Two tabs store two things at once, on two instances; neither is lost.
func TestG2LostUpdates(t *testing.T) {
	server := redistest.Start(t)
	s := newApp(t, onRedis(server))
	other := s.neighbour(onRedis(server))
	meet := make(chan struct{})
	for _, at := range []*app{s, other} {
		at.protect("/put", func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Query().Has("meet") {
				select {
				case meet <- struct{}{}: // both have read the session by now
				case <-t.Context().Done():
				}
			}
			if err := session.Put(r.Context(), r.URL.Query().Get("key"), true); err != nil {
				t.Errorf("Put: %v", err)
			}
		})
	}
	s.protect("/has", func(w http.ResponseWriter, r *http.Request) {
		found, _, _ := session.Get[bool](r.Context(), r.URL.Query().Get("key"))
		fmt.Fprint(w, found)
	})
	v := s.browser()
	v.enter(idxtest.Ada)
	for round := range 20 {
		a, b := fmt.Sprint("a", round), fmt.Sprint("b", round)
		var both sync.WaitGroup
		both.Go(func() { v.send(v.request("GET", "/put?meet&key="+a)) })
		both.Go(func() { v.askOf(other, "GET", "/put?meet&key="+b) })
		for range 2 {
			select {
			case <-meet:
			case <-time.After(30 * time.Second):
				t.Fatal("the two requests do not meet")
			}
		}
		both.Wait()
		for _, key := range []string{a, b} {
			redistest.Eventually(t, "value "+key+" is there", func() bool { return v.open("/has?key="+key).body == "true" })
		}
	}
	v.open("/has?key=never").want(t, 200, "false")
}

// G3. One callback is sent many times at once, to two instances: one login comes of it.
func TestG3CallbacksAtOnce(t *testing.T) {
	server := redistest.Start(t)
	s := newApp(t, onRedis(server))
	other := s.neighbour(onRedis(server))
	v := s.browser()
	back := v.ticket("/dashboard/", idxtest.Ada)
	cookie := v.pair("login")
	var all sync.WaitGroup
	var mu sync.Mutex
	sessions := 0
	count := func(cookies []*http.Cookie) {
		mu.Lock()
		defer mu.Unlock()
		for _, c := range cookies {
			if c.Name == s.auth.Sessions().CookieName() && c.Value != "" {
				sessions++
			}
		}
	}
	for i := range 20 {
		thief := s.browser() // without a cookie jar in common, so that each is a first one
		all.Go(func() {
			if i%2 == 0 {
				got, err := thief.send(thief.request("GET", back, "Cookie", cookie))
				if err != nil {
					t.Error(err)
					return
				}
				count(got.Cookies())
				return
			}
			count(thief.askOf(other, "GET", strings.TrimPrefix(back, s.origin), "Cookie", cookie).Result().Cookies())
		})
	}
	all.Wait()
	list, err := s.auth.Sessions().List(t.Context(), s.hub.User(idxtest.Ada.Email).UID)
	if sessions != 1 || len(list) != 1 || err != nil {
		t.Errorf("20 callbacks made %d cookies and %d sessions (%v), want 1", sessions, len(list), err)
	}
}

// G4. Hundreds of requests arrive when an account is due to be read again, on two instances.
func TestG4RecheckStampede(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	const every = time.Second
	soon := func(c *middleware.Config) { c.Revalidate = every }
	s := newApp(t, onRedis(server), soon)
	other := s.neighbour(onRedis(server), soon)
	v := s.browser()
	began := time.Now() // before the login, which reads the account for the first time
	v.enter(idxtest.Ada)
	reads := func() int { return s.hub.Count("GET /identity/v2/manage/account/" + s.hub.User(idxtest.Ada.Email).UID) }
	redistest.Eventually(t, "the account is due, and read", func() bool {
		v.wantUser(idxtest.Ada)
		return reads() > 0
	})
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			for range 10 {
				if got := v.askOf(other, "GET", "/dashboard/"); got.Code != 200 {
					t.Errorf("the other instance answered %d", got.Code)
				}
				if got, err := v.send(v.request("GET", "/dashboard/")); err != nil || got.StatusCode != 200 {
					t.Errorf("%v, %v", got, err)
				}
			}
		})
	}
	all.Wait()
	if n, most := reads(), int(time.Since(began)/every); n > most {
		t.Errorf("400 requests in %v caused %d readings of the account, want %d at most", time.Since(began), n, most)
	}
}

// G5. Many users at once, with readings that several requests share: each sees himself
// (nextjs-auth0 CVE-2026-40155; Traefik CVE-2026-71326; oathkeeper CVE-2026-33496).
func TestG5SharedResults(t *testing.T) {
	const users, rounds = 16, 15
	server := redistest.Start(t)
	s := newApp(t, onRedis(server))
	var all sync.WaitGroup
	for i := range users {
		user := s.hub.AddUser(idxtest.User{Email: fmt.Sprintf("user%d@example.com", i), Password: idxtest.Password, EmailVerified: true})
		v := s.browser()
		v.enter(user)
		for range 2 {
			all.Go(func() {
				for round := range rounds {
					if round%5 == 0 { // the next requests share one reading
						if _, err := s.auth.Sessions().MarkUser(t.Context(), user.UID); err != nil {
							t.Errorf("MarkUser: %v", err)
						}
					}
					got, err := v.send(v.request("GET", "/dashboard/"))
					if err != nil || got.StatusCode != 200 || got.body != "user "+user.Email {
						t.Errorf("%s sees %v %v", user.Email, got, err)
						return
					}
				}
			})
		}
	}
	all.Wait()
	if s.served.Load() != users+users*2*rounds {
		t.Errorf("%d pages were shown, want %d", s.served.Load(), users*2*rounds)
	}
}

// G6. A visitor leaves in the middle of requests, and of a login: that is no verdict about the
// session (oauth2-proxy: "context canceled, removing session").
func TestG6CancelledRequests(t *testing.T) {
	server := redistest.Start(t)
	way := newWay(t, server.Addr)
	s := newApp(t, asksRedis, by(t, way))
	v := s.browser()
	v.enter(idxtest.Ada)
	for round := range 200 {
		ctx, leave := context.WithTimeout(t.Context(), time.Duration(round*20)*time.Microsecond)
		if resp, err := v.client.Do(v.request("GET", "/dashboard/").WithContext(ctx)); err == nil {
			if resp.StatusCode != 200 || resp.Request.URL.Path != "/dashboard/" || len(resp.Cookies()) > 0 {
				t.Errorf("%s of %s with cookies %v", resp.Status, resp.Request.URL, resp.Cookies())
			}
			resp.Body.Close()
		}
		leave()
	}
	release, asked := way.hold(t), way.asked() // one who certainly leaves while Redis is asked
	ctx, leave := context.WithCancel(t.Context())
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		v.client.Do(v.request("GET", "/dashboard/").WithContext(ctx))
	}()
	redistest.Eventually(t, "Redis is asked", func() bool { return way.asked() > asked })
	leave()
	<-gone
	release()
	redistest.Eventually(t, "the page is shown", func() bool { return v.open("/dashboard/").StatusCode == 200 })
	v.wantUser(idxtest.Ada)

	// The same for a login.
	s.hub.SetFault(idxtest.Fault{Kind: idxtest.SlowHeaders, Delay: 10 * time.Second, Times: 1})
	fresh := s.browser()
	back := fresh.ticket("/dashboard/", idxtest.Grace)
	ctx, leave = context.WithCancel(t.Context())
	gone = make(chan struct{})
	calls := s.apiCalls()
	go func() {
		defer close(gone)
		fresh.client.Do(fresh.request("GET", back).WithContext(ctx))
	}()
	redistest.Eventually(t, "the API is asked", func() bool { return s.apiCalls() > calls })
	leave()
	<-gone
	fresh.known(back).want(t, 303, "")
	fresh.wantUser(idxtest.Grace)
}

// G7. A stream that was opened before the logout goes on for ever.
func TestG7StreamOutlivesLogout(t *testing.T) {
	server := redistest.Start(t)
	s := newApp(t, onRedis(server))
	elsewhere := s.neighbour(onRedis(server)) // where the logout happens
	stream := func(w http.ResponseWriter, r *http.Request) {
		live, stop := session.Follow(r.Context())
		defer stop()
		io.WriteString(w, "open\n")
		w.(http.Flusher).Flush()
		<-live.Done()
		fmt.Fprintln(w, context.Cause(live))
	}
	s.protect("/stream", stream)
	follow := func(v *browser) (*bufio.Reader, io.Closer) {
		resp, err := v.client.Do(v.request("GET", "/stream"))
		if err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewReader(resp.Body)
		if line, err := lines.ReadString('\n'); line != "open\n" {
			t.Fatalf("%s: %q, %v", resp.Status, line, err)
		}
		return lines, resp.Body
	}
	ada, grace := s.browser(), s.browser()
	ada.enter(idxtest.Ada)
	grace.enter(idxtest.Grace)
	adas, closeAdas := follow(ada)
	defer closeAdas.Close()
	graces, closeGraces := follow(grace)
	defer closeGraces.Close()

	if got := ada.askOf(elsewhere, "POST", "/auth/logout", "Sec-Fetch-Site", "same-origin"); got.Code != 303 {
		t.Fatalf("logout: %d", got.Code)
	}
	began := time.Now()
	line, err := adas.ReadString('\n')
	if err != nil || !strings.Contains(line, session.ErrRevoked.Error()) || time.Since(began) > 10*time.Second {
		t.Errorf("Ada's stream ended with %q, %v after %v", line, err, time.Since(began))
	}
	grace.wantUser(idxtest.Grace) // whose stream is still open
	if _, err := s.auth.Sessions().RevokeUser(t.Context(), s.hub.User(idxtest.Grace.Email).UID, nil); err != nil {
		t.Fatal(err)
	}
	if line, err := graces.ReadString('\n'); !strings.Contains(line, session.ErrRevoked.Error()) {
		t.Errorf("Grace's stream ended with %q, %v", line, err)
	}
}

// G8. What is written after the first byte, or after the connection was taken over, is lost, or
// the page goes out although its session could not be written. With plain scs both happen.
func TestG8WriteAfterTheFirstByte(t *testing.T) {
	server := redistest.Start(t)
	s := newApp(t, onRedis(server), asksRedis)
	put := func(r *http.Request, key string) {
		if err := session.Put(r.Context(), key, true); err != nil {
			t.Errorf("Put %s: %v", key, err)
		}
	}
	for name, begin := range map[string]func(w http.ResponseWriter, r *http.Request){
		"flush": func(w http.ResponseWriter, r *http.Request) { http.NewResponseController(w).Flush() },
		"hints": func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusEarlyHints) },
		"bytes": func(w http.ResponseWriter, r *http.Request) { w.Write(make([]byte, 1<<16)) },
		"copy": func(w http.ResponseWriter, r *http.Request) {
			io.Copy(w, strings.NewReader(strings.Repeat("x", 1<<16)))
		},
		"hijack": func(w http.ResponseWriter, r *http.Request) {
			conn, rw, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Errorf("Hijack: %v", err)
				return
			}
			defer conn.Close()
			rw.WriteString("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
			rw.Flush()
			put(r, "hijack taken")
		},
	} {
		s.protect("/"+name, func(w http.ResponseWriter, r *http.Request) {
			begin(w, r)
			put(r, name)
		})
		s.protect("/has/"+name, func(w http.ResponseWriter, r *http.Request) {
			found, _, _ := session.Get[bool](r.Context(), name)
			fmt.Fprint(w, found)
		})
		t.Run(name, func(t *testing.T) {
			v := s.browser()
			v.enter(idxtest.Ada)
			v.open("/has/"+name).want(t, 200, "false")
			if got := v.open("/" + name); len(got.Cookies()) > 0 {
				t.Errorf("a page set cookies: %v", got.Cookies())
			}
			redistest.Eventually(t, "the value is there", func() bool { return v.open("/has/"+name).body == "true" })
		})
	}
	if !server.Real() {
		return
	}
	t.Run("full", func(t *testing.T) {
		s.protect("/page", func(w http.ResponseWriter, r *http.Request) {
			if err := session.Put(r.Context(), "k", 1); err != nil {
				http.Error(w, "not stored", http.StatusServiceUnavailable)
				return
			}
			io.WriteString(w, "the page")
		})
		v, late := s.browser(), s.browser()
		v.enter(idxtest.Ada)
		v.open("/page").want(t, 200, "the page")
		back := late.ticket("/dashboard/", idxtest.Grace)
		limit := func(bytes string) {
			if err := server.Patient().ConfigSet(t.Context(), "maxmemory", bytes).Err(); err != nil {
				t.Fatal(err)
			}
		}
		limit("1")
		if got := v.open("/page"); got.StatusCode != 503 || strings.Contains(got.body, "the page") {
			t.Errorf("a page whose session could not be written: %d %q", got.StatusCode, got.body)
		}
		v.wantUser(idxtest.Ada) // reads go on
		got := late.open(back)
		got.want(t, 503, "store_unavailable")
		if late.pair("session") != "" || strings.Contains(got.body, "user ") {
			t.Error("a login that could not be stored left a session")
		}
		v.signOut().want(t, 303, "")
		limit("0")
		late.known(back).want(t, 303, "")
		late.wantUser(idxtest.Grace)
	})
}
