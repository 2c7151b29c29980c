// Package peers measures the middleware beside what people write by hand, in one
// run: go test -bench . -count 6. It is a module of its own so that nobody inherits
// the peers.
package peers
