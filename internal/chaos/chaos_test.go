package main

import (
	"strings"
	"testing"

	"github.com/idxauth/idxauth/internal/redistest"
)

// TestFastFaults runs the suite itself, with the faults that are quickest: each must let
// people work, and find nothing.
func TestFastFaults(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: no application was started")
	}
	if !redistest.Start(t).Real() {
		t.Skip("redis-server is not installed: faults under load were not tested")
	}
	program, err := build(t.TempDir(), false)
	if err != nil {
		t.Fatal(err)
	}
	w, err := newWorld(t.Context(), t, program, startOne(t), 1)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"CLIENT KILL", "restarted with its data", "SIGTERM"} {
		f := faultNamed(t, name)
		r, err := w.try(t.Context(), f)
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range r.tally.violations() {
			t.Errorf("%s: %s: %s", f.name, v.kind, v.text)
		}
		if r.tally.requests < 100 {
			t.Errorf("%s: %d requests, want at least 100: nobody was at work", f.name, r.tally.requests)
		}
		r.print(t.Output())
	}
}

func faultNamed(t *testing.T, part string) *fault {
	t.Helper()
	for _, f := range faults() {
		if strings.Contains(f.name, part) {
			return f
		}
	}
	t.Fatalf("no fault is called %q", part)
	return nil
}
