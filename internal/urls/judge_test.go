package urls

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/idxauth/idxauth/idx"
	"github.com/idxauth/idxauth/middleware"
	"github.com/idxauth/idxauth/session"
)

// site is an application. What it makes of a return path is seen from outside: in the
// Location header of a route that does nothing but lead there.
type site struct {
	origin, base string
	routes       http.Handler
}

const landing = "/no-such-path-was-asked-for"

// sites are an application of its own host, and one below a path.
func sites(t testing.TB) []*site {
	t.Helper()
	return []*site{newSite(t, "https://app.example", ""), newSite(t, "http://localhost:8080", "/shop")}
}

func newSite(t testing.TB, origin, base string) *site {
	t.Helper()
	auth, err := middleware.New(middleware.Config{
		IDX: idx.Config{AppName: "my-app"}, Provider: noProvider{},
		BaseURL: origin + base, Landing: landing,
		Store: session.NewMemory(), Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { auth.Close() })
	return &site{origin, base, auth.Handler()}
}

// noProvider is a hosted login that nobody visits.
type noProvider struct{}

func (noProvider) URL(idx.Action, string) string { return "https://hub.example/" }
func (noProvider) Profile(context.Context, idx.Token) (*idx.Profile, error) {
	return nil, idx.ErrUnavailable
}
func (noProvider) Validate(context.Context, idx.Token) (t time.Time, err error) { return t, err }
func (noProvider) Invalidate(context.Context, idx.Token) error                  { return nil }

// verdict is what a site made of an input.
type verdict struct {
	site     *site
	in       string
	location string
	kept     bool // else the visitor goes to the landing page
}

// judge asks the site, and checks what needs no parser.
func (s *site) judge(t testing.TB, in string) verdict {
	t.Helper()
	r := httptest.NewRequest("GET", "/auth/profile/back?return_to="+url.QueryEscape(in), nil)
	w := httptest.NewRecorder()
	s.routes.ServeHTTP(w, r)
	v := verdict{site: s, in: in, location: w.Header().Get("Location")}
	v.kept = v.location != s.origin+s.base+landing
	// http.Redirect writes a page, and makes other paths of some.
	if w.Code != http.StatusSeeOther || len(w.Header()["Location"]) != 1 || w.Body.Len() > 0 {
		t.Errorf("%q: status %d, Location %q, body %q", in, w.Code, w.Header()["Location"], w.Body)
	}
	if !strings.HasPrefix(v.location, s.origin+"/") || strings.ContainsFunc(v.location, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		t.Errorf("%q: Location %q", in, v.location)
	}
	return v
}

// reading is what a parser makes of a verdict.
type reading struct {
	Resolved string // origin of the input, as a link on a page of the site
	Origin   string // of the location
	Path     string
	Query    string // without ?
	Fragment string // without #
}

// page is where a relative link is resolved.
func (s *site) page() string { return s.origin + s.base + "/some/page?x=1#y" }

// check compares a reading with what was judged.
func check(v verdict, r reading) error {
	if v.kept && r.Resolved != v.site.origin {
		return fmt.Errorf("was kept, and is at %q", r.Resolved)
	}
	if r.Origin != v.site.origin {
		return fmt.Errorf("location %q is at %q", v.location, r.Origin)
	}
	rest := strings.TrimPrefix(v.location, v.site.origin)
	rest, fragment, _ := strings.Cut(rest, "#")
	p, query, _ := strings.Cut(rest, "?")
	for _, part := range []struct{ name, got, want string }{
		{"path", r.Path, p}, {"query", r.Query, query}, {"fragment", r.Fragment, fragment},
	} {
		// Parsers may encode more, and nothing else.
		if decode(part.got) != decode(part.want) || strings.Count(part.got, "/") != strings.Count(part.want, "/") {
			return fmt.Errorf("location %q has the %s %q", v.location, part.name, part.got)
		}
	}
	return checkRoute(v.site, r.Path)
}

// checkRoute refuses paths that lead to where a login must not end, for routers that
// decode, clean, and do not mind case.
func checkRoute(s *site, p string) error {
	for range 4 {
		clean := strings.ToLower(path.Clean(p))
		for _, route := range []string{"login", "register", "forgot-password", "callback", "logout"} {
			for _, base := range []string{s.base, ""} {
				full := base + "/auth/" + route
				if clean == full || strings.HasPrefix(clean, full+"/") {
					if base == "" && s.base != "" {
						continue // of another application
					}
					return fmt.Errorf("path %q is the route %s", p, route)
				}
			}
		}
		p = decode(p)
	}
	return nil
}

// decode decodes each escape, and leaves alone what is none.
func decode(s string) string {
	if !strings.Contains(s, "%") {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if c, err := strconv.ParseUint(s[i+1:i+3], 16, 8); err == nil {
				b = append(b, byte(c))
				i += 2
				continue
			}
		}
		b = append(b, s[i])
	}
	return string(b)
}
