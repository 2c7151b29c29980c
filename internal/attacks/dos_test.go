package attacks_test

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/idxauth/idxauth/idx/idxtest"
	"github.com/idxauth/idxauth/internal/redistest"
	"github.com/idxauth/idxauth/middleware"
)

// cookieFault changes the cookies of all requests to the application.
type cookieFault struct{ change func(r *http.Request) }

func (f cookieFault) RoundTrip(r *http.Request) (*http.Response, error) {
	if strings.HasPrefix(r.URL.Host, "localhost") {
		r = r.Clone(r.Context())
		f.change(r)
	}
	return http.DefaultTransport.RoundTrip(r)
}

// I1. The browser goes round between us and the hosted page, which knows the visitor and
// answers in silence (oauth2-proxy #2607). A sister host can cause that with cookies.
func TestI1RedirectLoop(t *testing.T) {
	for name, change := range map[string]func(s *app, r *http.Request){
		"no cookies come back":       func(_ *app, r *http.Request) { r.Header.Del("Cookie") },
		"the session cookie is lost": func(s *app, r *http.Request) { onlyCookies(r, "-login=") },
		"the binding cookie is lost": func(s *app, r *http.Request) { onlyCookies(r, "-session=") },
		"3,100 cookies more": func(_ *app, r *http.Request) {
			r.Header.Set("Cookie", strings.Repeat("a=b; ", 3100)+r.Header.Get("Cookie"))
		},
		"a planted session beside":     func(s *app, r *http.Request) { r.Header.Add("Cookie", s.auth.Sessions().CookieName()+"=planted") },
		"a planted binding beside":     func(s *app, r *http.Request) { r.Header.Add("Cookie", s.space()+"-login=planted") },
		"huge cookies":                 func(_ *app, r *http.Request) { r.Header.Set("Cookie", "a="+strings.Repeat("x", 500<<10)) },
		"the session cookie truncated": func(s *app, r *http.Request) { cutCookies(r) },
	} {
		t.Run(name, func(t *testing.T) {
			s := newApp(t)
			v := s.browser()
			v.login("/dashboard/", idxtest.Ada).want(t, 200, "user") // the hosted page knows him now
			s.auth.Sessions().RevokeUser(t.Context(), s.hub.User(idxtest.Ada.Email).UID, nil)
			v.follow("/dashboard/").want(t, 200, "user") // in silence
			s.auth.Sessions().RevokeUser(t.Context(), s.hub.User(idxtest.Ada.Email).UID, nil)
			v.client.Transport = cookieFault{func(r *http.Request) { change(s, r) }}
			got := v.follow("/dashboard/")
			got.want(t, 400, "too_many_attempts") // and not the browser's own "too many redirects"
		})
	}
	t.Run("the API calls every token dead", func(t *testing.T) {
		s := newApp(t, deadTokens)
		v := s.browser()
		v.login("/dashboard/", idxtest.Ada)
		for range 5 { // whoever does not give up
			if got := v.follow("/dashboard/"); strings.Contains(got.body, "user ") {
				t.Errorf("%s %.200q", got.Status, got.body)
			}
		}
	})
}

func onlyCookies(r *http.Request, part string) {
	var kept []string
	for _, c := range strings.Split(r.Header.Get("Cookie"), "; ") {
		if strings.Contains(c, part) {
			kept = append(kept, c)
		}
	}
	r.Header.Set("Cookie", strings.Join(kept, "; "))
}

func cutCookies(r *http.Request) {
	cookies := strings.Split(r.Header.Get("Cookie"), "; ")
	for i, c := range cookies {
		cookies[i] = c[:max(0, len(c)-1)]
	}
	r.Header.Set("Cookie", strings.Join(cookies, "; "))
}

func deadTokens(c *middleware.Config) {
	c.IDX.HTTPClient = answering(func(*http.Request, *http.Response, []byte) (int, string) {
		return 403, `{"ErrorCode":906,"Message":"expired","Description":"expired"}`
	})
}

