// Package ports finds ports for servers that take no listener, and stop and start again.
package ports

import (
	"errors"
	"net"
	"strconv"
	"sync"
)

// Ports are taken from below those that the system gives to whoever asks for any, or
// connects to somebody: nobody is given one while its server is not running. Those begin
// at 32768 on Linux and later elsewhere; a node of a Redis cluster also listens 10000 higher.
const (
	first     = 10_000
	blockSize = 100
	blocks    = 100
)

var (
	mu        sync.Mutex
	block     = -1
	next, end int
	claims    []net.Listener // never closed
)

// Free returns a port of the loopback that nobody listens on, and that no other process
// which asks here is given.
func Free() (addr, port string, err error) {
	mu.Lock()
	defer mu.Unlock()
	for {
		if next == end && !claim() {
			return "", "", errors.New("ports: none is free")
		}
		port = strconv.Itoa(next)
		next++
		addr = net.JoinHostPort("127.0.0.1", port)
		if l, err := net.Listen("tcp", addr); err == nil {
			l.Close()
			return addr, port, nil
		}
	}
}

// claim makes a block of ports this process' own, by listening on its first one.
func claim() bool {
	for block++; block < blocks; block++ {
		n := first + block*blockSize
		if l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(n))); err == nil {
			claims = append(claims, l)
			next, end = n+1, n+blockSize
			return true
		}
	}
	return false
}
