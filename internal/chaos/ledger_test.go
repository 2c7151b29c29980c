package main

import (
	"errors"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// The ledger is what all verdicts rest on: each of these answers breaks a promise, and it
// has to say so.
func TestLedgerFindsViolations(t *testing.T) {
	now := time.Now()
	good := func(change func(*answer)) *answer {
		a := &answer{
			kind: kindView, path: "/dashboard", token: "ada", terms: healthy, status: 200,
			began: now, ended: now.Add(time.Millisecond), header: http.Header{},
			body: []byte(`<b>visitor-1@chaos.example</b><input id="note" name="note" maxlength="200" value="mine">`),
		}
		change(a)
		return a
	}
	tests := []struct {
		name   string
		answer *answer
		want   string // "" if it is as promised
	}{
		{"as promised", good(func(a *answer) {}), ""},
		{"somebody else's page", good(func(a *answer) { a.body = []byte("visitor-2") }), wrongUser},
		{"own page that shows somebody else", good(func(a *answer) { a.body = append(a.body, "visitor-11"...) }), wrongUser},
		{"somebody else on a public page", good(func(a *answer) { a.kind, a.body = kindPublic, []byte("visitor-2") }), wrongUser},
		{"a stranger sees a user", good(func(a *answer) { a.token, a.kind = "", kindPublic }), wrongUser},
		{"a stranger is let in", good(func(a *answer) { a.token, a.body = "", nil }), revived},
		{"a made-up session is let in", good(func(a *answer) { a.token, a.body = "made up", nil }), revived},
		{"a session that has ended", good(func(a *answer) { a.token = "gone"; a.body = []byte("visitor-1") }), revived},
		{"a session that has just ended", good(func(a *answer) { a.token, a.body = "just gone", []byte("visitor-1") }), ""},
		{"a session that has ended, refused", good(func(a *answer) { a.token, a.status, a.body = "gone", 302, nil }), ""},
		{"sent to the login", good(func(a *answer) { a.status, a.body = 302, nil }), lost},
		{"401", good(func(a *answer) { a.status, a.body = 401, nil }), lost},
		{"a session that Redis forgot", good(func(a *answer) {
			a.status, a.body, a.terms = 401, nil, &terms{view: time.Second, losesData: true}
		}), byRedis},
		{"a session that was evicted", good(func(a *answer) {
			a.status, a.body, a.terms = 401, nil, &terms{view: time.Second, evicts: true}
		}), byRedis},
		{"a session that was logged out, while Redis evicts", good(func(a *answer) {
			a.token, a.body, a.terms = "gone", []byte("visitor-1"), &terms{view: time.Second, evicts: true}
		}), revived},
		{"a session of a user who was signed out, while Redis evicts", good(func(a *answer) {
			a.token, a.body, a.terms = "ended", []byte("visitor-1"), &terms{view: time.Second, evicts: true}
		}), missed},
		{"a session of a user who was signed out", good(func(a *answer) { a.token, a.body = "ended", []byte("visitor-1") }), revived},
		{"another note", good(func(a *answer) { a.body = []byte(strings.Replace(string(a.body), "mine", "yours", 1)) }), noteLost},
		{"the note before, too late", good(func(a *answer) { a.body = []byte(strings.Replace(string(a.body), "mine", "before", 1)) }), noteLost},
		{"the note before, in time", good(func(a *answer) { a.body = []byte(strings.Replace(string(a.body), "mine", "just before", 1)) }), ""},
		{"503 while nothing is broken", good(func(a *answer) {
			a.status, a.body = 503, nil
			a.header.Set("Retry-After", "2")
		}), refused},
		{"503 when Redis is away", good(func(a *answer) {
			a.status, a.body, a.terms = 503, nil, &terms{view: time.Second, refused: everything}
			a.header.Set("Retry-After", "2")
		}), ""},
		{"503 that does not say for how long", good(func(a *answer) {
			a.status, a.body, a.terms = 503, nil, &terms{view: time.Second, refused: everything}
		}), odd},
		{"a page for people when logins alone may be refused", good(func(a *answer) {
			a.status, a.body, a.terms = 503, nil, &terms{view: time.Second, refused: logins}
			a.header.Set("Retry-After", "2")
		}), refused},
		{"a page that waits for the API, of an account that has just changed", good(func(a *answer) {
			a.user, a.status, a.body, a.terms = 1, 503, nil, &terms{view: time.Second, login: 10 * time.Second, refused: logins}
			a.ended = a.began.Add(5 * time.Second)
			a.header.Set("Retry-After", "2")
		}), ""},
		{"a loop that is none", good(func(a *answer) { a.status, a.body = 400, []byte(`<p class="code">too_many_attempts · X</p>`) }), odd},
		{"a loop to the application, as Redis evicts", good(func(a *answer) {
			a.status, a.body, a.terms = 400, []byte(`<p class="code">too_many_attempts · X</p>`), &terms{view: time.Second, evicts: true}
		}), ""},
		{"500", good(func(a *answer) { a.status, a.body = 500, nil }), odd},
		{"500 for a login", good(func(a *answer) { a.kind, a.status, a.body = kindLogin, 500, nil }), odd},
		{"a logout that ends on a page", good(func(a *answer) { a.kind, a.body = kindLogout, nil }), odd},
		{"a public page that fails", good(func(a *answer) { a.kind, a.status, a.body = kindPublic, 500, nil }), odd},
		{"a page for nobody", good(func(a *answer) { a.body = []byte("welcome") }), odd},
		{"half an answer", good(func(a *answer) { a.err = errors.New("unexpected EOF") }), broken},
		{"given up by the balancer, while nothing hangs", good(func(a *answer) { a.err = errHung }), broken},
		{"given up by the balancer, as an instance hangs", good(func(a *answer) {
			a.err, a.terms = errHung, &terms{view: time.Second, hangs: true}
		}), ""},
		{"broken off, while an instance hangs", good(func(a *answer) {
			a.err, a.terms = errors.New("unexpected EOF"), &terms{view: time.Second, hangs: true}
		}), broken},
		{"503 of the instance that is cut off", good(func(a *answer) {
			a.status, a.body, a.terms = 503, nil, &terms{view: time.Second, refused: everything, byDeaf: true}
			a.header.Set("Retry-After", "2")
			a.header.Set(servedBy, strconv.Itoa(deaf))
		}), ""},
		{"503 of the other instance", good(func(a *answer) {
			a.status, a.body, a.terms = 503, nil, &terms{view: time.Second, refused: everything, byDeaf: true}
			a.header.Set("Retry-After", "2")
			a.header.Set(servedBy, strconv.Itoa(hearing))
		}), refused},
		{"too late", good(func(a *answer) { a.ended = a.began.Add(3 * time.Second) }), slow},
		{"a cookie that caches keep", good(func(a *answer) { a.header.Set("Set-Cookie", "a=b") }), odd},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := newLedger()
			l.block(1)
			for token, end := range map[string]time.Time{"ada": {}, "gone": now.Add(-time.Minute), "just gone": now.Add(-time.Millisecond)} {
				l.sessions[token] = &promise{token: token, user: 1, end: end, note: "mine", before: []dated{
					{"before", now.Add(-time.Minute)}, {"just before", now.Add(-time.Millisecond)}}}
			}
			l.sessions["ended"] = &promise{token: "ended", user: 1, end: now.Add(-time.Minute), byUser: true}
			found := l.judge(tt.answer)
			if tt.want == "" && len(found) > 0 {
				t.Errorf("violations %v, want none", found)
			}
			if tt.want != "" && (len(found) == 0 || found[0].kind != tt.want) {
				t.Errorf("violations %v, want: %s", found, tt.want)
			}
		})
	}
}

