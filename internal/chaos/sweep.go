package main

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/idxauth/idxauth/idx"
)

// sweep goes through the ledger when nobody is at work: who was promised to be signed in
// is, at each instance, and who was promised to be out is out.
func (w *world) sweep(ctx context.Context) {
	for _, p := range w.ledger.live() {
		switch p.doubt {
		case none:
			for n := range w.instances {
				w.replay(ctx, p.token, n)
			}
		case loggingOut, beingBlocked:
			w.expectOver(ctx, p)
		default: // the user does not know either, and tries
			// If nobody can say at the moment, it stays in doubt.
			if a := w.replay(ctx, p.token, either); a.status == http.StatusOK || a.isStranger() {
				w.ledger.resolve(p.token, a.status == http.StatusOK)
			}
		}
	}
	for _, p := range w.ledger.past(200) {
		for n := range w.instances {
			w.replay(ctx, p.token, n)
		}
	}
	for _, key := range w.redis.immortals(ctx) {
		w.report(violation{kind: immortal, text: key})
	}
}

// expectOver waits for the end of a session that the application has promised to end, as
// soon as it can. A webhook that never arrived is sent again, and a logout of which
// nobody heard is repeated.
func (w *world) expectOver(ctx context.Context, p promise) {
	isOver := func() bool {
		for n := range w.instances {
			if !w.replay(ctx, p.token, n).isStranger() {
				return false
			}
		}
		return true
	}
	err := until(ctx, 5*time.Second, "the session has ended", isOver)
	losesData := w.terms.Load().losesData
	if err != nil && losesData {
		w.report(violation{kind: byRedisBack, text: fmt.Sprintf("the session of %s, %s", user(p.user), p.doubt)})
	}
	if err != nil && (w.tally.lostPromises() || losesData) {
		// Whoever has promised it is no more, or Redis has forgotten that it was done.
		if p.doubt == beingBlocked {
			w.hub.SendWebhook(idx.EventBlockAccount, email(p.user))
			w.hub.WaitWebhooks()
		} else {
			w.exchange(ctx, nil, either, w.stolen(p.token), http.MethodPost, w.base.JoinPath("/auth/logout"), nil, "text/html")
		}
		err = until(ctx, 5*time.Second, "the session has ended", isOver)
	}
	if err != nil {
		w.report(violation{kind: notRevoked, text: fmt.Sprintf("%s, %s", user(p.user), p.doubt)})
	}
	w.ledger.over(p.token)
}
