package main

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// ledger knows what each session was promised.
type ledger struct {
	mu       sync.Mutex
	sessions map[string]*promise // by token
	ended    []*promise          // oldest first
	ending   map[int]time.Time   // when somebody last began, or went on, to end all of a user's
	late     map[int]time.Time   // until when that can still happen, although nobody confirmed it
	blocked  map[int]time.Time   // since when an account is blocked, or until when it was
}

// promise is what the visitor with a session was told.
type promise struct {
	token string
	user  int
	end   time.Time // when it was confirmed that the session is over; zero if it is not
	doubt doubt

	byUser  bool // it was to end with all sessions of its user
	excused bool // it goes on, as Redis had evicted the list of them, or forgotten its end

	note   string   // that the session was told to hold
	before []dated  // notes until then, of the last seconds
	maybe  []string // notes sent since then that nobody confirmed
	held   []dated  // notes that wait in an instance that hangs, and will be written later
}

// dated is a note with a time: when it was confirmed that it is no more, or it was sent.
type dated struct {
	note string
	at   time.Time
}

// longestLag is more than the lag of any terms, and than an instance hangs.
const longestLag = 10 * time.Second

func isOld(r dated) bool { return time.Since(r.at) > longestLag }

// doubt is why it is not known whether a session is over.
type doubt string

const (
	none         doubt = ""
	loggingOut   doubt = "logout"  // asked for; the application promises to go on trying
	beingBlocked doubt = "webhook" // the same
	beingEnded   doubt = "admin"   // asked for; nothing was promised yet
	crossing     doubt = "crossed" // began while somebody ended all sessions of its user
)

// lateWebhooks is how long the application tries to do what a webhook asks for, and a
// little more. Sessions that began meanwhile end, too.
const lateWebhooks = 65 * time.Second

func newLedger() *ledger {
	return &ledger{sessions: make(map[string]*promise), ending: make(map[int]time.Time), late: make(map[int]time.Time), blocked: make(map[int]time.Time)}
}

// signedIn notes a session that a login, which began at the given time, has led to.
func (l *ledger) signedIn(token string, user int, began time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := &promise{token: token, user: user}
	if !l.ending[user].Before(began) {
		p.doubt = crossing
	}
	l.sessions[token] = p
}

// doubtful notes that a session is about to end, or is said to.
func (l *ledger) doubtful(token string, why doubt) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if p := l.sessions[token]; p != nil && p.end.IsZero() {
		p.doubt = why
	}
}

// over notes that it was confirmed that a session has ended.
func (l *ledger) over(token string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.finish(l.sessions[token])
}

func (l *ledger) finish(p *promise) {
	if p == nil || !p.end.IsZero() {
		return
	}
	p.end, p.doubt = time.Now(), none
	l.ended = append(l.ended, p)
}

// endUser notes that all sessions of a user are about to end, and returns what to call
// when it was confirmed that they have.
func (l *ledger) endUser(user int, why doubt) (confirmed func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ending[user] = time.Now()
	earlier, mine := l.late[user], time.Now().Add(lateWebhooks)
	l.late[user] = mine
	var all []*promise
	for _, p := range l.sessions {
		if p.user == user && p.end.IsZero() && p.doubt != loggingOut {
			p.doubt, p.byUser = why, true
			all = append(all, p)
		}
	}
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.ending[user] = time.Now()
		if l.late[user].Equal(mine) {
			l.late[user] = earlier
		}
		for _, p := range all {
			l.finish(p)
		}
		for _, p := range l.sessions {
			if p.user == user && p.end.IsZero() && p.doubt == none {
				p.doubt = crossing // its login began and ended meanwhile: who was first is not known
			}
		}
	}
}

// logoutHeld notes that a logout was sent to an instance that hangs. When it goes on, it
// ends the access token too, and with it what other sessions have it by then.
func (l *ledger) logoutHeld(user int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.late[user] = time.Now().Add(lateWebhooks)
}

// block notes that an account is about to be blocked, or that it no longer is.
func (l *ledger) block(user int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.blocked[user] = time.Now()
}

// saving notes that a note is sent, saved that it was confirmed.
func (l *ledger) saving(token, note string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if p := l.sessions[token]; p != nil {
		p.maybe = append(p.maybe, note)
	}
}

func (l *ledger) saved(token, note string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if p := l.sessions[token]; p != nil {
		p.before = append(slices.DeleteFunc(p.before, isOld), dated{p.note, time.Now()})
		p.note, p.maybe, p.held = note, nil, slices.DeleteFunc(p.held, isOld)
	}
}

