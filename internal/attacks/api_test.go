package attacks_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/idxauth/idxauth/idx/idxtest"
	"github.com/idxauth/idxauth/internal/redistest"
	"github.com/idxauth/idxauth/middleware"
)

// evilAPI is a server in place of the API, or in front of it: answer gets the right
// answer to each request for a profile, and writes another one. Everything else is the
// emulator's. Call honest to let it answer rightly again.
type evilAPI struct {
	*httptest.Server
	answer atomic.Pointer[func(w http.ResponseWriter, r *http.Request, right []byte)]
}

// behindEvilAPI starts an application that asks an evilAPI.
func behindEvilAPI(t *testing.T, change ...func(*middleware.Config)) (*app, *evilAPI) {
	t.Helper()
	api, emulator := new(evilAPI), idxtest.NewServer(t)
	hub := emulator.Handler()
	api.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path := strings.ToLower(r.URL.Path)
		answer := api.answer.Load()
		if answer == nil || !strings.HasSuffix(path, "/auth/account") && !strings.Contains(path, "/manage/account/") {
			hub.ServeHTTP(w, r)
			return
		}
		right := httptest.NewRecorder()
		hub.ServeHTTP(right, r)
		(*answer)(w, r, right.Body.Bytes())
	}))
	t.Cleanup(api.Close)
	change = append([]func(*middleware.Config){func(c *middleware.Config) { c.IDX.APIURL = api.URL }}, change...)
	return startApp(t, &app{hub: emulator}, change), api
}

func (e *evilAPI) answers(f func(w http.ResponseWriter, r *http.Request, right []byte)) {
	e.answer.Store(&f)
}

// says answers with a status and a body.
func (e *evilAPI) says(status int, body string) {
	e.answers(func(w http.ResponseWriter, _ *http.Request, _ []byte) {
		w.WriteHeader(status)
		io.WriteString(w, body)
	})
}

func (e *evilAPI) honest() { e.answer.Store(nil) }

// wantNoLogin checks that a login as Grace ends with status and reason, and no session.
func wantNoLogin(t *testing.T, a *app, status int, reason middleware.Reason) {
	t.Helper()
	b := a.browser()
	got := b.open(b.ticket("/dashboard/", idxtest.Grace))
	got.want(t, status, "")
	if a.refused(reason) == 0 {
		t.Errorf("the reason was %q, want %s", a.reasons, reason)
	}
	a.mu.Lock()
	a.reasons = nil
	a.mu.Unlock()
	if b.session() != "" {
		t.Error("there is a session")
	}
	b.wantStranger()
}

