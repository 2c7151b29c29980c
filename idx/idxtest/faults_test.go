package idxtest_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/idxauth/idxauth/idx/idxtest"
)

// faultyProfile asks for Ada's profile under a fault and returns what came.
func faultyProfile(t *testing.T, f idxtest.Fault) answer {
	t.Helper()
	srv := idxtest.NewServer(t)
	token := string(srv.IssueToken(idxtest.Ada.Email))
	srv.SetFault(f)
	return newAPI(t, srv).get(authPath + "account?access_token=" + token)
}

func TestFaultAnswers(t *testing.T) {
	for _, tt := range []struct {
		kind   idxtest.FaultKind
		status int
		check  func(answer) bool
		want   string
	}{
		{idxtest.RateLimitText, 429, func(a answer) bool { return !isJSON(a.body) && a.header.Get("Retry-After") == "7" }, "text, Retry-After 7"},
		{idxtest.RateLimitJSON, 429, func(a answer) bool { return isJSON(a.body) && a.header.Get("Retry-After") == "7" }, "JSON, Retry-After 7"},
		{idxtest.ServerError, 500, func(a answer) bool { return strings.Contains(a.body, `"ErrorCode":950`) }, "code 950"},
		{idxtest.BadGateway, 502, func(a answer) bool { return a.header.Get("Content-Type") == "text/html" && !isJSON(a.body) }, "HTML"},
		{idxtest.Unavailable, 503, func(a answer) bool { return !isJSON(a.body) && a.header.Get("Retry-After") == "7" }, "text, Retry-After 7"},
		{idxtest.Truncated, 200, func(a answer) bool { return strings.HasPrefix(a.body, "{") && !isJSON(a.body) }, "half of a JSON object"},
		{idxtest.Oversized, 200, func(a answer) bool { return len(a.body) > 2<<20 }, "more than 2 MiB"},
		{idxtest.Redirect, 307, func(a answer) bool { return a.location == "http://127.0.0.1:1/elsewhere" }, "another host"},
		{idxtest.WrongContentType, 200, func(a answer) bool { return a.header.Get("Content-Type") == "text/html" && isJSON(a.body) }, "JSON that is called text/html"},
		{idxtest.UnknownFields, 200, func(a answer) bool { return field(a.body, "Novelty") != nil && field(a.body, "Uid") == idxtest.Ada.UID }, "Novelty, and Ada"},
		{idxtest.WrongTypes, 200, func(a answer) bool {
			return field(a.body, "NoOfLogins") == "many" && field(a.body, "Uid") == idxtest.Ada.UID
		}, "many logins, and Ada"},
		{idxtest.SlowHeaders, 200, func(a answer) bool { return field(a.body, "Uid") == idxtest.Ada.UID }, "Ada in the end"},
		{idxtest.SlowBody, 200, func(a answer) bool { return field(a.body, "Uid") == idxtest.Ada.UID }, "Ada in the end"},
	} {
		t.Run(string(tt.kind), func(t *testing.T) {
			got := faultyProfile(t, idxtest.Fault{Kind: tt.kind, RetryAfter: 7 * time.Second, Delay: time.Millisecond})
			if got.status != tt.status || !tt.check(got) {
				t.Errorf("%s: got status %d, header %v, body %.200q; want %d, %s", tt.kind, got.status, got.header, got.body, tt.status, tt.want)
			}
		})
	}
}

func isJSON(body string) bool { return json.Valid([]byte(body)) }

func field(body, name string) any {
	var object map[string]any
	if json.Unmarshal([]byte(body), &object) != nil {
		return nil
	}
	return object[name]
}

// request makes a profile request that needs no token to show a fault.
func request(t *testing.T, ctx context.Context, srv *idxtest.Server) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, "GET", srv.URL+"/identity/v2/serverinfo?apikey="+srv.Config().APIKey, nil)
	if err != nil {
		t.Fatal(err)
	}
	return req
}

