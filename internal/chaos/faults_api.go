package main

import (
	"context"
	"errors"
	"time"

	"github.com/idxauth/idxauth/idx/idxtest"
)

const noLogins = "all pages; 503 for logins"

var apiFaults = []*fault{
	apiFault("API slow by 3 s", noLogins, idxtest.Fault{Kind: idxtest.SlowHeaders, Delay: 3 * time.Second}),
	apiFault("API: 429 with Retry-After", noLogins, idxtest.Fault{Kind: idxtest.RateLimitJSON, RetryAfter: 2 * time.Second}),
	apiFault("API: 429 without Retry-After", noLogins, idxtest.Fault{Kind: idxtest.RateLimitText}),
	apiFault("API: 500", noLogins, idxtest.Fault{Kind: idxtest.ServerError}),
	apiFault("API: 502 with HTML", noLogins, idxtest.Fault{Kind: idxtest.BadGateway}),
	apiFault("API: truncated", noLogins, idxtest.Fault{Kind: idxtest.Truncated}),
	apiFault("API: oversized", noLogins, idxtest.Fault{Kind: idxtest.Oversized}),
	apiFault("API: connections reset", noLogins, idxtest.Fault{Kind: idxtest.Reset}),
	apiRefuses(),
	apiFault("API: redirects elsewhere", noLogins, idxtest.Fault{Kind: idxtest.Redirect}),
	apiFault("API: wrong content type", "nothing", idxtest.Fault{Kind: idxtest.WrongContentType}),
}

// apiFault makes one during which all accounts are due to be read again.
func apiFault(name, sees string, f idxtest.Fault) *fault {
	return &fault{
		name: name, on: onOne, sees: sees, brief: f.Kind == idxtest.ServerError,
		terms: terms{view: time.Second, login: 10 * time.Second, lag: time.Second, refused: logins}, ready: isReady,
		begin: func(ctx context.Context, w *world) error {
			w.still.Lock()
			defer w.still.Unlock()
			w.hub.SetFault(f)
			return w.jump(ctx, 6*time.Minute)
		},
		end:   do(func(w *world) { w.hub.ClearFault() }),
		after: rereadAll,
	}
}

// apiRefuses makes one during which nothing listens at the API's address. That costs a
// login no time.
func apiRefuses() *fault {
	f := apiFault("API: connections refused", noLogins, idxtest.Fault{})
	f.login = 2 * time.Second
	f.begin = func(ctx context.Context, w *world) error {
		w.still.Lock()
		defer w.still.Unlock()
		w.api.close()
		return w.jump(ctx, 6*time.Minute)
	}
	f.end = func(ctx context.Context, w *world) error {
		var err error
		return errors.Join(until(ctx, 5*time.Second, "the API listens again", func() bool {
			err = w.api.open()
			return err == nil
		}), err)
	}
	return f
}

// rereadAll lets enough time go by for all accounts to be tried again, so that the next
// outage is one of its own: StaleFor counts from the first of those without a success
// between them.
func rereadAll(ctx context.Context, w *world) error { return w.passTime(ctx, 6*time.Minute) }
