package idx_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/idxauth/idxauth/idx"
)

func TestCallsOnTheWire(t *testing.T) {
	fields := "Uid,IsActive,IsDeleted,IsLoginLocked,EmailVerified,Roles,"
	tests := []struct {
		name       string
		call       func(*idx.Client, context.Context) error
		path       string
		query      map[string]string
		management bool
	}{
		{
			name:  "profile",
			call:  func(c *idx.Client, ctx context.Context) error { _, err := c.Profile(ctx, testToken); return err },
			path:  "/identity/v2/auth/account",
			query: map[string]string{"apikey": testKey, "fields": fields + "ID,"},
		},
		{
			name:  "validate",
			call:  func(c *idx.Client, ctx context.Context) error { _, err := c.Validate(ctx, testToken); return err },
			path:  "/identity/v2/auth/access_token/Validate",
			query: map[string]string{"apikey": testKey},
		},
		{
			name:  "invalidate",
			call:  func(c *idx.Client, ctx context.Context) error { return c.Invalidate(ctx, testToken) },
			path:  "/identity/v2/auth/access_token/InValidate",
			query: map[string]string{"apikey": testKey, "preventRefresh": "true"},
		},
		{
			name:       "account",
			call:       func(c *idx.Client, ctx context.Context) error { _, err := c.Account(ctx, testUID); return err },
			path:       "/identity/v2/manage/account/" + testUID,
			query:      map[string]string{"apikey": testKey, "fields": fields + "ID,"},
			management: true,
		},
		{
			name:       "roles",
			call:       func(c *idx.Client, ctx context.Context) error { _, err := c.Roles(ctx, "grün & blau"); return err },
			path:       "/identity/v2/manage/account/gr%C3%BCn%20&%20blau/role",
			query:      map[string]string{"apikey": testKey},
			management: true,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			client := serve(t, func(w http.ResponseWriter, r *http.Request) {
				if r.Method != http.MethodGet || r.URL.EscapedPath() != tt.path {
					t.Errorf("got %s %s, want GET %s", r.Method, r.URL.EscapedPath(), tt.path)
				}
				query := r.URL.Query()
				if len(query) != len(tt.query) {
					t.Errorf("query is %v, want %v", query, tt.query)
				}
				for name, want := range tt.query {
					if got := query.Get(name); got != want && !(name == "fields" && strings.HasPrefix(got, want)) {
						t.Errorf("query has %s=%q, want %q", name, got, want)
					}
				}
				wantAuth, wantKey, wantSecret := "Bearer "+string(testToken), "", ""
				if tt.management {
					wantAuth, wantKey, wantSecret = "", testKey, string(testSecret)
				}
				for name, want := range map[string]string{
					"Authorization":           wantAuth,
					"X-LoginRadius-ApiKey":    wantKey,
					"X-LoginRadius-ApiSecret": wantSecret,
				} {
					if got := r.Header.Get(name); got != want {
						t.Errorf("header %s is %q, want %q", name, got, want)
					}
				}
				io.WriteString(w, `{"Uid":"`+testUID+`","IsPosted":true,"expires_in":"2026-01-02T03:04:05Z"}`)
			})
			if err := tt.call(client, t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestFields(t *testing.T) {
	tests := []struct {
		name   string
		fields []string
		want   []string // values of the fields parameter
	}{
		{"some", []string{"FirstName", "uid", "Country/Name"}, []string{"Uid,IsActive,IsDeleted,IsLoginLocked,EmailVerified,Roles,FirstName,Country/Name"}},
		{"none", []string{}, []string{"Uid,IsActive,IsDeleted,IsLoginLocked,EmailVerified,Roles"}},
		{"everything", []string{"*"}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			client := mustNew(t, idx.Config{Fields: tt.fields, HTTPClient: &http.Client{
				Transport: transport(func(r *http.Request) (*http.Response, error) {
					if got := r.URL.Query()["fields"]; fmt.Sprint(got) != fmt.Sprint(tt.want) {
						t.Errorf("fields = %q, want %q", got, tt.want)
					}
					return response(200, nil, smallProfile), nil
				}),
			}})
			if _, err := client.Profile(t.Context(), testToken); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestConfigIsCopied(t *testing.T) {
	httpClient := &http.Client{Transport: transport(func(*http.Request) (*http.Response, error) { return response(200, nil, smallProfile), nil })}
	fields := []string{"FirstName"}
	client := mustNew(t, idx.Config{Fields: fields, HTTPClient: httpClient})
	if httpClient.CheckRedirect != nil {
		t.Error("New changed the caller's HTTP client")
	}
	httpClient.Transport = nil
	fields[0] = "x"
	if _, err := client.Profile(t.Context(), testToken); err != nil {
		t.Errorf("changing the configuration after New had an effect: %v", err)
	}
}

// The standard client would take the secret along to the other host.
func TestRedirectsAreNotFollowed(t *testing.T) {
	var followed atomic.Int32
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		followed.Add(1)
		io.WriteString(w, smallProfile)
	}))
	defer other.Close()
	for _, status := range []int{301, 302, 303, 307, 308} {
		server := httptest.NewServer(http.RedirectHandler(other.URL, status))
		clients := map[string]*http.Client{
			"default": nil,
			"own":     {CheckRedirect: func(*http.Request, []*http.Request) error { return nil }},
		}
		for name, httpClient := range clients {
			client := mustNew(t, idx.Config{APIURL: server.URL, APISecret: testSecret, HTTPClient: httpClient})
			_, err := client.Account(t.Context(), testUID)
			checkClass(t, err, idx.ErrUnavailable)
			if e, ok := errors.AsType[*idx.APIError](err); !ok || e.Status != status {
				t.Errorf("%s client: error after %d is %v", name, status, err)
			}
			_, err = client.Profile(t.Context(), testToken)
			checkClass(t, err, idx.ErrUnavailable)
		}
		server.Close()
	}
	if n := followed.Load(); n != 0 {
		t.Errorf("%d requests reached the other host", n)
	}
}

func TestAnswersThatAreRefused(t *testing.T) {
	pad := func(size int) string { return smallProfile + strings.Repeat(" ", size-len(smallProfile)) }
	tests := []struct {
		name    string
		handler http.HandlerFunc
		ok      bool
	}{
		{"one object", answer(200, smallProfile), true},
		{"white space around it", answer(200, "\r\n\t "+smallProfile+"\n"), true},
		{"1 MiB", answer(200, pad(1<<20)), true},
		{"1 MiB and a byte", answer(200, pad(1<<20+1)), false},
		{"empty", answer(200, ""), false},
		{"null", answer(200, "null"), false},
		{"array", answer(200, "["+smallProfile+"]"), false},
		{"string", answer(200, `"`+testUID+`"`), false},
		{"two objects", answer(200, smallProfile+smallProfile), false},
		{"trailing text", answer(200, smallProfile+"x"), false},
		{"trailing NUL", answer(200, smallProfile+"\x00"), false},
		{"byte order mark", answer(200, "\ufeff"+smallProfile), false},
		{"NaN", answer(200, `{"Uid":"a","NoOfLogins":NaN}`), false},
		{"trailing comma", answer(200, `{"Uid":"a",}`), false},
		{"cut off", answer(200, smallProfile[:20]), false},
		{"HTML", answer(200, "<html>"), false},
		{"too deep", answer(200, `{"Uid":"a","x":`+strings.Repeat("[", 20000)+strings.Repeat("]", 20000)+`}`), false},
		{"201", answer(201, smallProfile), false},
		{"203", answer(203, smallProfile), false},
		{"204", answer(204, ""), false},
		{"206", answer(206, smallProfile), false},
		{"304", answer(304, ""), false},
		{"302 without Location", answer(302, smallProfile), false},
		{"302 to nowhere", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Location", "http://%zz/?token=leak")
			w.WriteHeader(302)
		}, false},
		{"gzip", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			gz := gzip.NewWriter(w)
			io.WriteString(gz, smallProfile)
			gz.Close()
		}, true},
		{"gzip in name only", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			io.WriteString(w, smallProfile)
		}, false},
		{"other encoding", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Encoding", "br")
			io.WriteString(w, smallProfile)
		}, false},
		{"identity encoding", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Encoding", "identity")
			io.WriteString(w, smallProfile)
		}, true},
		{"huge header", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-Huge", strings.Repeat("x", 100<<10))
			io.WriteString(w, smallProfile)
		}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			profile, err := serve(t, tt.handler).Profile(t.Context(), testToken)
			if tt.ok {
				if err != nil || profile.UID == "" {
					t.Errorf("Profile = %v, %v", profile, err)
				}
				return
			}
			checkClass(t, err, idx.ErrUnavailable)
			if profile != nil || !strings.HasPrefix(err.Error(), "idx: profile: ") || strings.Contains(err.Error(), "leak") {
				t.Errorf("Profile = %v, %q", profile, err)
			}
		})
	}
}

