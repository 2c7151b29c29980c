package redistest

import (
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Proxy is a way to a server that can fail in the middle, be slow, or lead elsewhere.
type Proxy struct {
	Addr string // host:port

	delay atomic.Int64 // of what comes from the server

	mu     sync.Mutex
	mended chan struct{} // closed by Mend, and at the end; nil unless cut
	to     string
	all    map[net.Conn]bool
}

// NewProxy opens a way to the server at addr.
func NewProxy(t testing.TB, addr string) *Proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	p := &Proxy{Addr: l.Addr().String(), to: addr, all: make(map[net.Conn]bool)}
	var pumps sync.WaitGroup
	pumps.Go(func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", p.target())
			if err != nil {
				in.Close()
				continue
			}
			p.keep(in, out)
			pumps.Go(func() { p.pump(in, out, &p.delay) })
			pumps.Go(func() { p.pump(out, in, new(atomic.Int64)) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		p.Mend()
		p.drop()
		pumps.Wait()
	})
	return p
}

// SetDelay lets all that the server sends arrive later by d.
func (p *Proxy) SetDelay(d time.Duration) { p.delay.Store(int64(d)) }

// Switch leads to the server at addr from now on, and closes the connections to the
// old one.
func (p *Proxy) Switch(addr string) {
	p.mu.Lock()
	p.to = addr
	p.mu.Unlock()
	p.drop()
}

func (p *Proxy) target() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.to
}

func (p *Proxy) keep(conns ...net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range conns {
		p.all[c] = true
	}
}

func (p *Proxy) drop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.all {
		c.Close()
	}
	clear(p.all)
}

// Cut lets nothing through from now on, in either direction: connections stay, new ones
// are accepted, and none gets an answer.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mended == nil {
		p.mended = make(chan struct{})
	}
}

// Mend ends [Proxy.Cut]. What was sent meanwhile arrives now, as it does after a
// partition: TCP has kept it.
func (p *Proxy) Mend() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mended != nil {
		close(p.mended)
		p.mended = nil
	}
}

// waitMended returns when the proxy is not cut.
func (p *Proxy) waitMended() {
	for {
		p.mu.Lock()
		mended := p.mended
		p.mu.Unlock()
		if mended == nil {
			return
		}
		<-mended
	}
}

// pump copies until one end is closed. While the proxy is cut it notices nothing, that
// included.
func (p *Proxy) pump(to, from net.Conn, delay *atomic.Int64) {
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		time.Sleep(time.Duration(delay.Load()))
		p.waitMended()
		if n > 0 {
			if _, errWrite := to.Write(buffer[:n]); errWrite != nil {
				err = errWrite
			}
		}
		if err != nil {
			to.Close()
			from.Close()
			p.mu.Lock()
			delete(p.all, from)
			p.mu.Unlock()
			return
		}
	}
}
