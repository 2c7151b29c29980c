package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/idxauth/idxauth/session"
)

// live is a page that listens to liveEvents; see templates/live.js.
func live(w http.ResponseWriter, r *http.Request) {
	render(w, r, http.StatusOK, "live", page{Title: "Harbour clock"})
}

// liveEvents sends the time each second, as server-sent events, until the session ends:
// by its limits, by its user, by an administrator, by a webhook, on whichever instance.
// Access is checked when a request begins; an answer that goes on has to follow it.
func (a *app) liveEvents(w http.ResponseWriter, r *http.Request) {
	ctx, stop := session.Follow(r.Context())
	defer stop()
	out := http.NewResponseController(w)
	out.SetReadDeadline(time.Time{}) // or the ReadTimeout of the server would end the request
	w.Header().Set("Content-Type", "text/event-stream")
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		if sendEvent(w, "time", time.Now().UTC().Format("15:04:05")) != nil {
			return // the visitor has left
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			if why := endOf(ctx); why != "" {
				sendEvent(w, "ended", why)
			}
			return
		case <-a.stopping:
			return // the session lives: the browser connects again, to another instance perhaps
		}
	}
}

// endOf says for the page what has become of the session, or "" if nothing has.
func endOf(ctx context.Context) string {
	cause := context.Cause(ctx)
	switch {
	case errors.Is(cause, session.ErrRevoked):
		return "You were signed out."
	case errors.Is(cause, session.ErrExpired):
		return "Your session has expired."
	}
	return ""
}

// sendEvent waits some seconds for a visitor who does not read, and not for ever.
func sendEvent(w http.ResponseWriter, event, data string) error {
	out := http.NewResponseController(w)
	out.SetWriteDeadline(time.Now().Add(5 * time.Second))
	if _, err := fmt.Fprintf(w, "event: %s\ndata: %s\n\n", event, data); err != nil {
		return err
	}
	return out.Flush()
}