// The body of a 101 is the connection, and reading it would outlast the context.
func TestSwitchingProtocolsIsNotRead(t *testing.T) {
	done := make(chan struct{})
	client := serve(t, func(w http.ResponseWriter, r *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
		<-done
	})
	_, err := client.Profile(t.Context(), testToken)
	close(done)
	checkClass(t, err, idx.ErrUnavailable)
}

func TestGzipBomb(t *testing.T) {
	var member bytes.Buffer
	gz := gzip.NewWriter(&member)
	gz.Write(make([]byte, 1<<20))
	gz.Close()
	bomb := bytes.Repeat(member.Bytes(), 64) // which gzip reads as one text
	for _, status := range []int{200, 403} {
		client := serve(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			w.WriteHeader(status)
			w.Write(bomb)
		})
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := client.Profile(t.Context(), testToken)
		runtime.ReadMemStats(&after)
		checkClass(t, err, idx.ErrUnavailable)
		if used := after.TotalAlloc - before.TotalAlloc; used > 16<<20 {
			t.Errorf("status %d: the bomb took %d bytes", status, used)
		}
	}
}

func TestErrorBodyIsCapped(t *testing.T) {
	// A verdict behind the cap is not seen: the body counts as unreadable.
	envelope := `{"ProviderErrorResponse":"` + strings.Repeat("x", 8<<10) + `","ErrorCode":905}`
	_, err := serve(t, answer(403, envelope)).Profile(t.Context(), testToken)
	checkClass(t, err, idx.ErrUnavailable)

	long := strings.Repeat("x", 4<<10)
	_, err = serve(t, answer(403, `{"ErrorCode":905,"Message":"`+long+`"}`)).Profile(t.Context(), testToken)
	checkClass(t, err, idx.ErrTokenInvalid)
	if len(err.Error()) > 500 {
		t.Errorf("error text has %d bytes", len(err.Error()))
	}
}

