package main

import (
	"bufio"
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/idxauth/idxauth/idx/idxtest"
)

// stream is an answer of server-sent events.
type stream struct {
	t     *testing.T
	lines *bufio.Scanner
}

// listen opens the events of the live page, and has received the first one.
func (v *visitor) listen() *stream {
	v.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute) // a stream that does not end fails
	v.t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, "GET", v.base+"/live/events", nil)
	if err != nil {
		v.t.Fatal(err)
	}
	resp, err := v.client.Do(req)
	if err != nil {
		v.t.Fatal(err)
	}
	v.t.Cleanup(func() { resp.Body.Close() })
	if got := resp.Header.Get("Content-Type"); resp.StatusCode != 200 || got != "text/event-stream" {
		v.t.Fatalf("events: %s, %s", resp.Status, got)
	}
	s := &stream{v.t, bufio.NewScanner(resp.Body)}
	if event, data := s.next(); event != "time" || len(data) != len("15:04:05") {
		v.t.Fatalf("first event: %q, %q", event, data)
	}
	return s
}

// next returns the next event, or "" if the stream has ended.
func (s *stream) next() (event, data string) {
	for s.lines.Scan() {
		switch line := s.lines.Text(); {
		case line == "":
			return event, data
		case strings.HasPrefix(line, "event: "):
			event = line[len("event: "):]
		case strings.HasPrefix(line, "data: "):
			data = line[len("data: "):]
		}
	}
	return "", ""
}

// wantEnd reads until the stream ends, which has to say why, or nothing if why is "".
func (s *stream) wantEnd(why string) {
	s.t.Helper()
	said := ""
	for event, data := s.next(); event != ""; event, data = s.next() {
		if event == "ended" {
			said = data
		}
	}
	if err := s.lines.Err(); err != nil || said != why {
		s.t.Errorf("the stream ended with %q, %v, want %q", said, err, why)
	}
}

func TestLivePageEndsWithTheSession(t *testing.T) {
	base, hub := start(t)
	ways := map[string]func(v *visitor){
		"logout": func(v *visitor) { v.post("/auth/logout") },
		"block": func(*visitor) {
			hub.UpdateUser(idxtest.Grace.Email, func(u *idxtest.User) { u.Blocked = true })
		},
		"administrator": func(*visitor) {
			admin := newVisitor(t, base)
			admin.signIn(hub, "/admin", idxtest.Ada)
			admin.post("/admin/end", "uid", idxtest.Grace.UID)
		},
	}
	for name, end := range ways {
		t.Run(name, func(t *testing.T) {
			hub.UpdateUser(idxtest.Grace.Email, func(u *idxtest.User) { u.Blocked = false })
			hub.WaitWebhooks()
			v := newVisitor(t, base)
			v.signIn(hub, "/live", idxtest.Grace)
			events := v.listen()
			end(v)
			events.wantEnd("You were signed out.")
			if resp, _ := v.open("GET", "/live/events", "text/event-stream"); resp.StatusCode != 401 {
				t.Errorf("afterwards: %s, want 401", resp.Status)
			}
		})
	}
}

// A stream must not hold up the program that is to stop; nobody is signed out by that.
func TestStopWithAnOpenStream(t *testing.T) {
	withoutSettings(t)
	base, hub, stop := begin(t)
	v := newVisitor(t, base)
	v.signIn(hub, "/live", idxtest.Grace)
	events := v.listen()
	began := time.Now()
	stop()
	if took := time.Since(began); took > 9*time.Second { // those that do not end are cut after ten
		t.Errorf("it took %v to stop", took)
	}
	events.wantEnd("")
}

// net/http ends a request whose connection has reached the ReadTimeout.
func TestStreamOutlivesReadTimeout(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc((&app{}).liveEvents))
	server.Config.ReadTimeout = 2 * time.Second // enough for a slow machine to send a request
	server.Start()
	defer server.CloseClientConnections()
	events := (&visitor{t, server.Client(), server.URL}).listen()
	for range 4 { // one a second
		if event, _ := events.next(); event != "time" {
			t.Fatal("the stream has ended")
		}
	}
}