// I2. Strangers fill Redis: nothing is written before a login succeeds.
func TestI2StrangersFillRedis(t *testing.T) {
	server := redistest.Start(t)
	s := newApp(t, onRedis(server))
	stranger := s.browser()
	for i := range 200 {
		v := s.browser()
		token := randomToken()
		cookie := s.auth.Sessions().CookieName() + "=" + token
		v.open("/dashboard/")
		v.open("/dashboard/", "Cookie", cookie)
		v.open("/", "Cookie", cookie)
		v.open("/auth/login?return_to=/" + strings.Repeat("x", 1000))
		v.open(fmt.Sprintf("/auth/callback?state=%s&token=%d", token, i))
		v.open(v.begin("/dashboard/") + "&token=00000000-0000-4000-8000-000000000000") // his own state, an invented token
		v.open("/auth/logout")
		v.do(v.request("POST", "/auth/logout", "Cookie", cookie))
	}
	if keys := keys(t, server); len(keys) > 0 {
		t.Errorf("%d keys: %.5q", len(keys), keys)
	}
	stranger.enter(idxtest.Ada)
	if len(keys(t, server)) == 0 {
		t.Error("a login left nothing")
	}
}

func randomToken() string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	b := make([]byte, 45)
	for i := range b {
		b[i] = alphabet[rand.IntN(len(alphabet))]
	}
	b[44] = 'A' // whose last bits are none
	return string(b)
}

// I3. Strangers use up the calls that LoginRadius allows (5 a second in development).
func TestI3APIQuota(t *testing.T) {
	s := newApp(t)
	v := s.browser()
	for i := range 100 {
		stranger := s.browser()
		stranger.open(fmt.Sprintf("/auth/callback?state=%s&token=%d", randomToken(), i))
		stranger.open("/auth/callback?token=x")
		stranger.open(v.begin("/dashboard/")+"&token=made-up", "Cookie", "") // the state of another browser
	}
	if n := s.apiCalls(); n != 0 {
		t.Errorf("without a state of their own, strangers caused %d calls", n)
	}
	own := v.begin("/dashboard/")
	for i := range 100 {
		v.open(fmt.Sprintf("%s&token=made-up-%d", own, i))
	}
	if n := s.apiCalls(); n > 5 {
		t.Errorf("with one state, a stranger caused %d calls, want 5 at most", n)
	}
	before := s.apiCalls()
	v.enter(idxtest.Ada)
	if n := s.apiCalls() - before; n < 1 || n > 2 {
		t.Errorf("a login cost %d calls, want 1 or 2", n)
	}

	// States are free, so whoever begins a login for each token is held by the rate alone.
	const rate = 4.0
	s = newApp(t, func(c *middleware.Config) { c.APIRate = rate })
	inside, stranger := s.browser(), s.browser()
	inside.enter(idxtest.Ada)
	var addresses []string
	for i := range 60 {
		addresses = append(addresses, fmt.Sprintf("%s&token=made-up-%d", stranger.begin("/dashboard/"), i))
	}
	before, began := s.apiCalls(), time.Now()
	var turnedAway atomic.Int64
	var all sync.WaitGroup
	for _, address := range addresses {
		all.Go(func() {
			got, err := stranger.send(stranger.request("GET", address))
			if err == nil && got.StatusCode == 503 && got.Header.Get("Retry-After") != "" {
				turnedAway.Add(1)
			}
		})
	}
	all.Wait()
	most := int(0.75*rate*time.Since(began).Seconds() + 2*rate)
	n := s.apiCalls() - before
	if n > most || int(turnedAway.Load()) < len(addresses)-n {
		t.Errorf("60 states caused %d calls, want %d at most; %d were turned away, want all others", n, most, turnedAway.Load())
	}
	inside.wantUser(idxtest.Ada)
}

