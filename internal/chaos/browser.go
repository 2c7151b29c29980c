package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"time"

	"github.com/idxauth/idxauth/idx/idxtest"
)

// patience is how long a browser waits for an answer. Nobody waits as long.
const patience = 20 * time.Second

// maxRedirects is how many a navigation may take.
const maxRedirects = 10

// browser is one visitor: a cookie jar, and whoever uses it.
type browser struct {
	world    *world
	user     int
	instance int // that it is led to, or either
	probing  bool
	jar      http.CookieJar
}

func (w *world) newBrowser(user int) *browser {
	return &browser{world: w, user: user, instance: either, jar: newJar()}
}

func newJar() http.CookieJar {
	jar, err := cookiejar.New(nil)
	if err != nil {
		panic(err) // it never is
	}
	return jar
}

// token returns the session cookie's value, "" if there is none.
func (b *browser) token() string { return sessionToken(b.jar.Cookies(b.world.base)) }

func sessionToken(cookies []*http.Cookie) string {
	for _, c := range cookies {
		if strings.HasSuffix(c.Name, "-session") {
			return c.Value
		}
	}
	return ""
}

// cookies returns what a program that has stolen a session would send.
func (w *world) stolen(token string) []*http.Cookie {
	return []*http.Cookie{{Name: *w.cookieName.Load(), Value: token}}
}

// visit opens a page of the application as a person does: through the hosted page if
// need be, where the user signs in. It returns the last answer.
func (b *browser) visit(ctx context.Context, path string) *answer {
	return b.navigate(ctx, http.MethodGet, b.world.base.JoinPath(path), nil)
}

func (b *browser) navigate(ctx context.Context, method string, at *url.URL, form url.Values) *answer {
	began := time.Now()
	signedIn := false
	for redirects := 0; ; {
		a := b.exchange(ctx, method, at, form, "text/html")
		isHub := at.Host != b.world.base.Host
		if !isHub {
			b.note(a, began)
		}
		next, err := at.Parse(a.header.Get("Location"))
		switch {
		case a.err != nil || err != nil:
			return a
		case a.status/100 == 3 && redirects == maxRedirects:
			b.world.report(violation{kind: loop, text: fmt.Sprintf("%s: more than %d", a.path, maxRedirects)})
			return a
		case a.status/100 == 3:
			redirects++
			method, at, form = http.MethodGet, next, nil
		case isHub && a.status == http.StatusOK && !signedIn && strings.HasPrefix(at.Path, "/auth"):
			signedIn = true // or not: accounts may be blocked, and then the page says so
			redirects = 0   // a form that somebody sends begins a navigation of its own
			method, form = http.MethodPost, url.Values{"email": {email(b.user)}, "password": {idxtest.Password}}
		default:
			return a
		}
	}
}

func email(n int) string { return user(n) + "@chaos.example" }

// note tells the ledger what an answer promises.
func (b *browser) note(a *answer, began time.Time) {
	got := b.token()
	switch {
	case a.err != nil:
	case a.kind == kindLogin && a.status == http.StatusSeeOther && got != "" && got != a.token:
		b.world.ledger.over(a.token) // replaced
		b.world.ledger.signedIn(got, b.user, began)
	case a.kind == kindLogout && a.status == http.StatusSeeOther:
		b.world.ledger.over(a.token)
	}
}

// exchange sends one request and reads its answer. Those of the application are held
// against the ledger.
func (b *browser) exchange(ctx context.Context, method string, at *url.URL, form url.Values, accept string) *answer {
	return b.world.exchange(ctx, b, b.instance, b.jar.Cookies(at), method, at, form, accept)
}

// get asks for a page as a program does, which is no navigation.
func (b *browser) get(ctx context.Context, path string) *answer {
	return b.exchange(ctx, http.MethodGet, b.world.base.JoinPath(path), nil, "application/json")
}

// logout signs out, and returns the session that has ended, or was asked to.
func (b *browser) logout(ctx context.Context) (token string, a *answer) {
	token = b.token()
	b.world.ledger.doubtful(token, loggingOut)
	at := b.world.base.JoinPath("/auth/logout")
	a = b.exchange(ctx, http.MethodPost, at, nil, "text/html")
	b.note(a, a.began)
	if errors.Is(a.err, errHung) {
		b.world.ledger.logoutHeld(b.user)
	}
	if next, err := at.Parse(a.header.Get("Location")); err == nil && a.status == http.StatusSeeOther {
		b.navigate(ctx, http.MethodGet, next, nil)
	}
	return token, a
}

// keep saves a note in the session.
func (b *browser) keep(ctx context.Context, note string) {
	token := b.token()
	b.world.ledger.saving(token, note)
	a := b.exchange(ctx, http.MethodPost, b.world.base.JoinPath("/note"), url.Values{"note": {note}}, "text/html")
	if a.err == nil && a.status == http.StatusSeeOther {
		b.world.ledger.saved(token, note)
	}
	if errors.Is(a.err, errHung) {
		b.world.ledger.holding(token, note)
	}
}

// replay sends an old cookie once more.
func (w *world) replay(ctx context.Context, token string, instance int) *answer {
	return w.exchange(ctx, nil, instance, w.stolen(token), http.MethodGet, w.base.JoinPath("/dashboard"), nil, "text/html")
}

// exchange sends one request with cookies, for b unless that is nil.
func (w *world) exchange(ctx context.Context, b *browser, instance int, cookies []*http.Cookie, method string, at *url.URL, form url.Values, accept string) *answer {
	a := &answer{kind: kindOf(method, at.Path), path: at.Path, token: sessionToken(cookies), header: http.Header{}}
	if b != nil {
		a.user = b.user
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	r, err := newRequest(ctx, cookies, method, at, form, accept)
	if err != nil {
		a.err = err
		return a
	}
	before := w.terms.Load()
	a.began = time.Now()
	resp, err := w.balancer.send(r, instance)
	a.receive(resp, err)
	if a.err == nil { // a session of which half an answer tells is no promise
		if b != nil {
			b.jar.SetCookies(at, resp.Cookies())
		}
		w.learnCookie(resp.Cookies())
	}
	if a.terms = w.terms.Load(); a.terms.calm {
		a.terms = before
	}
	// One that is led to an instance could not know that this was about to end.
	isGone := a.err != nil && instance != either && w.instances[instance].down.Load()
	if at.Host == w.base.Host && ctx.Err() != context.Canceled && !isGone {
		w.count(a, b != nil && b.probing)
	}
	return a
}

func newRequest(ctx context.Context, cookies []*http.Cookie, method string, at *url.URL, form url.Values, accept string) (*http.Request, error) {
	var body io.Reader
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	r, err := http.NewRequestWithContext(ctx, method, at.String(), body)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Accept", accept)
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for _, c := range cookies {
		r.AddCookie(c)
	}
	return r, nil
}

// learnCookie remembers how the session cookie is called.
func (w *world) learnCookie(cookies []*http.Cookie) {
	for _, c := range cookies {
		if strings.HasSuffix(c.Name, "-session") && c.Value != "" {
			w.cookieName.Store(&c.Name)
		}
	}
}