func TestFaultReset(t *testing.T) {
	srv := idxtest.NewServer(t)
	srv.SetFault(idxtest.Fault{Kind: idxtest.Reset})
	if resp, err := http.DefaultTransport.RoundTrip(request(t, t.Context(), srv)); err == nil {
		resp.Body.Close()
		t.Errorf("got status %d, want an error of the connection", resp.StatusCode)
	}
}

// The delays end with the request, so that no test has to wait for them.
func TestFaultSlowEndsWithTheRequest(t *testing.T) {
	for _, kind := range []idxtest.FaultKind{idxtest.SlowHeaders, idxtest.SlowBody} {
		srv := idxtest.NewServer(t)
		srv.SetFault(idxtest.Fault{Kind: kind, Delay: time.Hour})
		ctx, leave := context.WithCancel(t.Context())
		defer leave()
		if kind == idxtest.SlowHeaders {
			go func() { // with the request there, nothing comes
				for srv.Count("GET /identity/v2/serverinfo") == 0 && t.Context().Err() == nil {
					runtime.Gosched()
				}
				leave()
			}()
		}
		resp, err := http.DefaultClient.Do(request(t, ctx, srv))
		if gotHeaders, want := err == nil, kind == idxtest.SlowBody; gotHeaders != want {
			t.Errorf("%s: headers came: got %t (%v), want %t", kind, gotHeaders, err, want)
		}
		if err == nil {
			first := make([]byte, 1)
			if _, err := io.ReadFull(resp.Body, first); err != nil {
				t.Errorf("%s: got no body: %v", kind, err)
			}
			leave()
			rest, readErr := io.ReadAll(resp.Body)
			resp.Body.Close()
			err = readErr
			if body := string(first) + string(rest); isJSON(body) {
				t.Errorf("%s: got body %q, want half of it", kind, body)
			}
		}
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: got error %v, want that of the context", kind, err)
		}
		srv.Close() // returns, or the test times out
	}
}

func TestCloseEndsHeldRequests(t *testing.T) {
	srv := idxtest.NewServer(t)
	srv.SetFault(idxtest.Fault{Kind: idxtest.SlowBody, Delay: time.Hour})
	resp, err := http.DefaultClient.Do(request(t, t.Context(), srv))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	srv.Close() // returns, or the test times out
	srv.Close()
	if body, err := io.ReadAll(resp.Body); err == nil {
		t.Errorf("got body %q and no error, want the connection cut", body)
	}
}

func TestFaultTimesAndPath(t *testing.T) {
	const other = "/identity/v2/serverinfo"
	for _, tt := range []struct {
		name  string
		fault idxtest.Fault
		paths []string
		want  []int
	}{
		{"always", idxtest.Fault{}, []string{other, other, other}, []int{503, 503, 503}},
		{"once", idxtest.Fault{Times: 1}, []string{other, other, other}, []int{503, 200, 200}},
		{"twice", idxtest.Fault{Times: 2}, []string{other, other, other}, []int{503, 503, 200}},
		{"path in any case", idxtest.Fault{Path: "/V2/ServerInfo"}, []string{other, "/auth.aspx"}, []int{503, 200}},
		{"other path", idxtest.Fault{Path: "/access_token"}, []string{other}, []int{200}},
		{"other path does not count", idxtest.Fault{Path: "serverinfo", Times: 1}, []string{"/auth.aspx", other, other}, []int{200, 503, 200}},
		{"the hub only by path", idxtest.Fault{}, []string{"/auth.aspx", "/profile"}, []int{200, 302}},
		{"hub", idxtest.Fault{Path: "/auth.aspx"}, []string{"/auth.aspx", other}, []int{503, 200}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			srv := idxtest.NewServer(t)
			tt.fault.Kind = idxtest.Unavailable
			srv.SetFault(tt.fault)
			a := newAPI(t, srv)
			for i, path := range tt.paths {
				if got := a.get(path); got.status != tt.want[i] {
					t.Errorf("%s, request %d, %s: got status %d, want %d", tt.name, i+1, path, got.status, tt.want[i])
				}
			}
			srv.ClearFault()
			if got := a.get(other); got.status != http.StatusOK {
				t.Errorf("%s, after ClearFault: got status %d, want 200", tt.name, got.status)
			}
		})
	}
}
