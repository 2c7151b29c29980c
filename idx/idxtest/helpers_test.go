package idxtest_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"

	"github.com/idxauth/idxauth/idx/idxtest"
)

const hubCookie = "lr-session-token"

// browser is an http.Client with a cookie jar that shows each answer as it came,
// redirects too.
type browser struct {
	t   *testing.T
	srv *idxtest.Server
	c   *http.Client
}

func newBrowser(t *testing.T, srv *idxtest.Server) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &browser{t, srv, &http.Client{
		Jar:           jar,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// answer is a response with its body read.
type answer struct {
	status   int
	location string // as sent, not resolved
	header   http.Header
	body     string
}

func (b *browser) do(method, target, contentType, body string, header http.Header) answer {
	b.t.Helper()
	if strings.HasPrefix(target, "/") {
		target = b.srv.URL + target
	}
	req, err := http.NewRequest(method, target, strings.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	for name, values := range header {
		req.Header[name] = values
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	resp, err := b.c.Do(req)
	if err != nil {
		b.t.Fatalf("%s %s: %v", method, target, err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		b.t.Fatalf("%s %s: %v", method, target, err)
	}
	return answer{resp.StatusCode, resp.Header.Get("Location"), resp.Header, string(text)}
}

func (b *browser) get(target string) answer {
	b.t.Helper()
	return b.do("GET", target, "", "", nil)
}

// post sends a form, given as names and values in turn.
func (b *browser) post(target string, pairs ...string) answer {
	b.t.Helper()
	form := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		form.Set(pairs[i], pairs[i+1])
	}
	return b.do("POST", target, "application/x-www-form-urlencoded", form.Encode(), nil)
}

// login sends the password form of the page.
func (b *browser) login(target, email string) answer {
	b.t.Helper()
	return b.post(target, "email", email, "password", idxtest.Password)
}

// session is the value of the hub's cookie, or "".
func (b *browser) session() string {
	b.t.Helper()
	u, err := url.Parse(b.srv.URL)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, c := range b.c.Jar.Cookies(u) {
		if c.Name == hubCookie {
			return c.Value
		}
	}
	return ""
}

// object reads a JSON object.
func (a answer) object(t *testing.T) map[string]any {
	t.Helper()
	var object map[string]any
	if err := json.Unmarshal([]byte(a.body), &object); err != nil {
		t.Fatalf("body %.200q: %v", a.body, err)
	}
	return object
}

// wantForm checks that a page with an error was shown and nobody was redirected.
func (a answer) wantForm(t *testing.T, text string) {
	t.Helper()
	if a.status != http.StatusOK || a.location != "" || !strings.Contains(a.body, "<form") || !strings.Contains(a.body, text) {
		t.Errorf("got status %d, Location %q, body %.600q; want 200, no Location and a form that says %q", a.status, a.location, a.body, text)
	}
}

// wantRedirect checks for a redirect to exactly the address want.
func (a answer) wantRedirect(t *testing.T, want string) {
	t.Helper()
	if a.status != http.StatusFound || a.location != want {
		t.Errorf("got status %d, Location %q; want 302, %q", a.status, a.location, want)
	}
}
