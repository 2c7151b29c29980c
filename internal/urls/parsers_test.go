package urls

import (
	"cmp"
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	whatwg "github.com/nlnwa/whatwg-url/url"
)

// parser reads many verdicts at once.
type parser struct {
	name string
	read func(t testing.TB, all []verdict) []reading
}

// inGo are the parsers that are always there.
var inGo = []parser{
	{"WHATWG in Go", each(readWHATWG)},
	{"net/url", each(readNetURL)},
}

func each(read func(v verdict) reading) func(testing.TB, []verdict) []reading {
	return func(_ testing.TB, all []verdict) []reading {
		readings := make([]reading, len(all))
		for i, v := range all {
			readings[i] = read(v)
		}
		return readings
	}
}

const invalid = "invalid"

func readWHATWG(v verdict) (r reading) {
	r.Resolved, r.Origin = invalid, invalid
	if u, err := whatwg.ParseRef(v.site.page(), v.in); err == nil {
		r.Resolved = u.Protocol() + "//" + u.Host()
	}
	u, err := whatwg.Parse(v.location)
	if err != nil {
		return r
	}
	r.Origin = u.Protocol() + "//" + u.Host()
	r.Path, r.Query, r.Fragment = u.Pathname(), strings.TrimPrefix(u.Search(), "?"), strings.TrimPrefix(u.Hash(), "#")
	if u.Username() != "" || u.Password() != "" {
		r.Origin = "of " + u.Username()
	}
	return r
}

func readNetURL(v verdict) (r reading) {
	r.Resolved, r.Origin = invalid, invalid
	page, err := url.Parse(v.site.page())
	if err != nil {
		return r
	}
	if u, err := page.Parse(v.in); err == nil {
		r.Resolved = u.Scheme + "://" + u.Host
	}
	u, err := url.Parse(v.location)
	if err != nil {
		return r
	}
	r.Origin = u.Scheme + "://" + u.Host
	// As they were written, where that is not how net/url would write them: its own
	// spelling of /a%2F^ has a slash more.
	r.Path, r.Query, r.Fragment = cmp.Or(u.RawPath, u.EscapedPath()), u.RawQuery, cmp.Or(u.RawFragment, u.EscapedFragment())
	if u.User != nil {
		r.Origin = "of " + u.User.String()
	}
	return r
}

// TestParsers compares our rule with every parser that is there, over all inputs.
func TestParsers(t *testing.T) {
	var all []verdict
	inputs := everything(t)
	kept := 0
	for n, s := range sites(t) {
		for i, in := range inputs {
			if n > 0 && i%4 != 0 {
				continue // the same rule
			}
			v := s.judge(t, in)
			if v.kept {
				kept++
			}
			all = append(all, v)
		}
	}
	t.Logf("%d inputs, a quarter of them for a second site with a base path: %d kept, %d refused", len(inputs), kept, len(all)-kept)
	if kept < len(all)/20 || kept > len(all)*19/20 {
		t.Errorf("nearly all inputs are of one kind: %d of %d are kept", kept, len(all))
	}
	parsers := append([]parser(nil), inGo...)
	for _, find := range []func(testing.TB) (parser, error){chromium, node, python} {
		p, err := find(t)
		if err != nil {
			t.Logf("NOT compared: %v", err)
			continue
		}
		parsers = append(parsers, p)
	}
	var first []reading
	for _, p := range parsers {
		began := time.Now()
		readings := p.read(t, all)
		took := time.Since(began).Round(time.Millisecond)
		if len(readings) != len(all) {
			t.Fatalf("%s: %d answers to %d inputs", p.name, len(readings), len(all))
		}
		if first == nil {
			first = readings
		}
		wrong, off, differ, unlike := 0, 0, 0, ""
		for i, v := range all {
			if err := check(v, readings[i]); err != nil {
				if wrong++; wrong <= 10 {
					t.Errorf("%s: %q on %s%s %v", p.name, v.in, v.site.origin, v.site.base, err)
				}
			}
			if !v.kept && readings[i].Resolved != v.site.origin {
				off++
			}
			if a, b := first[i].Resolved, readings[i].Resolved; a != b && utf8.ValidString(v.in) {
				differ++
				if unlike == "" {
					unlike = v.in
				}
			}
		}
		t.Logf("%s, in %v: %d of %d wrong. Of what is refused, %d would have left the site or are no URL. %d inputs, such as %q, are of another origin than for %s.",
			p.name, took, wrong, len(all), off, differ, unlike, parsers[0].name)
	}
}

// TestKept keeps honest paths, byte for byte, for an application with and without a
// base path.
func TestKept(t *testing.T) {
	for _, s := range sites(t) {
		for _, in := range list(t, "kept") {
			v := s.judge(t, in)
			if want := s.origin + s.base + ascii(in); v.location != want {
				t.Errorf("%q leads to %q, want %q", in, v.location, want)
			}
		}
	}
}

// TestRefused is the other list, for a site without a base path.
func TestRefused(t *testing.T) {
	s := newSite(t, "https://app.example", "")
	for _, in := range list(t, "refused") {
		if v := s.judge(t, in); v.kept {
			t.Errorf("%q leads to %q", in, v.location)
		}
	}
}

// ascii encodes what a header cannot hold: the one thing that is done to a path.
func ascii(s string) string {
	u := ""
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f || c == '"' || c == '<' || c == '>' {
			u += "%" + string("0123456789ABCDEF"[c>>4]) + string("0123456789ABCDEF"[c&15])
			continue
		}
		u += string(s[i])
	}
	return u
}

// FuzzParsers asks the parsers in Go about whatever the fuzzer thinks of.
func FuzzParsers(f *testing.F) {
	for _, in := range written(f) {
		f.Add(in)
	}
	places := sites(f)
	f.Fuzz(func(t *testing.T, in string) {
		for _, s := range places {
			v := s.judge(t, in)
			for _, p := range inGo {
				if err := check(v, p.read(t, []verdict{v})[0]); err != nil {
					t.Errorf("%s: %q on %s%s %v", p.name, in, s.origin, s.base, err)
				}
			}
		}
	})
}

var errMissing = errors.New("is not installed")