// J1. The API, or who answers in its place, sends without end: compressed, deep, in headers
// or in error bodies (Traefik CVE-2026-26998: an unbounded read of an auth answer).
func TestJ1DecompressionBomb(t *testing.T) {
	// A megabyte of nothing, 256 times: readers go on to the next part by themselves.
	var part bytes.Buffer
	z, _ := gzip.NewWriterLevel(&part, gzip.BestCompression)
	io.CopyN(z, endless(' '), 1<<20)
	z.Close()
	bomb := bytes.Repeat(part.Bytes(), 256)
	for name, answer := range map[string]func(w http.ResponseWriter, r *http.Request, right []byte){
		"gzip bomb": func(w http.ResponseWriter, r *http.Request, _ []byte) {
			if !strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
				t.Error("gzip was not asked for, so the bomb proves nothing")
			}
			w.Header().Set("Content-Encoding", "gzip")
			w.Write(bomb)
		},
		"gzip bomb twice": func(w http.ResponseWriter, _ *http.Request, _ []byte) {
			w.Header()["Content-Encoding"] = []string{"gzip, gzip"}
			w.Write(bomb)
		},
		"a coding that nobody asked for": func(w http.ResponseWriter, _ *http.Request, right []byte) {
			w.Header().Set("Content-Encoding", "br")
			w.Write(right)
		},
		"endless": func(w http.ResponseWriter, _ *http.Request, _ []byte) {
			io.WriteString(w, `{"Uid":"`)
			io.CopyN(w, endless('x'), 64<<20)
		},
		"deep": func(w http.ResponseWriter, _ *http.Request, _ []byte) { io.CopyN(w, endless('['), 1<<20) },
		"deep in a field": func(w http.ResponseWriter, _ *http.Request, right []byte) {
			fmt.Fprintf(w, `{"Company":%s`, strings.Repeat(`{"a":`, 100_000))
		},
		"many keys": func(w http.ResponseWriter, _ *http.Request, right []byte) {
			io.WriteString(w, `{"Uid":"x"`+strings.Repeat(`,"a":1`, 1<<20)+`}`)
		},
		"endless error": func(w http.ResponseWriter, _ *http.Request, _ []byte) {
			w.WriteHeader(500)
			io.WriteString(w, `{"ErrorCode":905,"Message":"`)
			io.CopyN(w, endless('x'), 64<<20)
		},
		"huge header": func(w http.ResponseWriter, _ *http.Request, right []byte) {
			w.Header().Set("X", strings.Repeat("x", 256<<10))
			w.Write(right)
		},
	} {
		t.Run(name, func(t *testing.T) {
			a, api := behindEvilAPI(t)
			api.answers(answer)
			began := time.Now()
			before := peakHeap()
			wantNoLogin(t, a, 503, middleware.ProviderDown)
			if used := peakHeap() - before; used > 32<<20 {
				t.Errorf("%d MB of memory", used>>20)
			}
			if took := time.Since(began); took > 30*time.Second {
				t.Errorf("it took %v", took)
			}
			api.honest()
			a.browser().enterWhenOpen(idxtest.Grace)
		})
	}
	t.Run("an answer that is just short enough", func(t *testing.T) {
		a, api := behindEvilAPI(t)
		api.answers(func(w http.ResponseWriter, _ *http.Request, right []byte) {
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			z.Write(right)
			z.Write(bytes.Repeat([]byte(" "), 1<<20-len(right)))
			z.Close()
		})
		a.browser().enter(idxtest.Grace)
	})
}

// enterWhenOpen signs user in as soon as the breaker lets calls through again.
func (b *browser) enterWhenOpen(user idxtest.User) {
	b.app.t.Helper()
	redistest.Eventually(b.app.t, "a login works", func() bool {
		return b.open(b.ticket("/dashboard/", user)).StatusCode == http.StatusSeeOther
	})
	b.wantUser(user)
}

type endless byte

func (e endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(e)
	}
	return len(p), nil
}

// peakHeap is what the heap has taken from the system, which a bomb would make it do.
func peakHeap() int64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapSys)
}

// J2. Only 200 with one JSON object, and nothing behind it, says who somebody is.
func TestJ2WrongShapes(t *testing.T) {
	a, api := behindEvilAPI(t)
	for name, answer := range map[string]func(right string) (int, string){
		"created":           func(r string) (int, string) { return 201, r },
		"not authoritative": func(r string) (int, string) { return 203, r },
		"partial":           func(r string) (int, string) { return 206, r },
		"two documents":     func(r string) (int, string) { return 200, r + r },
		"trailing bytes":    func(r string) (int, string) { return 200, r + "x" },
		"trailing brace":    func(r string) (int, string) { return 200, r + "}" },
		"array":             func(r string) (int, string) { return 200, "[" + r + "]" },
		"text":              func(r string) (int, string) { return 200, fmt.Sprintf("%q", r) },
		"empty":             func(string) (int, string) { return 200, "" },
		"null":              func(string) (int, string) { return 200, "null" },
		"true":              func(string) (int, string) { return 200, "true" },
		"NaN":               func(r string) (int, string) { return 200, strings.Replace(r, "{", `{"Age":NaN,`, 1) },
		"byte order mark":   func(r string) (int, string) { return 200, "\ufeff" + r },
		"comment":           func(r string) (int, string) { return 200, "/**/" + r },
		"single quotes":     func(r string) (int, string) { return 200, strings.ReplaceAll(r, `"`, "'") },
		"cut off":           func(r string) (int, string) { return 200, r[:len(r)-1] },
		"HTML":              func(string) (int, string) { return 200, "<html>maintenance</html>" },
	} {
		t.Run(name, func(t *testing.T) {
			a, api := behindEvilAPI(t)
			api.answers(func(w http.ResponseWriter, _ *http.Request, right []byte) {
				status, body := answer(string(right))
				w.WriteHeader(status)
				io.WriteString(w, body)
			})
			wantNoLogin(t, a, 503, middleware.ProviderDown)
		})
	}
	// What the answer is called decides nothing, nor does white space.
	api.answers(func(w http.ResponseWriter, _ *http.Request, right []byte) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprintf(w, "\r\n\t %s \n", right)
	})
	a.browser().enter(idxtest.Grace)
}

