package idxtest_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/idxauth/idxauth/idx/idxtest"
)

// redirectCases are return URLs as sent, and where the browser goes; TOK stands
// for the token.
var redirectCases = []struct{ name, query, want string }{
	{"raw", "return_url=https://a/cb", "https://a/cb?token=TOK"},
	{"raw with state", "return_url=https://a/cb?state=abc", "https://a/cb?state&token=TOK"},
	{"raw with two parameters", "return_url=https://a/cb?state=abc&x=1", "https://a/cb?state&token=TOK"},
	{"encoded", encoded("https://a/cb"), "https://a/cb?token=TOK"},
	{"encoded with state", encoded("https://a/cb?state=abc"), "https://a/cb?state=abc&token=TOK"},
	{"encoded with two parameters", encoded("https://a/cb?state=abc&x=1"), "https://a/cb?state=abc&x=1&token=TOK"},
	{"encoded with = in a value", encoded("https://a/cb?state=a==&x=b=c"), "https://a/cb?state=a==&x=b=c&token=TOK"},
	{"encoded with + in a value", encoded("https://a/cb?state=a+b"), "https://a/cb?state=a+b&token=TOK"},
	{"encoded with %20 in a value", encoded("https://a/cb?state=a%20b"), "https://a/cb?state=a%20b&token=TOK"},
	{"encoded with a fragment", encoded("https://a/cb?state=abc#frag"), "https://a/cb?state=abc#frag&token=TOK"},
	{"encoded, ends in ?", encoded("https://a/cb?"), "https://a/cb?&token=TOK"},
	{"encoded with a token", encoded("https://a/cb?token=EVIL"), "https://a/cb?token=EVIL&token=TOK"},
	{"encoded twice", "return_url=" + url.QueryEscape(url.QueryEscape("https://a/cb?state=abc")), "https%3A%2F%2Fa%2Fcb%3Fstate%3Dabc?token=TOK"},
	{"javascript", encoded("javascript:alert(1)"), "javascript:alert(1)?token=TOK"},
	{"foreign host", encoded("https://evil.example/"), "https://evil.example/?token=TOK"},

	// Quirks of the parser that the rows above do not show.
	{"raw + stays", "return_url=https://a/a+b", "https://a/a+b?token=TOK"},
	{"raw ; separates nothing", "return_url=https://a/cb;x&y=1;2", "https://a/cb;x?token=TOK"},
	{"last of two wins", "return_url=https://a/1&return_url=https://a/2", "https://a/2?token=TOK"},
	{"name is case-sensitive", "Return_Url=https://a/cb", "/profile.aspx"},
	{"name is decoded", "return%5Furl=https://a/cb", "https://a/cb?token=TOK"},
	{"no value", "return_url", "undefined?token=TOK"},
	{"empty value", "return_url=", "/profile.aspx"},
	{"none", "x=1", "/profile.aspx"},
}

func encoded(returnURL string) string { return "return_url=" + url.QueryEscape(returnURL) }

func TestRedirect(t *testing.T) {
	for _, tt := range redirectCases {
		t.Run(tt.name, func(t *testing.T) {
			b := newBrowser(t, idxtest.NewServer(t))
			page := "/auth.aspx?action=login&" + tt.query
			b.get(page).wantForm(t, "Sign in")
			got := b.login(page, idxtest.Ada.Email)
			token := b.session()
			if token == "" {
				t.Fatalf("%s: no session cookie after login", tt.query)
			}
			if want := strings.ReplaceAll(tt.want, "TOK", token); got.status != http.StatusFound || got.location != want {
				t.Errorf("%s: got status %d, Location %q; want 302, %q", tt.query, got.status, got.location, want)
			}
			if got := got.header.Get("Cache-Control"); got != "no-store" {
				t.Errorf("%s: Cache-Control: got %q, want no-store", tt.query, got)
			}
		})
	}
}

var scriptAddress = regexp.MustCompile(`window\.location = ("(?:[^"\\]|\\.)*");`)

func TestRedirectInBrowser(t *testing.T) {
	cases := append(redirectCases[:len(redirectCases):len(redirectCases)], struct{ name, query, want string }{
		"markup", encoded(`https://a/</script><b>"'`), `https://a/</script><b>"'?token=TOK`,
	})
	for _, tt := range cases {
		t.Run(tt.name, func(t *testing.T) {
			srv, err := idxtest.Start("")
			if err != nil {
				t.Fatal(err)
			}
			defer srv.Close()
			b := newBrowser(t, srv)
			got := b.login("/auth.aspx?action=login&"+tt.query, idxtest.Ada.Email)
			if got.status != http.StatusOK || got.location != "" {
				t.Fatalf("%s: got status %d, Location %q; want 200 and a page", tt.query, got.status, got.location)
			}
			match := scriptAddress.FindAllStringSubmatch(got.body, -1)
			if len(match) != 1 {
				t.Fatalf("%s: got %d assignments to window.location, want 1, in %s", tt.query, len(match), got.body)
			}
			if strings.ContainsAny(match[0][1], "<>&") {
				t.Errorf("%s: got %s, want markup escaped", tt.query, match[0][1])
			}
			var address string
			if err := json.Unmarshal([]byte(match[0][1]), &address); err != nil {
				t.Fatalf("%s: literal %s: %v", tt.query, match[0][1], err)
			}
			if want := strings.ReplaceAll(tt.want, "TOK", b.session()); address != want {
				t.Errorf("%s: got %q, want %q", tt.query, address, want)
			}
		})
	}
}

