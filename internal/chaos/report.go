package main

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// print writes the line of a fault, and what was wrong.
func (r *result) print(out io.Writer) {
	t := r.tally
	found := t.violations()
	fmt.Fprintf(out, "%-52s %5d requests %4d refused %3d violations  page %6s  write %6s  login %6s  again %6s  %3d API calls  (%v)\n",
		r.fault.name, t.requests, t.refused, len(found), short(t.slowest[kindView]), short(t.slowest[kindNote]), short(t.slowest[kindLogin]), short(r.recovery), r.calls, r.took.Round(100*time.Millisecond))
	if n := t.of(byRedis); n > 0 {
		fmt.Fprintf(out, "    Redis lost %d sessions or notes\n", n)
	}
	if n := t.of(byRedisBack); n > 0 {
		fmt.Fprintf(out, "    Redis brought %d sessions back\n", n)
	}
	if n := t.of(missed); n > 0 {
		fmt.Fprintf(out, "    %d sessions went on when all of their users' were to end: Redis had evicted the lists of them\n", n)
	}
	if n := t.excused(); n > 0 {
		fmt.Fprintf(out, "    %d answers were late or 503 because the machine was too busy: Redis answered nobody within %v, or /healthz took %s\n", n, redisPatience, short(t.machine))
	}
	if r.retried > 0 {
		fmt.Fprintf(out, "    %d requests went to the other instance\n", r.retried)
	}
	for _, note := range t.notes {
		fmt.Fprintf(out, "    %s\n", note)
	}
	seen := make(map[string]int)
	for _, v := range found {
		if seen[v.kind]++; seen[v.kind] <= 5 {
			fmt.Fprintf(out, "    VIOLATION %s: %s\n", v.kind, v.text)
		}
	}
	for kind, n := range seen {
		if n > 5 {
			fmt.Fprintf(out, "    VIOLATION %s: %d in all\n", kind, n)
		}
	}
	if len(found) == 0 {
		return
	}
	for n, lines := range r.complaints {
		for _, line := range lines {
			fmt.Fprintf(out, "    instance %d: %s\n", n, line)
		}
	}
}

// short writes a duration as people read it.
func short(d time.Duration) string {
	switch {
	case d >= time.Second:
		return fmt.Sprintf("%.1f s", d.Seconds())
	default:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	}
}

// total writes the sums, and returns the number of violations.
func total(out io.Writer, results []*result) (violations int) {
	requests, lost, back := 0, 0, 0
	var slowest, most time.Duration
	var more usage
	for _, r := range results {
		for n, was := range r.before {
			more.Goroutines = max(more.Goroutines, r.after[n].Goroutines-was.Goroutines)
			more.Files = max(more.Files, r.after[n].Files-was.Files)
			more.Heap = max(more.Heap, r.after[n].Heap-was.Heap)
		}
		requests += r.tally.requests
		violations += len(r.tally.violations())
		lost += r.tally.of(byRedis)
		back += r.tally.of(byRedisBack)
		slowest = max(slowest, r.recovery)
		for _, d := range r.tally.slowest {
			most = max(most, d)
		}
	}
	fmt.Fprintf(out, "\nafterwards an instance held at most %d goroutines, %d files and %d KiB more than before\n", more.Goroutines, more.Files, more.Heap>>10)
	fmt.Fprintf(out, "%d faults, %d requests in the ledger, %d violations; lost by Redis %d, brought back by Redis %d; slowest answer %s, slowest recovery %s\n",
		len(results), requests, violations, lost, back, short(most), short(slowest))
	return violations
}

// tableHead begins the table of the README.
const tableHead = "| fault | what visitors see | answers within | normal again after |\n| --- | --- | --- | --- |\n"

// row is a line of the table: the bounds, and in brackets what was measured.
func (f *fault) row(page, login, again string) string {
	return fmt.Sprintf("| %s | %s | %s%s; logins %s%s | %s%s |\n", f.name, f.sees,
		short0(f.view), page, short0(f.login), login, short0(f.within()), again)
}

// short0 writes a bound.
func short0(d time.Duration) string { return strings.Replace(short(d), ".0 s", " s", 1) }

func measuredTable(results []*result) string {
	var b strings.Builder
	b.WriteString(tableHead)
	for _, r := range results {
		in := func(d time.Duration) string { return " (" + short(d) + ")" }
		b.WriteString(r.fault.row(in(r.tally.slowest[kindView]), in(r.tally.slowest[kindLogin]), in(r.recovery)))
	}
	return b.String()
}
