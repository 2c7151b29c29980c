package idx_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/idxauth/idxauth/idx"
)

const (
	testKey    = "11111111-2222-3333-4444-555555555555"
	testSecret = idx.Secret("s3cr3t/of+the=app")
	testToken  = idx.Token("7d3f7c62-4c5a-4a6e-9b58-0d6f0e6f6a11")
	testUID    = "0123456789abcdef0123456789abcdef"

	smallProfile = `{"Uid":"` + testUID + `"}`
)

// classes are all classes of errors that a call can return.
var classes = map[string]error{
	"token invalid":  idx.ErrTokenInvalid,
	"account denied": idx.ErrAccountDenied,
	"rate limited":   idx.ErrRateLimited,
	"config":         idx.ErrConfig,
	"unavailable":    idx.ErrUnavailable,
	"no secret":      idx.ErrNoSecret,
}

// checkClass reports an error of t unless err is of the class want and of no
// other; nil is no class. What is rate limited is unavailable too.
func checkClass(t *testing.T, err, want error) {
	t.Helper()
	for name, class := range classes {
		should := class == want || want == idx.ErrRateLimited && class == idx.ErrUnavailable
		if got := errors.Is(err, class); got != should {
			t.Errorf("error %q is of class %q: got %t, want %t", err, name, got, should)
		}
	}
}

func mustNew(t testing.TB, cfg idx.Config) *idx.Client {
	t.Helper()
	if cfg.AppName == "" {
		cfg.AppName = "my-app"
	}
	if cfg.APIKey == "" {
		cfg.APIKey = testKey
	}
	client, err := idx.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// serve starts a server with handler as API and returns a client of it, with the
// API secret.
func serve(t testing.TB, handler http.HandlerFunc) *idx.Client {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return mustNew(t, idx.Config{APIURL: server.URL, APISecret: testSecret})
}

// answer returns a handler that always answers the same.
func answer(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(status)
		io.WriteString(w, body)
	}
}

// transport is an API without a network, so that time can be a test's own.
type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func response(status int, header http.Header, body string) *http.Response {
	if header == nil {
		header = http.Header{}
	}
	return &http.Response{
		StatusCode: status,
		Header:     header,
		Body:       io.NopCloser(strings.NewReader(body)),
	}
}

// over returns a client whose calls go through rt.
func over(t testing.TB, rt transport) *idx.Client {
	t.Helper()
	return mustNew(t, idx.Config{APISecret: testSecret, HTTPClient: &http.Client{Transport: rt}})
}

// decoded returns the profile that the client makes of body.
func decoded(t testing.TB, body string) (*idx.Profile, error) {
	t.Helper()
	client := over(t, func(*http.Request) (*http.Response, error) { return response(200, nil, body), nil })
	return client.Profile(context.Background(), testToken)
}
