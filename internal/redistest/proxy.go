package redistest

import (
	"io"
	"net"
	"sync"
	"testing"
)

// Proxy is a way to a server that can fail in the middle: connections through it
// stay open, and nothing arrives any more.
type Proxy struct {
	Addr string // host:port

	mu   sync.Mutex
	gone chan struct{} // closed by Cut
	all  []net.Conn
}

// NewProxy opens a way to the server at addr.
func NewProxy(t testing.TB, addr string) *Proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	p := &Proxy{Addr: l.Addr().String(), gone: make(chan struct{})}
	var pumps sync.WaitGroup
	pumps.Go(func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", addr)
			if err != nil {
				in.Close()
				continue
			}
			p.mu.Lock()
			p.all = append(p.all, in, out)
			p.mu.Unlock()
			pumps.Go(func() { p.pump(in, out) })
			pumps.Go(func() { p.pump(out, in) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		p.mu.Lock()
		for _, c := range p.all {
			c.Close()
		}
		p.mu.Unlock()
		pumps.Wait()
	})
	return p
}

// Cut lets nothing through from now on, in either direction. New connections are
// accepted, and get no answer.
func (p *Proxy) Cut() { close(p.gone) }

// pump copies until one end is closed. After Cut it goes on reading, so that nobody
// notices, and forgets what it reads.
func (p *Proxy) pump(to, from net.Conn) {
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		select {
		case <-p.gone:
			io.Copy(io.Discard, from)
			return
		default:
		}
		if err == nil {
			_, err = to.Write(buffer[:n])
		}
		if err != nil {
			to.Close()
			from.Close()
			return
		}
	}
}
