package middleware

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/idxauth/idxauth/idx"
)

const (
	defaultAPIRate = 50

	maxExchanging = 64              // callbacks that ask the API at the same time
	maxCallbacks  = 1024            // those and the ones that wait for them
	maxBrakeWait  = 3 * time.Second // a page that says "busy" is better than none
	maxComeBack   = time.Minute     // the longest that anybody is told to stay away
)

// brake bounds what this process asks of the API, whose rate is limited for the whole
// tenant, and how many visitors wait for it. Logins may use three quarters of the rate:
// anybody can begin one, and the sessions of those who have done so must not suffer.
type brake struct {
	calls     *rate.Limiter // all of them
	logins    *rate.Limiter // those of logins
	comeBack  *rate.Limiter // gives those who are sent away a time at which there is a place
	callbacks chan struct{}
	exchanges chan struct{}

	// What logins ask can be down alone, and what re-reads ask.
	quietLogins, quietRereads quiet
}

// newBrake allows so many calls a second, any number if that is negative.
func newBrake(perSecond float64) *brake {
	limiter := func(share float64) *rate.Limiter {
		if perSecond < 0 {
			return rate.NewLimiter(rate.Inf, 0)
		}
		// A burst of two seconds' worth, and at least one login.
		return rate.NewLimiter(rate.Limit(perSecond*share), max(2, int(2*perSecond*share)))
	}
	return &brake{
		calls:     limiter(1),
		logins:    limiter(0.75),
		comeBack:  limiter(0.75),
		callbacks: make(chan struct{}, maxCallbacks),
		exchanges: make(chan struct{}, maxExchanging),
	}
}

// login waits until a login may make so many calls, and returns the function to be
// called when they are made. The error says that there are too many.
func (b *brake) login(ctx context.Context, calls int) (done func(), err error) {
	if err := b.quietLogins.check(); err != nil {
		return nil, err
	}
	select {
	case b.callbacks <- struct{}{}:
	default:
		return nil, b.sendAway(calls, errors.New("too many callbacks at the same time"))
	}
	leave := func() { <-b.callbacks }
	ctx, cancel := context.WithTimeout(ctx, maxBrakeWait)
	defer cancel()
	if err := b.logins.WaitN(ctx, calls); err != nil {
		leave()
		return nil, b.sendAway(calls, err)
	}
	select {
	case b.exchanges <- struct{}{}:
	case <-ctx.Done():
		leave()
		return nil, b.sendAway(calls, ctx.Err())
	}
	b.calls.ReserveN(time.Now(), calls) // does not wait: re-reads do, if need be
	return func() { <-b.exchanges; leave() }, nil
}

// reread waits until an account may be read again.
func (b *brake) reread(ctx context.Context) error {
	if err := b.quietRereads.check(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, maxBrakeWait)
	defer cancel()
	if err := b.calls.Wait(ctx); err != nil {
		return tooBusy(err, 0)
	}
	return nil
}

// quiet is a time in which the provider itself is not asked: nobody waits for a turn then,
// and no turn is used up.
type quiet struct {
	until atomic.Pointer[time.Time]
}

// note hears how a call has ended. A verdict about a token or an account is an answer, if it
// came from the API: a token of no form is never sent.
func (q *quiet) note(err error) {
	apiErr, isAnswer := errors.AsType[*idx.APIError](err)
	isVerdict := isAnswer && (errors.Is(apiErr, idx.ErrTokenInvalid) || errors.Is(apiErr, idx.ErrAccountDenied))
	if left := retryAfter(err); left > 0 {
		until := time.Now().Add(left)
		q.until.Store(&until)
	} else if (err == nil || isVerdict) && q.until.Load() != nil {
		q.until.Store(nil)
	}
}

func (q *quiet) check() error {
	until := q.until.Load()
	if until == nil {
		return nil
	}
	if left := time.Until(*until); left > 0 {
		return &refusal{reason: ProviderDown, err: errNotAsked, retry: left}
	}
	return nil
}

var errNotAsked = errors.New("not asked: it has failed, or asked for quiet, a moment ago")

// wasNotAsked reports whether err is that of a call which this process, or its client of
// the API, did not make. It says nothing new, and costs nothing to try again.
func wasNotAsked(err error) bool {
	if _, isAnswer := errors.AsType[*idx.APIError](err); isAnswer {
		return false
	}
	return errors.Is(err, errNotAsked) || idx.RetryAfter(err) > 0
}

// sendAway refuses a login and says when its turn would be, were all those who have been
// sent away to come back as they were told.
func (b *brake) sendAway(calls int, err error) error {
	turn := b.comeBack.ReserveN(time.Now(), calls)
	wait := turn.Delay()
	if wait > maxComeBack {
		turn.Cancel()
		wait = maxComeBack
	}
	return tooBusy(err, wait)
}

func tooBusy(err error, wait time.Duration) error {
	// Not all at the same moment.
	spread := time.Duration(time.Now().UnixNano() % int64(5*time.Second))
	return &refusal{reason: TooBusy, err: err, retry: max(wait, 2*time.Second) + spread}
}
