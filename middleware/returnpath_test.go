package middleware

import (
	"net/url"
	"path"
	"strings"
	"testing"
)

// Rules that are pure are tested here, inside; everything else over HTTP in
// package middleware_test.

func testSite(base string) *site {
	s := &site{origin: "https://app.example", base: base, mount: base + "/auth", landing: base + "/"}
	return s
}

var returnPaths = []struct{ name, in, want string }{ // want "": refused
	{"root", "/", "/"},
	{"deep link kept byte for byte", "/a%2Fb?q=1&q=a%26b", "/a%2Fb?q=1&q=a%26b"},
	{"fragment", "/docs#part-2", "/docs#part-2"},
	{"foreign address in the query", "/go?next=https://other.example//x", "/go?next=https://other.example//x"},
	{"backslash in the query", `/search?q=a\b`, `/search?q=a\b`},
	{"dots that are no segments", "/a..b/.well-known/x...", "/a..b/.well-known/x..."},
	{"per cent sign", "/100%25/sure", "/100%25/sure"},
	{"encoded space and plus", "/a%20b+c", "/a%20b+c"},
	{"letters of other scripts", "/bücher/日本", "/bücher/日本"},
	{"encoded latin-1", "/caf%E9", "/caf%E9"},
	{"colon, at sign and semicolon", "/a:b@c;d=1", "/a:b@c;d=1"},
	{"double slash inside", "/a//b", "/a//b"},
	{"twice encoded letter", "/%2541", "/%2541"},
	{"profile route", "/auth/profile", "/auth/profile"},
	{"other route that begins alike", "/auth/loginx", "/auth/loginx"},
	{"other mount", "/author/login", "/author/login"},

	{"empty", "", ""},
	{"no slash", "dashboard", ""},
	{"host", "//evil.example", ""},
	{"three slashes", "///evil.example", ""},
	{"backslash host", `/\evil.example`, ""},
	{"backslashes", `\\evil.example`, ""},
	{"backslash anywhere in the path", `/a\b`, ""},
	{"scheme", "https://evil.example/", ""},
	{"script", "javascript:alert(1)", ""},
	{"encoded slashes", "/%2Fevil.example", ""},
	{"encoded backslash", "/%5Cevil.example", ""},
	{"twice encoded slash", "/%252Fevil.example", ""},
	{"three times encoded slash", "/%25252Fevil.example", ""},
	{"encoded too often to judge", "/%2525252525412F", ""},
	{"tab", "/\t/evil.example", ""},
	{"encoded tab", "/%09/evil.example", ""},
	{"line break", "/a\r\nSet-Cookie: x=1", ""},
	{"encoded line break", "/a%0d%0aSet-Cookie:%20x=1", ""},
	{"twice encoded line break", "/a%250d%250a", ""},
	{"zero byte", "/a%00b", ""},
	{"delete", "/a\x7f", ""},
	{"right-to-left override", "/a\u202egnp.exe", ""},
	{"zero width space", "/\u200b/evil.example", ""},
	{"line separator in the query", "/a?b=\u2028", ""},
	{"dot segment", "/a/../b", ""},
	{"dot segment at the end", "/a/..", ""},
	{"single dot", "/./evil", ""},
	{"encoded dots", "/%2e%2e/evil", ""},
	{"twice encoded dots", "/%252e%252e/evil", ""},
	{"broken escape", "/a%zz", ""},
	{"cut escape", "/a%2", ""},
	{"not UTF-8", "/a\xff", ""},
	{"login", "/auth/login", ""},
	{"login with a query", "/auth/login?return_to=/", ""},
	{"login in capitals", "/Auth/LOGIN", ""},
	{"logout behind slashes", "/auth//logout", ""},
	{"encoded logout", "/auth/%6cogout", ""},
	{"twice encoded logout", "/auth/%256cogout", ""},
	{"logout with an encoded slash", "/auth%2flogout", ""},
	{"callback of a later attempt", "/auth/callback/2?token=x", ""},
	{"register", "/auth/register/", ""},
	{"forgot password", "/auth/forgot-password", ""},
	{"too long", "/" + strings.Repeat("a", maxReturnPath), ""},
}