// J3. Two keys that a careless parser takes for one: the last wins, and the user is another,
// or active after all.
func TestJ3DuplicateKeys(t *testing.T) {
	for name, more := range map[string]string{
		"twice":                `"Uid":"` + idxtest.Ada.UID + `"`,
		"in capitals":          `"UID":"` + idxtest.Ada.UID + `"`,
		"escaped":              `"\u0055id":"` + idxtest.Ada.UID + `"`,
		"active":               `"isactive":true`,
		"active with a long s": `"I\u017fActive":true`,
		"deleted":              `"IsDeleted":false,"iSdELETED":false`,
		"verified":             `"emailverified":true`,
		"roles":                `"ROLES":["admin"]`,
		"roles, long s":        `"Role\u017f":["admin"]`,
	} {
		t.Run(name, func(t *testing.T) {
			for _, first := range []bool{true, false} {
				a, api := behindEvilAPI(t)
				api.answers(func(w http.ResponseWriter, _ *http.Request, right []byte) {
					if first {
						fmt.Fprintf(w, "{%s,%s", more, right[1:])
						return
					}
					fmt.Fprintf(w, "%s,%s}", right[:len(right)-1], more)
				})
				wantNoLogin(t, a, 503, middleware.ProviderDown)
			}
		})
	}
	a, api := behindEvilAPI(t)
	api.answers(func(w http.ResponseWriter, _ *http.Request, right []byte) {
		fmt.Fprintf(w, `{"UidX":"x","Novelty":1,"novelty":2,%s`, right[1:]) // of keys that nobody needs
	})
	a.browser().enter(idxtest.Grace)
}

// J4. Fields that nobody needs are null or of another type: logins go on. Those that decide
// are not as they should be: nobody gets in. (go-pkgz/auth CVE-2026-42560: without an id,
// all were one user; casdoor CVE-2026-9097: not checked whether active.)
func TestJ4NullsAndWrongTypes(t *testing.T) {
	edit := func(change map[string]any) func(*middleware.Config) {
		return editing(func(_ string, answer map[string]any) {
			if answer["Uid"] != nil {
				for key, value := range change {
					answer[key] = value
				}
			}
		})
	}
	for name, change := range map[string]map[string]any{
		"nulls":        {"FirstName": nil, "LastName": nil, "Email": nil, "Roles": nil, "Company": nil, "CustomFields": nil, "CreatedDate": nil},
		"wrong types":  {"FirstName": 7, "LastName": true, "Company": []any{1}, "Gender": map[string]any{"a": 1}, "NoOfLogins": "many", "CreatedDate": "yesterday"},
		"nothing more": {},
	} {
		t.Run(name, func(t *testing.T) {
			b := newApp(t, edit(change)).browser()
			b.open(b.ticket("/dashboard/", idxtest.Grace)).want(t, 303, "")
			b.open("/dashboard/").want(t, 200, "user ")
		})
	}
	for _, tt := range []struct {
		key    string
		value  any
		status int
		reason middleware.Reason
	}{
		{"Uid", nil, 503, middleware.ProviderDown},
		{"Uid", "", 503, middleware.ProviderDown},
		{"Uid", 7, 503, middleware.ProviderDown},
		{"Uid", []string{"x"}, 503, middleware.ProviderDown},
		{"Uid", "a\x00b", 503, middleware.ProviderDown},
		{"Uid", "a\nb", 503, middleware.ProviderDown},
		{"Uid", strings.Repeat("x", 257), 503, middleware.ProviderDown},
		{"IsActive", "perhaps", 503, middleware.ProviderDown},
		{"IsActive", []bool{true}, 503, middleware.ProviderDown},
		{"IsActive", false, 403, middleware.AccountDenied},
		{"IsDeleted", map[string]any{}, 503, middleware.ProviderDown},
		{"IsDeleted", true, 403, middleware.AccountDenied},
		{"EmailVerified", "?", 503, middleware.ProviderDown},
		{"Roles", "admin", 503, middleware.ProviderDown},
		{"Roles", []any{map[string]any{"Name": "admin"}}, 503, middleware.ProviderDown},
	} {
		t.Run(fmt.Sprintf("%s %.10v", tt.key, tt.value), func(t *testing.T) {
			wantNoLogin(t, newApp(t, edit(map[string]any{tt.key: tt.value})), tt.status, tt.reason)
		})
	}
}

