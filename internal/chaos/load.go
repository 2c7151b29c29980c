package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/idxauth/idxauth/idx"
	"github.com/idxauth/idxauth/idx/idxtest"
)

// load is everybody at work, until stop is called.
type load struct {
	cancel context.CancelFunc
	all    sync.WaitGroup
}

func (w *world) startLoad(ctx context.Context) *load {
	ctx, cancel := context.WithCancel(ctx)
	l := &load{cancel: cancel}
	for _, b := range w.browsers {
		l.all.Go(func() { b.live(ctx, w.random(b.user)) })
	}
	l.all.Go(func() { w.operate(ctx, w.random(admin)) })
	for n := range w.instances {
		l.all.Go(func() { w.watch(ctx, n) })
	}
	l.all.Go(func() { w.witness(ctx) })
	l.all.Go(func() { w.feel(ctx) })
	return l
}

// stop lets everybody finish what he has begun.
func (l *load) stop() {
	l.cancel()
	l.all.Wait()
}

func (w *world) loadFor(ctx context.Context, d time.Duration) {
	l := w.startLoad(ctx)
	pause(ctx, d)
	l.stop()
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// live is what a visitor does: log in, look around, keep notes, log out, again.
func (b *browser) live(ctx context.Context, random *rand.Rand) {
	for step := 0; ctx.Err() == nil; step++ {
		b.world.still.RLock()
		b.act(context.WithoutCancel(ctx), random)
		b.world.still.RUnlock()
		pause(ctx, time.Duration(30+random.IntN(80))*time.Millisecond)
	}
}

// comeBack is what somebody does whose session was ended: three in a minute are a loop to
// the application. Here people lose more, and come back with another device.
func (b *browser) comeBack() {
	if b.world.ledger.wasEnded(b.token()) {
		b.jar = newJar()
	}
}

func (b *browser) act(ctx context.Context, random *rand.Rand) {
	b.comeBack()
	if !b.world.ledger.isLive(b.token()) {
		switch random.IntN(4) {
		case 0:
			b.get(ctx, "/api/me") // as a stranger
		case 1:
			b.get(ctx, "/")
		default:
			b.visit(ctx, "/dashboard/came/from/here")
		}
		return
	}
	n := random.IntN(100)
	if n >= 96 && !b.world.terms.Load().calm && random.IntN(2) > 0 {
		n = 0 // or nobody would be left after an outage of some seconds
	}
	switch {
	case n < 50:
		b.visit(ctx, "/dashboard")
	case n < 75:
		b.get(ctx, "/api/me")
	case n < 87:
		b.get(ctx, "/")
	case n < 96:
		b.keep(ctx, fmt.Sprintf("note %d", random.IntN(1e9)))
	default:
		token, _ := b.logout(ctx)
		for n := range b.world.instances {
			b.world.replayIfUp(ctx, token, n)
		}
	}
}

// replayIfUp tries an old cookie at one instance.
func (w *world) replayIfUp(ctx context.Context, token string, n int) {
	if token != "" && !w.instances[n].down.Load() {
		w.replay(ctx, token, n)
	}
}

// operate is what an operator does: block accounts and let them in again, end sessions,
// and try whether cookies of old work again.
func (w *world) operate(ctx context.Context, random *rand.Rand) {
	for step := 0; ctx.Err() == nil; step++ {
		do := context.WithoutCancel(ctx)
		victim := visitors - step%victims
		w.still.RLock()
		switch step % 3 {
		case 0:
			w.block(victim)
		case 1:
			w.endSessions(do, victim)
		}
		for _, p := range w.ledger.past(20) {
			w.replayIfUp(do, p.token, random.IntN(len(w.instances)))
		}
		w.still.RUnlock()
		pause(ctx, 200*time.Millisecond)
		if step%3 == 0 {
			w.hub.UpdateUser(email(victim), func(u *idxtest.User) { u.Blocked = false })
			w.ledger.block(victim)
		}
	}
}

// block blocks an account, which a webhook tells the application.
func (w *world) block(n int) {
	confirmed := w.ledger.endUser(n, beingBlocked)
	w.ledger.block(n)
	w.hub.UpdateUser(email(n), func(u *idxtest.User) { u.Blocked = true })
	if w.lastWebhook(n) == http.StatusOK || w.lastWebhook(n) == http.StatusNoContent {
		confirmed()
	}
}

// lastWebhook returns how the application answered the last webhook that blocks a user.
func (w *world) lastWebhook(n int) (status int) {
	for _, hook := range w.hub.WaitWebhooks() {
		if hook.UID == user(n) && hook.Event == idx.EventBlockAccount {
			status = hook.Status
		}
	}
	return status
}

// endSessions ends somebody's sessions on the admin page.
func (w *world) endSessions(ctx context.Context, n int) {
	w.operator.comeBack()
	if !w.ledger.isLive(w.operator.token()) {
		w.operator.visit(ctx, "/dashboard")
	}
	confirmed := w.ledger.endUser(n, beingEnded)
	a := w.operator.exchange(ctx, http.MethodPost, w.base.JoinPath("/admin/end"), url.Values{"uid": {user(n)}}, "text/html")
	if a.err == nil && a.status == http.StatusSeeOther {
		confirmed()
	}
}
