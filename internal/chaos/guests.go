package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
)

// guests is how many people there are whose sessions both instances know: of three, one
// logs out, one is signed out by an administrator, and one stays.
const guests = 9

// party is the guests, and the administrator.
type party struct {
	host   *browser
	guests []*browser
	tokens []string // of their sessions
}

// invite signs the guests in, and lets both instances keep their sessions in memory.
func (w *world) invite(ctx context.Context) (*party, error) {
	p := &party{host: w.newBrowser(admin)}
	p.host.instance = hearing
	if err := insist(ctx, http.StatusOK, func() *answer { return p.host.visit(ctx, "/dashboard") }); err != nil {
		return nil, err
	}
	for n := range guests {
		b := w.newBrowser(guest + n)
		for _, number := range []int{deaf, hearing} {
			b.instance = number
			if err := insist(ctx, http.StatusOK, func() *answer { return b.visit(ctx, "/dashboard") }); err != nil {
				return nil, err
			}
		}
		p.guests, p.tokens = append(p.guests, b), append(p.tokens, b.token())
	}
	return p, nil
}

// end ends the sessions of two thirds of the guests, at the instance that hears.
func (p *party) end(ctx context.Context) error {
	for n, b := range p.guests {
		w := b.world
		switch n % 3 {
		case 0:
			if _, a := b.logout(ctx); a.status == http.StatusSeeOther {
				break
			}
			// The browser has forgotten the session by now.
			at := w.base.JoinPath("/auth/logout")
			err := insist(ctx, http.StatusSeeOther, func() *answer {
				return w.exchange(ctx, nil, hearing, w.stolen(p.tokens[n]), http.MethodPost, at, nil, "text/html")
			})
			if err != nil {
				return err
			}
			w.ledger.over(p.tokens[n])
		case 1:
			confirmed := w.ledger.endUser(b.user, beingEnded)
			at, form := w.base.JoinPath("/admin/end"), url.Values{"uid": {user(b.user)}}
			err := insist(ctx, http.StatusSeeOther, func() *answer {
				return p.host.exchange(ctx, http.MethodPost, at, form, "text/html")
			})
			if err != nil {
				return err
			}
			confirmed()
		}
		if isOver := !w.ledger.isLive(p.tokens[n]); isOver != (n%3 != 2) {
			return fmt.Errorf("%s: over is %v", user(b.user), isOver)
		}
	}
	return nil
}