func TestTokensThatAreNotSent(t *testing.T) {
	var calls atomic.Int32
	client := serve(t, func(w http.ResponseWriter, r *http.Request) { calls.Add(1) })
	for _, token := range []idx.Token{"", " ", "a b", "a\r\nX-Evil: 1", "a\x00", "tökén", idx.Token(strings.Repeat("a", 4<<10+1))} {
		_, err := client.Profile(t.Context(), token)
		checkClass(t, err, idx.ErrTokenInvalid)
		_, err = client.Validate(t.Context(), token)
		checkClass(t, err, idx.ErrTokenInvalid)
		if err := client.Invalidate(t.Context(), token); err != nil {
			t.Errorf("Invalidate of no token: %v", err)
		}
	}
	if n := calls.Load(); n != 0 {
		t.Errorf("the API saw %d calls", n)
	}
}

func TestUIDsThatAreNotSent(t *testing.T) {
	var calls atomic.Int32
	client := serve(t, func(w http.ResponseWriter, r *http.Request) { calls.Add(1) })
	for _, uid := range []string{
		"", ".", "..", "../role?x=1", "a/role", "a/..", `..\role`, "a?x=1", "a#b", "%2e%2e", "a%2frole", "a;b",
		"a\n", "a\x00", "a\u0085", "\xff", strings.Repeat("a", 257),
	} {
		_, err := client.Account(t.Context(), uid)
		checkClass(t, err, idx.ErrAccountDenied)
		_, err = client.Roles(t.Context(), uid)
		checkClass(t, err, idx.ErrAccountDenied)
	}
	if n := calls.Load(); n != 0 {
		t.Errorf("the API saw %d calls", n)
	}
}

func TestManagementNeedsSecret(t *testing.T) {
	client := mustNew(t, idx.Config{HTTPClient: &http.Client{Transport: transport(func(*http.Request) (*http.Response, error) {
		t.Error("a call was made")
		return nil, errors.New("no")
	})}})
	_, err := client.Account(t.Context(), testUID)
	checkClass(t, err, idx.ErrNoSecret)
	_, err = client.Roles(t.Context(), testUID)
	checkClass(t, err, idx.ErrNoSecret)
}

func TestValidate(t *testing.T) {
	tests := []struct {
		body string
		want string
	}{
		{`{"access_token":"x","refresh_token":null,"expires_in":"2026-01-02T03:04:05.678Z"}`, "2026-01-02T03:04:05.678Z"},
		{`{"expires_in":"2026-01-02T03:04:05.1234567"}`, "2026-01-02T03:04:05.1234567Z"},
		{`{"expires_in":"2026-01-02T05:04:05+02:00"}`, "2026-01-02T03:04:05Z"},
		{`{"expires_in":3600}`, ""},
		{`{"expires_in":null}`, ""},
		{`{"expires_in":"tomorrow"}`, ""},
		{`{}`, ""},
		{`{"expires_in":"2026-01-02T03:04:05Z","Expires_In":"2099-01-02T03:04:05Z"}`, ""},
	}
	for _, tt := range tests {
		client := over(t, func(*http.Request) (*http.Response, error) { return response(200, nil, tt.body), nil })
		got, err := client.Validate(t.Context(), testToken)
		if tt.want == "" {
			checkClass(t, err, idx.ErrUnavailable)
			continue
		}
		if s := got.Format(time.RFC3339Nano); s != tt.want || err != nil {
			t.Errorf("Validate with answer %s = %s, %v, want %s", tt.body, s, err, tt.want)
		}
	}
}

