package idxtest

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"sync"
	"time"
)

const (
	// webhookTimeout bounds the time that a receiver has.
	webhookTimeout = 5 * time.Second

	// maxPendingWebhooks bounds what waits for a slow receiver. What comes on top is
	// lost, as it may be at LoginRadius.
	maxPendingWebhooks = 1000
)

// delivery is a webhook on its way.
type delivery struct {
	url       string
	transport http.RoundTripper // nil: the queue's own
	body      []byte
	signature string
	hook      Webhook
}

// webhookQueue delivers webhooks one after the other, each once. It has a goroutine
// only while there is something to deliver.
type webhookQueue struct {
	transport *http.Transport

	mu      sync.Mutex
	pending []delivery
	held    *delivery // by WebhookSwapped
	log     []*Webhook
	closed  bool

	// Of the goroutine; nil if there is none. They are made together with it, so that
	// they belong to the [testing/synctest] bubble to which it belongs.
	cancel context.CancelFunc
	done   chan struct{} // closed when it ends
}

func newWebhookQueue() *webhookQueue {
	// A connection that is kept would outlive the receiver's test.
	return &webhookQueue{transport: &http.Transport{DisableKeepAlives: true}}
}

func (q *webhookQueue) send(d delivery, fault WebhookFault) {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case fault == WebhookLost:
		return
	case fault == WebhookSwapped && q.held == nil:
		q.held = &d
		return
	}
	q.push(d)
	if fault == WebhookTwice {
		q.push(d)
	}
	q.release()
}

// release lets go of the webhook that is held back.
func (q *webhookQueue) release() {
	if q.held != nil {
		q.push(*q.held)
		q.held = nil
	}
}

func (q *webhookQueue) push(d delivery) {
	if q.closed || len(q.pending) >= maxPendingWebhooks {
		return
	}
	q.pending = append(q.pending, d)
	if q.done == nil {
		ctx, cancel := context.WithCancel(context.Background())
		q.cancel, q.done = cancel, make(chan struct{})
		go q.run(ctx)
	}
}

// run delivers until nothing is left.
func (q *webhookQueue) run(ctx context.Context) {
	for {
		d, ok := q.next()
		if !ok {
			return
		}
		d.hook.Status = q.deliver(ctx, d)
		q.mu.Lock()
		q.log = appendLogged(q.log, &d.hook)
		q.mu.Unlock()
	}
}

func (q *webhookQueue) next() (d delivery, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.pending) == 0 {
		q.cancel()
		close(q.done)
		q.cancel, q.done = nil, nil
		return delivery{}, false
	}
	d = q.pending[0]
	q.pending = q.pending[1:]
	return d, true
}

// deliver returns the status of the answer, or 0 if there was none.
func (q *webhookQueue) deliver(ctx context.Context, d delivery) int {
	ctx, cancel := context.WithTimeout(ctx, webhookTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, d.url, bytes.NewReader(d.body))
	if err != nil {
		return 0
	}
	req.Header.Set("Content-Type", "application/json; charset=utf-8")
	req.Header.Set("Signature", d.signature)
	transport := d.transport
	if transport == nil {
		transport = q.transport
	}
	// Not a client: it would follow redirects.
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10))
	return resp.StatusCode
}

func (q *webhookQueue) wait() []Webhook {
	q.mu.Lock()
	q.release()
	done := q.done
	q.mu.Unlock()
	if done != nil {
		<-done
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	all := make([]Webhook, len(q.log))
	for i, hook := range q.log {
		all[i] = *hook
	}
	return all
}

// close ends the delivery under way, drops what is pending, and waits.
func (q *webhookQueue) close() {
	q.mu.Lock()
	q.closed, q.pending, q.held = true, nil, nil
	done := q.done
	if done != nil {
		q.cancel()
	}
	q.mu.Unlock()
	if done != nil {
		<-done
	}
}
