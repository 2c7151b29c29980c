package main

import (
	"os"
	"regexp"
	"strings"
	"testing"
	"time"
)

// measured is what stands in brackets behind a bound.
var measured = regexp.MustCompile(` \((\d+(?:\.\d+)?) (ms|s)\)`)

// TestREADMEHasTheBounds compares the table of the README with the faults: what it
// promises is what is checked. What was measured, in brackets, has to be within.
func TestREADMEHasTheBounds(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, ok := strings.Cut(string(readme), tableHead)
	if !ok {
		t.Fatalf("README.md has no table that begins with\n%s", tableHead)
	}
	table, _, _ = strings.Cut(table, "\n\n")
	rows := strings.Split(strings.TrimSpace(table), "\n")
	all := faults()
	if len(rows) != len(all) {
		t.Errorf("README.md has %d faults, the suite %d", len(rows), len(all))
	}
	for i, f := range all[:min(len(rows), len(all))] {
		if got, want := measured.ReplaceAllString(rows[i], ""), strings.TrimSpace(f.row("", "", "")); got != want {
			t.Errorf("README.md has\n%s\nthe suite has\n%s", got, want)
		}
		bounds := []time.Duration{f.view, f.login, f.within()}
		found := measured.FindAllStringSubmatch(rows[i], -1)
		if len(found) != len(bounds) {
			t.Errorf("%s: %d figures in brackets, want %d", f.name, len(found), len(bounds))
			continue
		}
		for j, match := range found {
			if d, err := time.ParseDuration(match[1] + match[2]); err != nil || d > bounds[j] {
				t.Errorf("%s: measured %v, which is more than the bound of %v", f.name, d, bounds[j])
			}
		}
	}
}
