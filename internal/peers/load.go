package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/idxauth/idxauth/internal/peers/site"
)

// load asks for pages in a closed loop: each connection sends its next request when
// it has the answer to the last one. It is written on bare connections, because a
// client of package http costs more than some of the servers it would measure.
type load struct {
	address  string
	requests [][]byte // sent in turn, over all connections
	names    [][]byte // what the answer to each must contain

	next      atomic.Int64
	answered  atomic.Int64
	measuring atomic.Bool
	stop      atomic.Bool
}

func newLoad(c contender, address string, cookies []string) *load {
	l := &load{address: address}
	for n, cookie := range cookies {
		l.requests = append(l.requests, fmt.Appendf(nil, "GET /page HTTP/1.1\r\n"+
			"Host: %s\r\n"+
			"User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n"+
			"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n"+
			"Cookie: %s\r\n\r\n", address, browserCookies(cookie)))
		l.names = append(l.names, []byte(site.Name(c.userOf(n))))
	}
	return l
}

// userOf returns whom the page greets that is asked for with the n-th cookie.
func (c contender) userOf(n int) int {
	if c.anonymous {
		return 0
	}
	return n
}

func greets(body string, n int) bool { return strings.Contains(body, site.Name(n)) }

// browserCookies puts the session cookie between two others, as analytics and the
// like leave them.
func browserCookies(session string) string {
	cookies := []string{"_ga=GA1.1.1234567890.1700000000", session, "theme=dark"}
	if session == "" {
		cookies = []string{cookies[0], cookies[2]}
	}
	return strings.Join(cookies, "; ")
}

// run loads the server over so many connections for warmUp, and then until measure
// returns. It returns how long each answer took that came while it measured.
func (l *load) run(connections int, warmUp time.Duration, measure func() error) ([]time.Duration, error) {
	ctx, cancel := context.WithTimeout(context.Background(), warmUp)
	defer cancel()
	l.measuring.Store(false)
	l.stop.Store(false)

	var group sync.WaitGroup
	var mu sync.Mutex
	var all []time.Duration
	var errs []error
	for range connections {
		group.Go(func() {
			took, err := l.connection()
			mu.Lock()
			defer mu.Unlock()
			all = append(all, took...)
			if err != nil {
				errs = append(errs, err)
				l.stop.Store(true)
			}
		})
	}
	<-ctx.Done() // warm
	l.measuring.Store(true)
	err := measure()
	l.measuring.Store(false)
	l.stop.Store(true)
	group.Wait()
	if len(errs) > 0 {
		return nil, fmt.Errorf("%d of %d connections failed, one of them: %w", len(errs), connections, errs[0])
	}
	return all, err
}

// connection asks over one connection until the load stops.
func (l *load) connection() ([]time.Duration, error) {
	conn, err := net.DialTimeout("tcp", l.address, 10*time.Second)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	// Longer than any measurement: only a server that hangs gets there.
	if err := conn.SetDeadline(time.Now().Add(3 * time.Minute)); err != nil {
		return nil, err
	}
	var took []time.Duration
	buf := make([]byte, 8<<10)
	for !l.stop.Load() {
		n := int(l.next.Add(1)) % len(l.requests)
		start := time.Now()
		if _, err := conn.Write(l.requests[n]); err != nil {
			return nil, err
		}
		body, err := readAnswer(conn, buf)
		if err != nil {
			return nil, err
		}
		if !bytes.Contains(body, l.names[n]) {
			return nil, fmt.Errorf("not the page of %s: %s", l.names[n], body)
		}
		if l.measuring.Load() {
			took = append(took, time.Since(start))
		}
		l.answered.Add(1)
	}
	return took, nil
}

var (
	statusOK      = []byte("HTTP/1.1 200 ")
	headerEnd     = []byte("\r\n\r\n")
	contentLength = []byte("\r\nContent-Length: ")
)

// readAnswer reads one answer into buf and returns its body. It understands what the
// contenders send: status 200 and a body of known length.
func readAnswer(conn net.Conn, buf []byte) ([]byte, error) {
	have, bodyAt, end := 0, -1, 0
	for bodyAt < 0 || have < end {
		if have == len(buf) {
			return nil, errors.New("an answer longer than 8 KB")
		}
		n, err := conn.Read(buf[have:])
		if err != nil {
			return nil, err
		}
		have += n
		if bodyAt >= 0 {
			continue
		}
		header := bytes.Index(buf[:have], headerEnd)
		if header < 0 {
			continue
		}
		if !bytes.HasPrefix(buf, statusOK) {
			return nil, fmt.Errorf("an answer other than 200: %s", buf[:have])
		}
		_, rest, found := bytes.Cut(buf[:header], contentLength)
		if !found {
			return nil, fmt.Errorf("an answer of unknown length: %s", buf[:have])
		}
		digits, _, _ := bytes.Cut(rest, headerEnd[:2])
		length, err := strconv.Atoi(string(digits))
		if err != nil {
			return nil, err
		}
		bodyAt = header + len(headerEnd)
		end = bodyAt + length
	}
	return buf[bodyAt:end], nil
}