// J5. A firewall's 403 is read as a verdict on the token and signs everybody out; a wrong key
// is read as "log in again" and makes a loop.
func TestJ5ErrorClassesConfused(t *testing.T) {
	for _, tt := range []struct {
		name         string
		status       int
		body         string
		login        int // how a login is answered
		reason       middleware.Reason
		sessionLives bool
	}{
		{"firewall", 403, "<html>Access denied</html>", 503, middleware.ProviderDown, true},
		{"firewall in JSON", 403, `{"code":905}`, 503, middleware.ProviderDown, true},
		{"two codes", 403, `{"ErrorCode":905,"errorcode":950}`, 503, middleware.ProviderDown, true},
		{"code of another thing", 403, `{"ErrorCode":123456}`, 503, middleware.ProviderDown, true},
		{"server", 500, `{"ErrorCode":950}`, 503, middleware.ProviderDown, true},
		{"gateway", 502, "<html>905</html>", 503, middleware.ProviderDown, true},
		{"too many calls", 429, "Too many requests", 503, middleware.ProviderDown, true},
		{"wrong key", 401, `{"ErrorCode":901}`, 500, middleware.ProviderSettings, true},
		{"not found", 404, "not found", 500, middleware.ProviderSettings, true},
		{"blocked", 403, `{"ErrorCode":991}`, 403, middleware.AccountDenied, false},
		{"token expired", 403, `{"ErrorCode":906}`, 302, middleware.TokenInvalid, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a, api := behindEvilAPI(t, func(c *middleware.Config) { c.Revalidate = 100 * time.Millisecond })
			inside := a.browser()
			inside.enter(idxtest.Ada)
			inside.wantUser(idxtest.Ada)
			api.says(tt.status, tt.body)
			wantNoLogin(t, a, tt.login, tt.reason)
			if tt.sessionLives {
				asked := a.apiCalls()
				redistest.Eventually(t, "the account was read again, in vain", func() bool {
					inside.wantUser(idxtest.Ada)
					return a.apiCalls() > asked || strings.Contains(a.log.String(), "account not read again")
				})
				inside.wantUser(idxtest.Ada)
				return
			}
			redistest.Eventually(t, "the session is over", func() bool { return inside.open("/dashboard/").StatusCode == 302 })
		})
	}
}