// holding notes that a note was sent to an instance that hangs.
func (l *ledger) holding(token, note string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if p := l.sessions[token]; p != nil {
		p.held = append(p.held, dated{note, time.Now()})
	}
}

// wasEnded reports whether a session is over, and its visitor did not ask for it.
func (l *ledger) wasEnded(token string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.sessions[token]
	return p != nil && (!p.end.IsZero() || p.doubt == beingBlocked || p.doubt == beingEnded)
}

// isLive reports whether a session was promised to be there.
func (l *ledger) isLive(token string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.sessions[token]
	return p != nil && p.end.IsZero()
}

// live returns the sessions that are not over, past the last n that are.
func (l *ledger) live() (all []promise) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, p := range l.sessions {
		if p.end.IsZero() {
			all = append(all, *p)
		}
	}
	return all
}

func (l *ledger) past(n int) (all []promise) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, p := range l.ended[max(0, len(l.ended)-n):] {
		all = append(all, *p)
	}
	return all
}

// resolve settles a doubt by what was seen.
func (l *ledger) resolve(token string, isThere bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.sessions[token]
	if p == nil || !p.end.IsZero() {
		return
	}
	if isThere {
		p.doubt = none
	} else {
		l.finish(p)
	}
}

// violation is a promise that was broken.
type violation struct {
	kind, text string
	by         time.Duration // how much too slow
	at         time.Time     // of an answer that is late, or says that Redis does not answer
}

// The kinds of violations, and of what Redis did that is none.
const (
	wrongUser   = "somebody else's user"
	revived     = "a session that has ended is honoured"
	lost        = "a session is lost"
	noteLost    = "a note is lost"
	slow        = "too slow"
	refused     = "refused without need"
	broken      = "broken off"
	odd         = "odd answer"
	loop        = "too many redirects"
	health      = "health"
	panicked    = "panic"
	leak        = "leak"
	notNormal   = "not normal again in time"
	dead        = "an instance has ended"
	notRevoked  = "not revoked, even later"
	stale       = "let in on a copy that is too old"
	immortal    = "a key in Redis without an end"
	byRedis     = "lost by Redis"
	missed      = "not ended, as Redis had evicted what tells of it"
	byRedisBack = "brought back by Redis"
)