func TestInvalidate(t *testing.T) {
	tests := []struct {
		status int
		body   string
		want   error
	}{
		{200, `{"IsPosted":true}`, nil},
		{200, `{"isPosted":true}`, nil},
		{200, `{}`, nil},
		{403, `{"ErrorCode":905}`, nil},
		{403, `{"ErrorCode":906}`, nil},
		{403, `{"ErrorCode":1055}`, nil},
		{403, `{"ErrorCode":2024}`, nil},
		{200, `{"IsPosted":false}`, idx.ErrUnavailable},
		{200, `{"IsPosted":true,"isPosted":true}`, idx.ErrUnavailable},
		{200, `ok`, idx.ErrUnavailable},
		{403, `{"ErrorCode":1226}`, idx.ErrTokenInvalid}, // such a token is alive
		{403, `{"ErrorCode":901}`, idx.ErrConfig},
		{500, ``, idx.ErrUnavailable},
	}
	for _, tt := range tests {
		err := serve(t, answer(tt.status, tt.body)).Invalidate(t.Context(), testToken)
		if t.Logf("%d %s", tt.status, tt.body); tt.want == nil && err != nil {
			t.Error(err)
		}
		checkClass(t, err, tt.want)
	}
}

func TestRoles(t *testing.T) {
	tests := []struct {
		body string
		want []string
		err  error
	}{
		{`{"Roles":["Admin","editor"]}`, []string{"Admin", "editor"}, nil},
		{`{"Roles":[]}`, nil, nil},
		{`{"Roles":null}`, nil, nil},
		{`{}`, nil, nil},
		{`{"Roles":["Admin",null,""]}`, []string{"Admin"}, nil},
		{`{"Roles":"Admin"}`, nil, idx.ErrUnavailable},
		{`{"Roles":["Admin",1]}`, nil, idx.ErrUnavailable},
		{`{"Roles":{"Admin":true}}`, nil, idx.ErrUnavailable},
		{`{"Roles":[],"roles":["Admin"]}`, nil, idx.ErrUnavailable},
	}
	for _, tt := range tests {
		roles, err := serve(t, answer(200, tt.body)).Roles(t.Context(), testUID)
		if fmt.Sprintf("%q", roles) != fmt.Sprintf("%q", tt.want) {
			t.Errorf("Roles with answer %s = %q, want %q", tt.body, roles, tt.want)
		}
		checkClass(t, err, tt.err)
	}
}

func TestConnectionErrors(t *testing.T) {
	client := mustNew(t, idx.Config{APIURL: "http://127.0.0.1:1"}) // nobody's, and nobody is given it meanwhile
	_, err := client.Profile(t.Context(), testToken)
	checkClass(t, err, idx.ErrUnavailable)
	if opErr, ok := errors.AsType[*net.OpError](err); !ok || opErr.Op != "dial" {
		t.Errorf("cause of %v is lost", err)
	}
	for _, hidden := range []string{"apikey", testKey, "account"} {
		if strings.Contains(err.Error(), hidden) {
			t.Errorf("error shows the address: %v", err)
		}
	}
}

func TestCallerGivesUp(t *testing.T) {
	arrived := make(chan struct{})
	client := serve(t, func(w http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-r.Context().Done()
	})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-arrived
		cancel()
	}()
	_, err := client.Profile(ctx, testToken)
	if !errors.Is(err, context.Canceled) || !strings.HasPrefix(err.Error(), "idx: profile: ") {
		t.Errorf("error = %v, want context.Canceled", err)
	}
	checkClass(t, err, nil)
}

func TestConcurrentUse(t *testing.T) {
	client := serve(t, func(w http.ResponseWriter, r *http.Request) {
		token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		if token != "" && r.Header.Get("X-LoginRadius-ApiSecret") != "" {
			t.Error("a user's call carries the secret")
		}
		if token == "" {
			token = strings.TrimPrefix(r.URL.Path, "/identity/v2/manage/account/")
		}
		fmt.Fprintf(w, `{"Uid":%q}`, token)
	})
	var wg sync.WaitGroup
	for i := range 32 {
		wg.Go(func() {
			want := fmt.Sprint("user-", i)
			for range 10 {
				profile, err := client.Profile(t.Context(), idx.Token(want))
				if err != nil || profile.UID != want {
					t.Errorf("Profile for %s = %v, %v", want, profile, err)
				}
				profile, err = client.Account(t.Context(), want)
				if err != nil || profile.UID != want {
					t.Errorf("Account for %s = %v, %v", want, profile, err)
				}
			}
		})
	}
	wg.Wait()
}