// I4. Everything as long as it can be (net/url CVE-2025-61726: parameters without limit;
// net/http CVE-2025-58186: cookies).
func TestI4HugeInput(t *testing.T) {
	s := newApp(t)
	v := s.browser()
	own := v.begin("/dashboard/")
	for name, target := range map[string]string{
		"query":      own + "&token=x&x=" + strings.Repeat("y", 70<<10),
		"parameters": own + "&token=x" + strings.Repeat("&a=b", 20_000),
		"token":      own + "&token=" + strings.Repeat("a", 5<<10),
		"state":      "/auth/callback?token=x&state=" + strings.Repeat("A", 3<<10),
	} {
		if got := v.open(target); got.StatusCode != 302 && got.StatusCode != 400 {
			t.Errorf("%s: %s", name, got.Status)
		}
	}
	if n := s.apiCalls(); n != 0 {
		t.Errorf("%d calls of the API", n)
	}
	long := "/dashboard/" + strings.Repeat("p", 2048-len("/dashboard/"))
	for target, want := range map[string]string{long: long, long + "p": "/"} {
		fresh := s.browser()
		fresh.login("/auth/login?return_to="+target, idxtest.Ada)
		got := fresh.open(fresh.ticket("/auth/login?return_to="+target, idxtest.Ada))
		if at := got.location(); at != s.origin+want {
			t.Errorf("a return path of %d bytes leads to %.60q", len(target), at)
		}
	}
	fresh := s.browser()
	fresh.open("/dashboard/", "Cookie", strings.Repeat("a=b; ", 20_000)).want(t, 302, "")
	fresh.open("/dashboard/", "Cookie", s.auth.Sessions().CookieName()+"="+strings.Repeat("x", 200<<10)).want(t, 302, "")
	if got := rawAll(t, s.addr, "GET / HTTP/1.1\r\nHost: x\r\nX: "+strings.Repeat("x", 2<<20)+"\r\n\r\n"); len(got) != 1 || got[0].StatusCode != 431 {
		t.Errorf("two megabytes of header: %v", got)
	}
	// A body that was announced and never comes is not waited for.
	for _, path := range []string{"/auth/logout", "/auth/login", "/auth/callback", "/dashboard/"} {
		conn, err := net.Dial("tcp", strings.TrimPrefix(s.origin, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(20 * time.Second))
		fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: x\r\nOrigin: https://evil.example\r\nContent-Length: 1000000000\r\n\r\n", path)
		if _, err := io.ReadFull(conn, make([]byte, 9)); err != nil {
			t.Errorf("POST %s waits for a gigabyte: %v", path, err)
		}
	}
	v.enter(idxtest.Ada)
	v.wantUser(idxtest.Ada)
}

// I5. Garbage makes us compute: no request costs more than some hashes.
func TestI5GarbageIsCheap(t *testing.T) {
	server := redistest.Start(t)
	s := newApp(t, onRedis(server))
	stop := func() []commandLine { return nil }
	if server.Real() {
		stop = watchCommands(t, server)
	}
	name := s.auth.Sessions().CookieName()
	visit := func(cookies string) time.Duration {
		r := httptest.NewRequest("GET", "/dashboard/", nil)
		r.Header.Set("Accept", "text/html")
		r.Header.Set("Cookie", cookies)
		w := httptest.NewRecorder()
		began := time.Now()
		if s.mux.ServeHTTP(w, r); w.Code != 302 {
			t.Fatalf("%d", w.Code)
		}
		return time.Since(began)
	}
	// In turns, and by the median: how busy the machine is does not matter then.
	var clean, dirty []time.Duration
	for i := range 3000 {
		garbage := strings.Repeat("z", i%90)
		clean = append(clean, visit("theme=dark; lang="+garbage))
		dirty = append(dirty, visit(name+"="+garbage+"; "+s.space()+"-login="+garbage))
	}
	slices.Sort(clean)
	slices.Sort(dirty)
	// A key derived from a password takes a hundred times as long, and more.
	if usual, garbage := clean[len(clean)/2], dirty[len(dirty)/2]; garbage > 10*usual {
		t.Errorf("a request takes %v, with garbage for cookies %v", usual, garbage)
	}
	for _, line := range stop() {
		if line.command == "get" || strings.HasPrefix(line.command, "eval") {
			t.Errorf("Redis was asked: %v", line)
		}
	}
	v := s.browser()
	v.enter(idxtest.Ada)
	v.wantUser(idxtest.Ada)
}

// I6. An attacker fills the disk with log lines, or forges them.
func TestI6LogFlooding(t *testing.T) {
	denied := 0
	var mu sync.Mutex
	s := newApp(t, func(c *middleware.Config) {
		c.Hooks.OnDenied = countDenied(&mu, &denied)
	})
	v := s.browser()
	began := time.Now()
	const n = 500
	for i := range n {
		v.open(fmt.Sprintf("/auth/callback?state=%d&token=x", i))
		v.open("/auth/callback/1%0alevel=ERROR%20msg=forged?state=x")
	}
	v.do(v.request("POST", "/auth/logout", "Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site")).want(t, 403, "")
	lines := strings.Split(strings.TrimSpace(s.log.String()), "\n")
	// One a second of each reason, of which there are few.
	if most := 10 + 4*int(time.Since(began)/time.Second+1); len(lines) > most {
		t.Errorf("%d requests made %d log lines, want %d at most", 2*n, len(lines), most)
	}
	for _, line := range lines {
		if !strings.HasPrefix(line, "time=") {
			t.Errorf("a forged line: %q", line)
		}
	}
	if !strings.Contains(s.log.String(), "cross_site_request") {
		t.Error("a reason of its own was left out")
	}
	mu.Lock()
	defer mu.Unlock()
	if denied < n {
		t.Errorf("the hook saw %d refusals, want %d", denied, n)
	}
}

// I7. The API hangs while logins come in: people who are signed in do not notice, and those
// who log in are told in time.
func TestI7SlowAPI(t *testing.T) {
	const limit = 3 * time.Second
	s := newApp(t, func(c *middleware.Config) { c.IDX.HTTPClient = &http.Client{Timeout: limit} })
	inside := s.browser()
	inside.enter(idxtest.Ada)
	s.hub.SetFault(idxtest.Fault{Kind: idxtest.SlowHeaders, Delay: time.Minute})
	var logins sync.WaitGroup
	began := time.Now()
	var waiting []*browser
	var backs []string
	for range 30 {
		v := s.browser()
		waiting, backs = append(waiting, v), append(backs, v.ticket("/dashboard/", idxtest.Grace))
	}
	for i, v := range waiting {
		logins.Go(func() {
			got, err := v.send(v.request("GET", backs[i]))
			if err != nil || got.StatusCode != 503 || got.Header.Get("Retry-After") == "" {
				t.Errorf("a login while the API hangs: %v, %v", got, err)
			}
		})
	}
	for range 20 {
		asked := time.Now()
		inside.wantUser(idxtest.Ada)
		if took := time.Since(asked); took >= limit {
			t.Errorf("a page took %v: it has waited for the API", took)
		}
	}
	logins.Wait()
	if took := time.Since(began); took > 30*time.Second {
		t.Errorf("the logins took %v", took)
	}
	v := s.browser()
	before := s.apiCalls()
	began = time.Now()
	for range 10 { // nobody asks any more, but for one in 2 s who finds out for all
		v.open(v.ticket("/dashboard/", idxtest.Grace)).want(t, 503, "provider_unavailable")
	}
	if n, most := s.apiCalls()-before, 2+int(time.Since(began)/(2*time.Second)); n > most {
		t.Errorf("10 logins asked an API that hangs %d times, want %d at most", n, most)
	}
	s.hub.ClearFault()
	redistest.Eventually(t, "logins work again", func() bool {
		return v.open(v.ticket("/dashboard/", idxtest.Grace)).StatusCode == 303
	})
	v.wantUser(idxtest.Grace)
}

// answering is a client of the API whose answers are made by change, from the right one.
func answering(change func(*http.Request, *http.Response, []byte) (status int, body string)) *http.Client {
	return &http.Client{Timeout: 3 * time.Second, Transport: transport(func(r *http.Request) (*http.Response, error) {
		resp, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			return nil, err
		}
		defer resp.Body.Close()
		right, err := io.ReadAll(resp.Body)
		if err != nil {
			return nil, err
		}
		status, body := change(r, resp, right)
		resp.StatusCode, resp.Body, resp.ContentLength = status, io.NopCloser(strings.NewReader(body)), int64(len(body))
		return resp, nil
	})}
}

type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func countDenied(mu *sync.Mutex, n *int) func(context.Context, middleware.Problem) {
	return func(context.Context, middleware.Problem) {
		mu.Lock()
		defer mu.Unlock()
		*n++
	}
}