func TestMalformedQuery(t *testing.T) {
	for _, query := range []string{"return_url=%zz", "return_url=%E4", "return_url=https://a/%", "%=1&return_url=https://a/cb"} {
		b := newBrowser(t, idxtest.NewServer(t))
		got := b.login("/auth.aspx?action=login&"+query, idxtest.Ada.Email)
		if got.location != "" || b.session() != "" || !strings.Contains(got.body, "cannot be read") {
			t.Errorf("%s: got Location %q, session %q; want the page, as the script dies", query, got.location, b.session())
		}
	}
}

func TestAction(t *testing.T) {
	b := newBrowser(t, idxtest.NewServer(t))
	for _, tt := range []struct{ path, heading string }{
		{"/auth.aspx", "Sign in"},
		{"/auth", "Sign in"},
		{"/AUTH.ASPX?action=register", "Create an account"},
		{"/auth.aspx?action=login", "Sign in"},
		{"/auth.aspx?action=register", "Create an account"},
		{"/auth?action=register", "Create an account"},
		{"/auth.aspx?action=forgotpassword", "Forgot your password?"},
		{"/auth.aspx?action=Register", "Sign in"},
		{"/auth.aspx?Action=register", "Sign in"},
		{"/auth.aspx?action=nonsense", "Sign in"},
	} {
		if got := b.get(tt.path); got.status != http.StatusOK || !strings.Contains(got.body, "<h1>"+tt.heading+"</h1>") {
			t.Errorf("GET %s: got status %d, %.900s; want 200 and heading %q", tt.path, got.status, got.body, tt.heading)
		}
	}
	b.get("/").wantRedirect(t, "/auth.aspx")
}

func TestWhitelist(t *testing.T) {
	entries := []string{"http://localhost", "app.example:8443", "https://www.example"}
	for _, tt := range []struct {
		mode  idxtest.Whitelist
		back  string
		allow bool
	}{
		{idxtest.WhitelistOff, "https://evil.example/", true},
		{idxtest.WhitelistOff, "javascript:alert(1)", true},

		{idxtest.WhitelistHost, "http://localhost:3000/cb", true},
		{idxtest.WhitelistHost, "https://LOCALHOST/cb", true},
		{idxtest.WhitelistHost, "https://app.example/cb", true},
		{idxtest.WhitelistHost, "https://evil.example/cb", false},
		{idxtest.WhitelistHost, "https://sub.www.example/cb", false},
		{idxtest.WhitelistHost, "https://www.example.evil.example/", false},
		{idxtest.WhitelistHost, "https://www.example@evil.example/", false},
		{idxtest.WhitelistHost, "//www.example/", false},
		{idxtest.WhitelistHost, "javascript://www.example/%0aalert(1)", false},
		{idxtest.WhitelistHost, "javascript:alert(1)", false},

		{idxtest.WhitelistHostPort, "https://app.example:8443/cb", true},
		{idxtest.WhitelistHostPort, "https://app.example/cb", false},
		{idxtest.WhitelistHostPort, "https://www.example:443/cb", true},
		{idxtest.WhitelistHostPort, "https://www.example/cb", true},
		{idxtest.WhitelistHostPort, "http://localhost/cb", true},
		{idxtest.WhitelistHostPort, "http://localhost:3000/cb", false},

		{idxtest.WhitelistPrefix, "https://www.example/cb", true},
		{idxtest.WhitelistPrefix, "https://www.example.evil.example/", true},
		{idxtest.WhitelistPrefix, "http://www.example/cb", false},
		{idxtest.WhitelistPrefix, "javascript:alert(1)", false},
	} {
		for _, ignore := range []bool{false, true} {
			srv := idxtest.NewServer(t)
			srv.Set(func(set *idxtest.Settings) {
				set.Whitelist, set.Whitelisted, set.IgnoreReturnURL = tt.mode, entries, ignore
			})
			b := newBrowser(t, srv)
			got := b.login("/auth.aspx?action=login&"+encoded(tt.back), idxtest.Ada.Email)
			switch {
			case tt.allow:
				if want := tt.back + "?token=" + b.session(); got.location != want {
					t.Errorf("%s, %s: got status %d, Location %q; want %q", tt.mode, tt.back, got.status, got.location, want)
				}
			case ignore:
				if got.location != "/profile.aspx" {
					t.Errorf("%s, %s, ignoring: got status %d, Location %q; want /profile.aspx", tt.mode, tt.back, got.status, got.location)
				}
			default:
				if got.status != http.StatusBadRequest || got.location != "" || b.session() != "" {
					t.Errorf("%s, %s: got status %d, Location %q, session %q; want 400 and neither", tt.mode, tt.back, got.status, got.location, b.session())
				}
			}
		}
	}
}
