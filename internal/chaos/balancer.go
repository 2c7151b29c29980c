package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"strconv"
	"sync/atomic"
	"time"
)

// balancer stands in front of the instances, at the public address, as load balancers do:
// a request goes to either, and to the other one if the first was not there to take it.
type balancer struct {
	host      string // of the public address; nothing listens there
	instances []*instance
	ways      []*http.Transport // to the instances
	elsewhere *http.Transport   // to the hosted page
	turn      atomic.Uint64
	retried   atomic.Int64 // requests that an instance did not take
	patience  atomic.Int64 // how long it waits for an answer; 0: as long as the visitor does

	resting []atomic.Int64 // until when an instance is left alone, as it did not answer
}

// errHung is the end of a request that the balancer waits for no longer.
var errHung = errors.New("the balancer has given up")

// rest is how long the balancer leaves an instance alone that did not answer.
const rest = time.Second

// soon is within what a request notices that a server has closed its connection, on a busy
// machine too.
const soon = 100 * time.Millisecond

// servedBy is a header that says which instance has answered.
const servedBy = "Chaos-Instance"

// either lets the balancer choose.
const either = -1

func newBalancer(host string, instances []*instance) *balancer {
	b := &balancer{host: host, instances: instances, elsewhere: &http.Transport{MaxIdleConnsPerHost: 64}, resting: make([]atomic.Int64, len(instances))}
	for _, i := range instances {
		b.ways = append(b.ways, &http.Transport{
			MaxIdleConnsPerHost: 64,
			DisableCompression:  true,
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, "tcp", i.addr)
			},
		})
	}
	return b
}

// send sends r to the instance with the given number, or to either, or to the hosted
// page if it is meant for that.
func (b *balancer) send(r *http.Request, number int) (*http.Response, error) {
	if r.URL.Host != b.host {
		return b.elsewhere.RoundTrip(r)
	}
	if number != either {
		resp, _, err := b.try(r, number)
		return resp, err
	}
	first := b.choose()
	resp, taken, err := b.try(r, first)
	if errors.Is(err, errHung) && r.Method == http.MethodGet {
		taken = false // or it was, and balancers repeat that all the same
	}
	if err == nil || taken {
		return resp, err
	}
	b.retried.Add(1)
	if r.GetBody != nil {
		if r.Body, err = r.GetBody(); err != nil {
			return nil, err
		}
	}
	resp, _, err = b.try(r, (first+1)%len(b.instances))
	return resp, err
}

// choose takes turns between the instances that are not left alone.
func (b *balancer) choose() (number int) {
	for range b.instances {
		number = int(b.turn.Add(1) % uint64(len(b.instances)))
		if b.resting[number].Load() <= time.Now().UnixNano() {
			break
		}
	}
	return number
}

// try sends r to one instance. taken is false if that has not begun with it: it did not
// listen, or closed the connection at once, as a server does that ends.
func (b *balancer) try(r *http.Request, number int) (resp *http.Response, taken bool, err error) {
	var answered atomic.Bool
	trace := &httptrace.ClientTrace{GotFirstResponseByte: func() { answered.Store(true) }}
	began := time.Now()
	resp, err = b.await(r.WithContext(httptrace.WithClientTrace(r.Context(), trace)), number)
	if err == nil {
		resp.Header.Set(servedBy, strconv.Itoa(number))
		return resp, true, nil
	}
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "dial" {
		return nil, false, err
	}
	// A server that ends closes its idle connections, and those that it has not accepted
	// yet: a request can meet that on the way. Balancers send it elsewhere. One that was
	// being served would have taken some time: logins do, meanwhile. One that is killed may
	// have begun with anything, and what was done by halves is not to be done again: a
	// webhook that was marked as seen would have no effect.
	i := b.instances[number]
	atOnce := !answered.Load() && time.Since(began) < soon && i.down.Load() && !i.killed.Load()
	return nil, !atOnce, err
}

// await returns the answer of one instance: a whole one, if the balancer has not the
// patience to wait for ever.
func (b *balancer) await(r *http.Request, number int) (*http.Response, error) {
	patience := time.Duration(b.patience.Load())
	if patience == 0 {
		return b.ways[number].RoundTrip(r)
	}
	ctx, cancel := context.WithTimeoutCause(r.Context(), patience, errHung)
	defer cancel()
	resp, err := b.ways[number].RoundTrip(r.WithContext(ctx))
	if err == nil {
		var body []byte
		body, err = io.ReadAll(resp.Body)
		resp.Body.Close()
		resp.Body = io.NopCloser(bytes.NewReader(body))
	}
	if err != nil && context.Cause(ctx) == errHung {
		b.resting[number].Store(time.Now().Add(rest).UnixNano())
		return nil, errHung
	}
	return resp, err
}

// RoundTrip carries what the hosted page's side sends, such as webhooks.
func (b *balancer) RoundTrip(r *http.Request) (*http.Response, error) { return b.send(r, either) }

// closeIdle leaves no connection open that nobody uses.
func (b *balancer) closeIdle() {
	for _, way := range b.ways {
		way.CloseIdleConnections()
	}
	b.elsewhere.CloseIdleConnections()
}
