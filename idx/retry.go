package idx

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"
)

const (
	maxRetries = 2

	// firstPause is the mean pause before the first retry; it doubles for the next.
	firstPause = 100 * time.Millisecond

	// maxPause is the longest Retry-After that is waited for. A visitor waits with
	// us, and gets an answer sooner from whoever handles the error.
	maxPause = 10 * time.Second
)

// retryPause reports whether a call that has failed with err should be made
// again, and after what pause. attempt counts from 0.
func retryPause(err error, attempt int) (time.Duration, bool) {
	if attempt >= maxRetries {
		return 0, false
	}
	pause := jitter(firstPause << attempt)
	if apiErr, ok := errors.AsType[*APIError](err); ok {
		// Never sooner than asked, and not all clients at the same moment.
		if apiErr.RetryAfter > 0 {
			pause += apiErr.RetryAfter
		}
		return pause, apiErr.isTemporary() && apiErr.RetryAfter <= maxPause
	}
	_, lost := errors.AsType[*connError](err)
	return pause, lost
}

// isTemporary reports whether the same call may soon succeed. A body with a
// verdict about token, account or application outweighs the status.
func (e *APIError) isTemporary() bool {
	switch e.Status {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return errors.Is(e, ErrUnavailable)
	}
	return false
}

// jitter returns a random duration between half of d and one and a half.
func jitter(d time.Duration) time.Duration { return d/2 + rand.N(d) }

// fits reports whether ctx will outlive pause.
func fits(ctx context.Context, pause time.Duration) bool {
	deadline, ok := ctx.Deadline()
	return !ok || time.Until(deadline) > pause
}

// sleep waits for d and reports false if ctx ends first.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// retryBudget keeps retries to a tenth of the calls, with a reserve for a short
// trouble. Without it, every outage of the API would triple the load on it.
type retryBudget struct {
	mu    sync.Mutex
	coins int
}

const (
	coinsPerCall  = 1
	coinsPerRetry = 10
	maxCoins      = 10 * coinsPerRetry
)

func newRetryBudget() *retryBudget { return &retryBudget{coins: maxCoins} }

// earn counts a call.
func (b *retryBudget) earn() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.coins = min(b.coins+coinsPerCall, maxCoins)
}

// spend pays for a retry, if the budget allows one.
func (b *retryBudget) spend() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.coins < coinsPerRetry {
		return false
	}
	b.coins -= coinsPerRetry
	return true
}