// J6. The answer to one question is followed, on the same connection, by an answer to one that
// nobody has asked yet: the next user would be whoever it names.
func TestJ6ResponseSmuggling(t *testing.T) {
	profile := func(u idxtest.User) string {
		return fmt.Sprintf(`{"Uid":%q,"IsActive":true,"IsDeleted":false,"Email":[{"Value":%q}],"EmailVerified":true}`, u.UID, u.Email)
	}
	response := func(body string) string {
		return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	}
	for name, first := range map[string]string{
		"a second answer":       response(profile(idxtest.Ada)) + response(profile(idxtest.Grace)),
		"after a broken one":    response(profile(idxtest.Ada)+"x") + response(profile(idxtest.Grace)),
		"after a chunked one":   "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(profile(idxtest.Ada)), profile(idxtest.Ada)) + response(profile(idxtest.Grace)),
		"both lengths":          "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n" + fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(profile(idxtest.Ada)), profile(idxtest.Ada)) + response(profile(idxtest.Grace)),
		"two lengths":           fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: %d\r\n\r\n{}", len(profile(idxtest.Ada))) + response(profile(idxtest.Grace)),
		"an interim answer":     "HTTP/1.1 103 Early Hints\r\n\r\n" + response(profile(idxtest.Ada)) + response(profile(idxtest.Grace)),
		"another protocol":      "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n" + response(profile(idxtest.Grace)),
		"no answer but another": "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n" + response(profile(idxtest.Grace)),
	} {
		t.Run(name, func(t *testing.T) {
			var asked atomic.Int64
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { l.Close() })
			go func() {
				for {
					conn, err := l.Accept()
					if err != nil {
						return
					}
					go func() {
						defer conn.Close()
						conn.SetDeadline(time.Now().Add(20 * time.Second))
						for {
							buffer := make([]byte, 8<<10)
							if _, err := conn.Read(buffer); err != nil {
								return
							}
							if asked.Add(1) == 1 {
								io.WriteString(conn, first)
								continue
							}
							io.WriteString(conn, response(profile(idxtest.Radia))) // honest from now on
						}
					}()
				}
			}()
			a := newApp(t, func(c *middleware.Config) { c.IDX.APIURL = "http://" + l.Addr().String() })
			ada, radia := a.browser(), a.browser()
			ada.open(ada.ticket("/dashboard/", idxtest.Ada))
			for range 3 {
				radia.enterWhenOpen(idxtest.Radia)
				radia.signOut()
			}
			if n := a.sessionsOf(idxtest.Grace); n != 0 {
				t.Errorf("Grace has %d sessions", n)
			}
		})
	}
}

// J7. A user's name is markup, and so is what his browser says of itself.
func TestJ7MarkupInProfiles(t *testing.T) {
	const markup = `"><script>alert(1)</script><img src=x onerror=alert(1)>`
	a := newApp(t, func(c *middleware.Config) { c.Devices = true })
	user := a.hub.AddUser(idxtest.User{Email: "x@example.com", FirstName: markup, LastName: markup, Company: markup, Roles: []string{markup}, Password: idxtest.Password})
	a.mux.Handle("/boss", a.auth.Require(middleware.HasRole("boss"))(http.HandlerFunc(a.page)))
	a.mux.Handle("/verified", a.auth.Require(middleware.EmailVerified())(http.HandlerFunc(a.page)))
	b := a.browser()
	b.open(b.ticket("/auth/login?return_to="+url.QueryEscape("/dashboard/?"+markup), user), "User-Agent", "Firefox/1 Windows "+markup, "Sec-CH-UA-Platform", markup).want(t, 303, "")
	b.wantUser(user)
	for path, status := range map[string]int{
		"/auth/devices": 200, "/boss": 403, "/verified": 403, "/auth/logout": 200, "/auth/nope/" + markup: 404,
		"/auth/callback/3?error=" + url.QueryEscape(markup) + "&action_completed=" + url.QueryEscape(markup): 400,
	} {
		got := b.open(path)
		got.want(t, status, "")
		for _, part := range []string{"<script", "<img", "onerror", "alert"} {
			if strings.Contains(strings.ToLower(got.body), part) {
				t.Errorf("%s shows %q: %.500s", path, part, got.body)
			}
		}
	}
	b.open("/auth/devices").want(t, 200, "Firefox on Windows")
}

// J8. When an account is read again, the API shows somebody else's.
func TestJ8ForeignProfile(t *testing.T) {
	a, api := behindEvilAPI(t)
	b := a.browser()
	b.enter(idxtest.Ada)
	again := func() {
		t.Helper()
		if _, err := a.auth.Sessions().MarkUser(t.Context(), idxtest.Ada.UID); err != nil {
			t.Fatal(err)
		}
	}
	calls := a.apiCalls()
	again()
	b.wantUser(idxtest.Ada)
	if a.apiCalls() == calls {
		t.Fatal("the account was not read again")
	}
	api.answers(func(w http.ResponseWriter, _ *http.Request, right []byte) {
		w.Write(bytes.ReplaceAll(bytes.ReplaceAll(right, []byte(idxtest.Ada.UID), []byte(idxtest.Grace.UID)), []byte(idxtest.Ada.Email), []byte(idxtest.Grace.Email)))
	})
	again()
	b.wantStranger()
	if n := a.sessionsOf(idxtest.Grace) + a.sessionsOf(idxtest.Ada); n != 0 {
		t.Errorf("%d sessions are left", n)
	}
}