func TestLedgerKnowsWhatIsInDoubt(t *testing.T) {
	now := time.Now()
	stranger := func(token string) *answer {
		return &answer{kind: kindView, token: token, terms: healthy, status: 401, began: now, ended: now, header: http.Header{}}
	}
	l := newLedger()
	l.signedIn("before", 1, now)
	confirmed := l.endUser(1, beingBlocked)
	l.signedIn("crossing", 1, now) // the login began before
	l.signedIn("other", 2, now)
	l.signedIn("within", 1, time.Now().Add(time.Millisecond)) // began and ended before it was confirmed
	if found := l.judge(stranger("before")); len(found) > 0 {
		t.Errorf("a session that is being ended is over: %v, want no violation", found)
	}
	confirmed()
	for _, token := range []string{"crossing", "within"} {
		a := stranger(token)
		a.began = time.Now()
		if found := l.judge(a); len(found) > 0 {
			t.Errorf("the login of %q, which crossed the end of all sessions, is void: %v, want no violation", token, found)
		}
	}
	if l.isLive("before") || l.isLive("crossing") || !l.isLive("other") {
		t.Errorf("live: before %v, crossing %v, other %v, want the last alone", l.isLive("before"), l.isLive("crossing"), l.isLive("other"))
	}
	l.signedIn("after", 1, time.Now().Add(time.Millisecond))
	if found := l.judge(stranger("after")); len(found) != 1 || found[0].kind != lost {
		t.Errorf("a login after that is void: %v, want: %s", found, lost)
	}
}

// TestClockCanBeSet builds nothing: it looks whether this Go's clock is what the overlay
// expects.
func TestClockCanBeSet(t *testing.T) {
	goroot, err := goCommand("env", "GOROOT")
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile(clockFile(goroot))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := withSettableClock(source); err != nil {
		t.Error(err)
	}
}

func TestLedgerRemembersWhatRedisBroughtBack(t *testing.T) {
	l := newLedger()
	l.signedIn("back", 1, time.Now())
	l.over("back")
	guest := func(on *terms) []violation {
		return l.judge(&answer{
			kind: kindView, token: "back", terms: on, status: 200, header: http.Header{}, body: []byte("visitor-1"),
			began: time.Now().Add(time.Minute), ended: time.Now().Add(time.Minute),
		})
	}
	if found := guest(&terms{view: time.Second, losesData: true}); len(found) != 1 || found[0].kind != byRedisBack {
		t.Errorf("a session whose end Redis has forgotten is there: %v, want: %s", found, byRedisBack)
	}
	if found := guest(healthy); len(found) > 0 {
		t.Errorf("it is still there when Redis is whole again: %v, want no violation: nobody has ended it since", found)
	}
}
