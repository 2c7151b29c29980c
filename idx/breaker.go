package idx

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/sony/gobreaker/v2"
)

const (
	// breakAfter failures in a row, or half of at least breakOf calls, within breakWindow
	// stop the calls for breakFor; then one call tries whether the API is back. The
	// window is long enough for a few calls, one after the other, of an API that hangs.
	breakAfter  = 5
	breakOf     = 20
	breakWindow = time.Minute
	breakFor    = 2 * time.Second

	// longWait is longer than answers take: a deadline that has come after that says
	// something about the API.
	longWait = 1500 * time.Millisecond

	// trialPause is when to come back while that call is under way.
	trialPause = 500 * time.Millisecond

	// maxHold is the longest Retry-After that stops all calls. What asks for more is
	// asked again after that, and can ask for quiet again.
	maxHold = time.Minute
)

// breaker stands in front of an API that fails: calls that would only wait for their
// timeout fail at once. What the API says about a token, an account or the settings is
// an answer like any other, and what concerns one call alone says nothing about the API:
// neither may stop the logins of everybody else.
type breaker struct {
	circuit *gobreaker.TwoStepCircuitBreaker[struct{}]
	started time.Time
	held    atomic.Int64 // until when the API has asked for quiet, as time since started
	opened  atomic.Int64 // when calls were last stopped, likewise
}

func newBreaker() *breaker {
	b := &breaker{started: time.Now()}
	b.circuit = gobreaker.NewTwoStepCircuitBreaker[struct{}](gobreaker.Settings{
		Interval:     breakWindow,
		BucketPeriod: breakWindow / 10,
		Timeout:      breakFor,
		ReadyToTrip: func(c gobreaker.Counts) bool {
			return c.ConsecutiveFailures >= breakAfter || c.Requests >= breakOf && 2*c.TotalFailures >= c.Requests
		},
		IsSuccessful: func(err error) bool { return !isFailure(err) },
		IsExcluded:   func(err error) bool { return errors.Is(err, errOneCall) },
		OnStateChange: func(_ string, _, to gobreaker.State) {
			if to == gobreaker.StateOpen {
				b.opened.Store(int64(time.Since(b.started)))
			}
		},
	})
	return b
}

// errOneCall is the outcome of calls that say nothing about the API: the caller gave up
// early, or the answer was longer than anything that is read.
var errOneCall = errors.New("of no meaning for other calls")

// outcome is what a call that has failed with err after so long says about the API.
func outcome(ctx context.Context, err error, took time.Duration) error {
	gaveUp := ctx.Err() != nil && (took < longWait || errors.Is(ctx.Err(), context.Canceled))
	if err != nil && (gaveUp || errors.Is(err, errTooLong)) {
		return errOneCall
	}
	return err
}

// isFailure reports whether err is the fault of an API that is down, overloaded or not
// the API at all. A 403 without a verdict is not: firewalls answer so, at once, to a
// single token that they do not like, and tokens come from strangers.
func isFailure(err error) bool {
	if apiErr, ok := errors.AsType[*APIError](err); ok {
		return errors.Is(err, ErrUnavailable) && (apiErr.Status >= 500 || apiErr.Status == 429)
	}
	return errors.Is(err, ErrUnavailable)
}

// allow returns the function that is to be told the call's outcome, or an error if the
// call shall not be made.
func (b *breaker) allow() (done func(error), err error) {
	if err := b.quiet(); err != nil {
		return nil, err
	}
	report, err := b.circuit.Allow()
	if err != nil {
		return nil, b.openError()
	}
	return report, nil
}

// check is allow for a call aside, which tells nobody how it went and takes nobody's turn.
func (b *breaker) check() error {
	if err := b.quiet(); err != nil {
		return err
	}
	if b.circuit.State() != gobreaker.StateClosed {
		return b.openError()
	}
	return nil
}

func (b *breaker) quiet() error {
	if left := time.Duration(b.held.Load()) - time.Since(b.started); left > 0 {
		return &brokenError{text: "the API has asked for quiet", retry: left}
	}
	return nil
}

func (b *breaker) openError() error {
	left := breakFor - (time.Since(b.started) - time.Duration(b.opened.Load()))
	return &brokenError{text: "the API has failed too often", retry: max(left, trialPause)}
}

// breakerOf returns the one for calls like req. The management API can be down for
// itself: then nothing keeps visitors from logging in.
func (a *app) breakerOf(req request) *breaker {
	if req.management {
		return a.management
	}
	return a.users
}

// hold notes how long the API wants no calls like req, after an attempt that has failed
// with err. Rates are limited for the application as a whole.
func (a *app) hold(req request, err error) {
	apiErr, ok := errors.AsType[*APIError](err)
	if !ok || apiErr.RetryAfter <= 0 || !isFailure(err) {
		return
	}
	if apiErr.Status == http.StatusTooManyRequests {
		a.users.hold(apiErr.RetryAfter)
		a.management.hold(apiErr.RetryAfter)
		return
	}
	if req.aside {
		return // the API may be well but for this
	}
	a.breakerOf(req).hold(apiErr.RetryAfter)
}

func (b *breaker) hold(d time.Duration) {
	until := int64(time.Since(b.started) + min(d, maxHold))
	for {
		old := b.held.Load()
		if old >= until || b.held.CompareAndSwap(old, until) {
			return
		}
	}
}

// brokenError is a call that was not made, to spare the API and whoever would wait.
type brokenError struct {
	text  string
	retry time.Duration
}

func (e *brokenError) Error() string {
	return fmt.Sprintf("%v: not asked: %s", ErrUnavailable, e.text)
}

func (e *brokenError) Is(target error) bool { return target == ErrUnavailable }

// RetryAfter returns when the call that failed with err is worth another try: what the
// API has asked for, or how long this client keeps from asking an API that fails. It is
// 0 if nothing is known.
func RetryAfter(err error) time.Duration {
	if apiErr, ok := errors.AsType[*APIError](err); ok {
		return apiErr.RetryAfter
	}
	if broken, ok := errors.AsType[*brokenError](err); ok {
		return broken.retry
	}
	return 0
}