// judge holds an answer against what its session was promised, and the terms.
func (l *ledger) judge(a *answer) (found []violation) {
	report := func(kind, format string, args ...any) {
		found = append(found, violation{kind: kind, text: fmt.Sprintf("%s %s: %s", a.kind, a.path, fmt.Sprintf(format, args...))})
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	bound, mayRefuse := a.terms.bound(a.kind), a.terms.refused[a.kind]
	if l.isLikeLogin(a) {
		bound, mayRefuse = max(bound, a.terms.login), mayRefuse || a.terms.refused[kindLogin]
	}
	if a.took() > bound {
		found = append(found, violation{kind: slow, text: fmt.Sprintf("%s %s: %v, want at most %v", a.kind, a.path, a.took().Round(time.Millisecond), bound), by: a.took() - bound, at: a.ended})
	}
	if a.err != nil {
		if !a.terms.cuts && !(a.terms.hangs && errors.Is(a.err, errHung)) {
			report(broken, "after %v: %v", a.took().Round(time.Millisecond), a.err)
		}
		return found
	}
	p := l.sessions[a.token]
	l.judgeUsers(a, p, report)
	if a.header["Set-Cookie"] != nil && !strings.Contains(a.header.Get("Cache-Control"), "no-store") {
		report(odd, "sets a cookie, and may be stored")
	}
	switch {
	case a.status == 503:
		if !mayRefuse || a.terms.byDeaf && a.header.Get(servedBy) != strconv.Itoa(deaf) {
			found = append(found, violation{kind: refused, text: fmt.Sprintf("%s %s: 503 %s of instance %s at %s", a.kind, a.path, code(a.body), a.header.Get(servedBy), a.ended.Format("15:04:05.000")), at: saysRedis(a)})
		}
		if a.header.Get("Retry-After") == "" {
			report(odd, "503 without Retry-After")
		}
	case a.kind == kindPublic:
		if a.status != 200 {
			report(odd, "status %d", a.status)
		}
	case a.status == 400 && code(a.body) == "too_many_attempts" && (a.terms.evicts || a.began.Before(l.ending[a.user].Add(time.Minute))):
		// Three sessions lost within a minute look like cookies that do not come back. The
		// operator can do that to a visitor here, and a Redis that evicts.
	case a.kind == kindLogin && a.status == 403 && code(a.body) == "account_denied":
		// Accounts are blocked for a fraction of a second.
		if a.began.After(l.blocked[a.user].Add(time.Second)) {
			report(refused, "%s is not blocked", user(a.user))
		}
	case a.kind == kindLogin:
		if a.status != 302 && a.status != 303 {
			report(odd, "status %d %s", a.status, code(a.body))
		}
	case a.kind == kindLogout:
		if a.status != 303 {
			report(odd, "status %d %s", a.status, code(a.body))
		}
	case a.isStranger():
		l.judgeStranger(a, p, report)
	case a.status == 200 || a.status == 303:
		l.judgeGuest(a, p, report)
	default:
		report(odd, "status %d %s", a.status, code(a.body))
	}
	return found
}

// isLikeLogin reports whether an answer may take as long as that of a login, and be refused
// for the same reasons. The first page of a user whose account has just changed is so: a
// webhook has said that the copy in the session is wrong, and the account is read first.
func (l *ledger) isLikeLogin(a *answer) bool {
	return a.kind != kindPublic && a.began.Before(l.blocked[a.user].Add(longestLag))
}

type reporter func(kind, format string, args ...any)

// judgeUsers looks for people who have no business on the page.
func (l *ledger) judgeUsers(a *answer, p *promise, report reporter) {
	if a.kind == kindAdmin {
		return
	}
	for _, n := range a.users() {
		switch {
		case p == nil:
			report(wrongUser, "a stranger sees %s", user(n))
		case p.user != n:
			report(wrongUser, "%s sees %s", user(p.user), user(n))
		default:
			continue
		}
		return
	}
}

// judgeStranger is for an answer that takes the visitor for nobody.
func (l *ledger) judgeStranger(a *answer, p *promise, report reporter) {
	if p == nil || !p.end.IsZero() {
		return
	}
	switch {
	case p.doubt != none, a.began.Before(l.late[p.user]):
		if p.doubt == crossing || p.doubt == none {
			l.finish(p)
		}
	case a.terms.losesData, a.terms.evicts:
		report(byRedis, "the session of %s", user(p.user))
		l.finish(p)
	default:
		report(lost, "status %d for %s, who is signed in", a.status, user(p.user))
		l.finish(p)
	}
}

// judgeGuest is for an answer that lets the visitor in.
func (l *ledger) judgeGuest(a *answer, p *promise, report reporter) {
	if p == nil {
		report(revived, "status %d for a session that nobody was given", a.status)
		return
	}
	if p.excused {
		return
	}
	if !p.end.IsZero() && a.began.After(p.end.Add(a.terms.lag)) {
		if a.terms.evicts && p.byUser {
			report(missed, "the session of %s", user(p.user))
			p.excused = true
			return
		}
		if a.terms.losesData {
			report(byRedisBack, "the session of %s, %v after its end", user(p.user), a.began.Sub(p.end).Round(time.Millisecond))
			p.excused = true // also when Redis is whole again: nobody ends it once more
			return
		}
		report(revived, "of %s, %v after its end was confirmed", user(p.user), a.began.Sub(p.end).Round(time.Millisecond))
		return
	}
	if a.kind != kindView {
		return
	}
	if !slices.Contains(a.users(), p.user) {
		report(odd, "a page for %s without a name", user(p.user))
	}
	note, ok := a.note()
	isLate := func(r dated) bool { return r.note == note && a.began.Before(r.at.Add(a.terms.lag)) }
	isHeld := func(r dated) bool { return r.note == note }
	if !ok || note == p.note || slices.Contains(p.maybe, note) || slices.ContainsFunc(p.before, isLate) || slices.ContainsFunc(p.held, isHeld) {
		return
	}
	if a.terms.losesData {
		report(byRedis, "the note of %s", user(p.user))
		p.note = note
		return
	}
	report(noteLost, "%s reads %q, and was told that it is %q", user(p.user), note, p.note)
}

// saysRedis returns when the application said that Redis does not answer.
func saysRedis(a *answer) time.Time {
	if c := code(a.body); c == "store_unavailable" || c == "logout_unconfirmed" || a.kind == kindNote || a.kind == kindAdmin {
		return a.ended
	}
	return time.Time{}
}

// code returns the reason code in a page or a problem.
func code(body []byte) string {
	for _, mark := range []string{`"code":"`, `class="code">`} {
		if _, rest, ok := strings.Cut(string(body), mark); ok {
			word, _, _ := strings.Cut(rest, `"`)
			word, _, _ = strings.Cut(word, " ")
			return word
		}
	}
	return ""
}
