package secrets

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
)

// entry is something that came out.
type entry struct {
	sink        sink
	place, text string
	doing       string // what the test did at that time
}

// record keeps all that comes out, and the secrets that it is searched for.
type record struct {
	*book
	hub string // origin of the emulator

	mu      sync.Mutex
	entries []entry
	doing   string
	reasons map[string]bool // of which an application has been told
}

func newRecord() *record { return &record{book: newBook()} }

func (r *record) does(what string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.doing = what
}

// now is what the test does.
func (r *record) now() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.doing
}

func (r *record) told(reason string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.reasons == nil {
		r.reasons = make(map[string]bool)
	}
	r.reasons[reason] = true
}

func (r *record) wasTold(reason string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.reasons[reason]
}

func (r *record) keep(s sink, place, text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.entries = append(r.entries, entry{s, place, text, r.doing})
}

// writer is a sink that others write to.
type writer struct {
	record *record
	sink   sink
}

func (w writer) Write(p []byte) (int, error) {
	w.record.keep(w.sink, "", string(p))
	return len(p), nil
}

// keepError keeps what can be read of an error: its text, each way to print it, and the
// same of all the errors in it.
func (r *record) keepError(s sink, place string, err error) {
	if err == nil {
		return
	}
	r.keep(s, place, fmt.Sprintf("%v\n%+v\n%#v\n%q", err, err, err, err))
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		for _, one := range many.Unwrap() {
			r.keepError(s, place, one)
		}
	}
	r.keepError(s, place, errors.Unwrap(err))
}

// leak is a secret in a place where none may be.
type leak struct {
	entry
	secret *secret
	at     int // where in the text
}

func (r *record) leaks() []leak {
	r.mu.Lock()
	entries := r.entries
	r.mu.Unlock()
	table := rules(r.hub)
	var all []leak
	for _, e := range entries {
		for s, at := range r.find(e.text) {
			if !isAllowed(table, e, s.kind) {
				all = append(all, leak{e, s, at})
			}
		}
	}
	return all
}

func isAllowed(table []rule, e entry, k kind) bool {
	for _, rule := range table {
		if rule.allows(e, k) {
			return true
		}
	}
	return false
}

// judge fails the test for each leak, once for each place.
func (r *record) judge(t *testing.T) {
	t.Helper()
	said := make(map[string]bool)
	for _, l := range r.leaks() {
		what := fmt.Sprint(l.secret.kind, l.sink, l.place, l.doing)
		if said[what] {
			continue
		}
		said[what] = true
		t.Errorf("%s: %s %q holds the %s %q:\n%s", l.doing, l.sink, l.place, l.secret.kind, l.secret.value, l.around())
	}
}

// around is the text where the secret is.
func (l leak) around() string {
	return strings.ToValidUTF8(l.text[max(0, l.at-200):min(len(l.text), l.at+200)], "?")
}

func (r *record) size() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.entries)
}

// count returns how much has come out of a sink.
func (r *record) count(s sink) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0
	for _, e := range r.entries {
		if e.sink == s {
			n++
		}
	}
	return n
}