func TestReturnPath(t *testing.T) {
	s := testSite("")
	for _, tt := range returnPaths {
		t.Run(tt.name, func(t *testing.T) {
			if got, _ := s.returnPath(tt.in); got != tt.want {
				t.Errorf("returnPath(%q) = %q, want %q", tt.in, got, tt.want)
			}
		})
	}
}

func TestReturnPathBelowBase(t *testing.T) {
	s := testSite("/shop")
	for _, tt := range []struct{ name, in, want string }{
		{"public path", "/shop/cart?x=1", "/shop/cart?x=1"},
		{"base itself", "/shop", "/shop"},
		{"base with a query", "/shop?x=1", "/shop?x=1"},
		{"base cut off by a proxy", "/cart", "/shop/cart"},
		{"begins like the base", "/shopping", "/shop/shopping"},
		{"own route", "/shop/auth/logout", ""},
		{"own route, base cut off", "/auth/logout", ""},
		{"host", "//evil.example", ""},
		{"host below the base", "/shop//evil.example", ""},
		{"backslash", `/\evil.example`, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got, _ := s.returnPath(tt.in); got != tt.want {
				t.Errorf("returnPath(%q) = %q, want %q", tt.in, got, tt.want)
			}
		})
	}
}

// FuzzReturnPath states what must hold of every accepted path, in the terms of a
// browser (WHATWG URL: tabs and line breaks are dropped, backslashes are slashes).
// Module internal/urls asks real ones.
func FuzzReturnPath(f *testing.F) {
	for _, tt := range returnPaths {
		f.Add(tt.in)
	}
	for _, list := range []string{"kept", "refused"} {
		for _, in := range readList(f, list) {
			f.Add(in)
		}
	}
	sites := []*site{testSite(""), testSite("/shop")}
	f.Fuzz(func(t *testing.T, in string) {
		for _, s := range sites {
			checkReturnPath(t, s, in)
		}
	})
}

func checkReturnPath(t *testing.T, s *site, in string) {
	got, ok := s.returnPath(in)
	if !ok {
		if got != "" {
			t.Fatalf("refused %q but returned %q", in, got)
		}
		return
	}
	if got != in && got != s.base+in || !strings.HasPrefix(got, s.base) {
		t.Fatalf("changed %q to %q", in, got)
	}
	if again, ok := s.returnPath(got); !ok || again != got {
		t.Fatalf("%q became %q, which becomes %q", in, got, again)
	}
	for _, p := range []string{in, got, strings.TrimPrefix(got, s.base)} {
		browser := strings.NewReplacer("\t", "", "\n", "", "\r", "", `\`, "/").Replace(p)
		if strings.HasPrefix(browser, "//") || p != "" && strings.IndexByte("/?#", p[0]) < 0 {
			t.Fatalf("%q leads to another host, as %q", in, p)
		}
	}
	address := s.url(got)
	if strings.ContainsFunc(address, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		t.Fatalf("address %q of %q is not printable ASCII", address, in)
	}
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "https" || u.Host != "app.example" || u.User != nil {
		t.Fatalf("address %q of %q leads off the origin (%v)", address, in, err)
	}
	for decoded, i := u.Path, 0; i < 4; i++ {
		clean := path.Clean(decoded)
		for _, route := range []string{"login", "logout", "callback", "register", "forgot-password"} {
			if strings.EqualFold(clean, s.mount+"/"+route) {
				t.Fatalf("%q leads to %q", in, clean)
			}
		}
		if strings.HasPrefix(decoded, "//") || strings.Contains(decoded, `\`) || strings.Contains("/"+decoded+"/", "/../") {
			t.Fatalf("%q decodes to %q", in, decoded)
		}
		var err error
		if decoded, err = url.PathUnescape(decoded); err != nil {
			break // and browsers and routers decode no further either
		}
	}
}
