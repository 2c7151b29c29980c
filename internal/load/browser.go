package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// fleet is what all browsers share: no connection and no cookie, but the counts.
type fleet struct {
	transport *http.Transport
	toHub     *http.Transport // fewer connections: it is not what is measured
	hub       *hub
	app       string // origin
}

func newFleet(h *hub, app string) *fleet {
	return &fleet{hub: h, app: app, transport: &http.Transport{
		MaxIdleConnsPerHost: 1 << 20, IdleConnTimeout: time.Minute,
	}, toHub: &http.Transport{MaxConnsPerHost: 256, MaxIdleConnsPerHost: 256}}
}

// rest closes the connections that nobody uses just now, also those of the application
// to its API, so that goroutines can be compared.
func (f *fleet) rest() {
	f.transport.CloseIdleConnections()
	f.toHub.CloseIdleConnections()
	if f.hub != nil {
		f.hub.server.SetKeepAlivesEnabled(false)
		f.hub.server.SetKeepAlivesEnabled(true)
	}
}

// browser is a person's. It obeys Retry-After, by loading the same address again.
type browser struct {
	*fleet
	user    int
	cookies map[string]map[string]string // by host, by name

	busy     int           // answers 503
	callback time.Duration // of the last one that was answered with a page to go on to
	hops     int           // redirects since the page was asked for
}

func (f *fleet) browser(user int) *browser {
	return &browser{fleet: f, user: user, cookies: make(map[string]map[string]string)}
}

// failure is an end that a person would see.
type failure struct{ text string }

func (f failure) Error() string { return f.text }

const (
	maxHops  = 12 // more are a loop: a whole login takes five
	maxBusy  = 60
	maxDelay = 30 * time.Second
)

// open opens a page of the application, signs in on the way if need be, and returns when
// the page is there.
func (b *browser) open(ctx context.Context, path string) error {
	b.hops = 0
	method, at, form := "GET", b.app+path, ""
	for {
		start := time.Now()
		resp, body, err := b.send(ctx, method, at, form)
		if err != nil {
			return err
		}
		isCallback := strings.Contains(at, "/auth/callback")
		switch {
		case resp.StatusCode == http.StatusOK && strings.HasPrefix(at, b.app):
			if !strings.HasPrefix(body, "user "+uidOf(b.user)) {
				return fmt.Errorf("user %d was shown the page of another: %.100q", b.user, body)
			}
			return nil
		case resp.StatusCode == http.StatusOK: // the hosted page's form
			method, form = "POST", url.Values{"email": {emailOf(b.user)}, "password": {passwordOfAll}}.Encode()
			continue
		case resp.StatusCode == http.StatusServiceUnavailable:
			if err := b.wait(ctx, resp); err != nil {
				return err
			}
			continue
		case resp.StatusCode/100 == 3:
			if isCallback && resp.StatusCode == http.StatusSeeOther {
				b.callback = time.Since(start)
			}
			if at, err = b.next(at, resp); err != nil {
				return err
			}
			method, form = "GET", ""
			continue
		}
		return failure{fmt.Sprintf("%s %s: %d", method, pathOf(at), resp.StatusCode)}
	}
}

// wait does what a 503 asks for.
func (b *browser) wait(ctx context.Context, resp *http.Response) error {
	b.busy++
	seconds, err := strconv.Atoi(resp.Header.Get("Retry-After"))
	delay := time.Duration(seconds) * time.Second
	if err != nil || delay > maxDelay {
		return failure{"503 without a usable Retry-After"}
	}
	if b.busy > maxBusy {
		return failure{"503 again and again"}
	}
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return failure{"503 until the end"}
	}
}

func (b *browser) next(at string, resp *http.Response) (string, error) {
	if b.hops++; b.hops > maxHops {
		return "", failure{"a loop of redirects"}
	}
	to, err := resp.Request.URL.Parse(resp.Header.Get("Location"))
	if err != nil || resp.Header.Get("Location") == "" {
		return "", failure{"a redirect to nowhere, of " + pathOf(at)}
	}
	return to.String(), nil
}

func pathOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return "?"
	}
	return u.Path
}

func (b *browser) send(ctx context.Context, method, at, form string) (*http.Response, string, error) {
	req, err := http.NewRequestWithContext(ctx, method, at, strings.NewReader(form))
	if err != nil {
		return nil, "", err
	}
	req.Header.Set("Accept", "text/html,application/xhtml+xml,*/*;q=0.8")
	req.Header.Set("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0")
	if form != "" {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	jar := b.cookies[req.URL.Host]
	for name, value := range jar {
		req.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	transport := b.transport
	if !strings.HasPrefix(at, b.app) {
		transport = b.toHub
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		if ctx.Err() != nil {
			return nil, "", failure{"no answer until the end"}
		}
		return nil, "", failure{"connection: " + cause(err)}
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err != nil {
		return nil, "", failure{"answer: " + cause(err)}
	}
	for _, c := range resp.Cookies() {
		if jar == nil {
			jar = make(map[string]string)
			b.cookies[req.URL.Host] = jar
		}
		if c.MaxAge < 0 || c.Value == "" {
			delete(jar, c.Name)
			continue
		}
		jar[c.Name] = c.Value
	}
	return resp, string(body), nil
}

// cause is the innermost error, which names no port.
func cause(err error) string {
	for errors.Unwrap(err) != nil {
		err = errors.Unwrap(err)
	}
	return err.Error()
}
