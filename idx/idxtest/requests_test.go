package idxtest_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/idxauth/idxauth/idx/idxtest"
)

func TestRequestsHoldNoSecret(t *testing.T) {
	srv := idxtest.NewServer(t)
	cfg := srv.Config()
	key, secret := cfg.APIKey, string(cfg.APISecret)
	token := string(srv.IssueToken(idxtest.Ada.Email))
	a := newAPI(t, srv)
	a.header.Set("Authorization", "Bearer "+token)
	a.get(authPath + "account")
	plain := newBrowser(t, srv)
	plain.get(managePath + "?email=" + idxtest.Ada.Email + "&apikey=" + key + "&apisecret=" + secret)
	plain.get(oldPath + "validate?key=" + key + "&secret=" + secret + "&access_token=" + token)
	plain.get("/ssologin/setToken?token=" + token)
	plain.login(page("login"), idxtest.Ada.Email)

	var dump strings.Builder
	for _, r := range srv.Requests() {
		fmt.Fprintf(&dump, "%+v\n", r)
	}
	for name, value := range map[string]string{"token": token, "session": plain.session(), "secret": secret, "password": idxtest.Password} {
		if strings.Contains(dump.String(), value) {
			t.Errorf("log holds the %s %q:\n%s", name, value, dump.String())
		}
	}
}

func TestRequestsNameCredentials(t *testing.T) {
	for _, tt := range []struct {
		name, query        string
		header             http.Header
		key, secret, token string
	}{
		{"none", "", nil, "", "", ""},
		{"query", "?apiKey=k&apiSecret=s&access_token=t", nil, "query", "query", "query"},
		{"old query", "?key=k&secret=s&token=t", nil, "query", "query", "query"},
		{"header", "", http.Header{"X-Loginradius-Apikey": {"k"}, "X-Loginradius-Apisecret": {"s"}, "Authorization": {"t"}}, "header", "header", "header"},
	} {
		srv := idxtest.NewServer(t)
		newBrowser(t, srv).do("GET", "/identity/v2/serverinfo"+tt.query, "", "", tt.header)
		log := srv.Requests()
		if len(log) != 1 {
			t.Fatalf("%s: got %d requests, want 1", tt.name, len(log))
		}
		if r := log[0]; r.Method != "GET" || r.Path != "/identity/v2/serverinfo" || r.Status < 200 || r.Key != tt.key || r.Secret != tt.secret || r.Token != tt.token {
			t.Errorf("%s: got %+v, want key %q, secret %q, token %q", tt.name, r, tt.key, tt.secret, tt.token)
		}
	}
}

func TestRequestsAreBounded(t *testing.T) {
	srv := idxtest.NewServer(t)
	handler := srv.Handler()
	ask := func(path string) { handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", path, nil)) }
	ask("/first")
	ask("/second")
	for range 9_999 {
		ask("/more")
	}
	log := srv.Requests()
	if len(log) != 10_000 || log[0].Path != "/second" || srv.Count("GET /first") != 0 || srv.Count("GET /more") != 9_999 {
		t.Errorf("got %d requests from %s on, %d to /more; want 10,000 from /second on", len(log), log[0].Path, srv.Count("GET /more"))
	}
}

func TestCount(t *testing.T) {
	srv := idxtest.NewServer(t)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			resp, err := http.Get(srv.URL + "/Identity/V2/Auth/Account?access_token=x")
			if err != nil {
				t.Error(err)
				return
			}
			resp.Body.Close()
		})
	}
	wg.Wait()
	for request, want := range map[string]int{
		"GET /identity/v2/auth/account":  8,
		"GET /IDENTITY/v2/auth/account":  8,
		"PUT /identity/v2/auth/account":  0,
		"GET /identity/v2/auth":          0,
		"GET /identity/v2/auth/accounts": 0,
	} {
		if got := srv.Count(request); got != want {
			t.Errorf("Count(%q): got %d, want %d", request, got, want)
		}
	}
}
