package main

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
)

// markdown returns one table for each number of connections.
func (res *results) markdown() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# This library beside its peers\n\n")
	fmt.Fprintf(&b, "How many pages a second a server answers to signed-in users, and what each costs. Written by `go run .`; see doc.go for how it is measured.\n\n")
	fmt.Fprintf(&b, "- rounds: %d, of %v for each figure; shown are the medians, and of requests/s the lowest and highest too\n", res.rounds, res.time)
	fmt.Fprintf(&b, "- sessions of each contender: %d, used in turn\n", res.sessions)
	for _, line := range res.setting {
		fmt.Fprintf(&b, "- %s\n", line)
	}
	fmt.Fprintf(&b, "- the load generator was busy %.0f %% of the time at most: near 100 %%, it and not the server would set the pace\n", 100*res.driverBusy())
	for _, connections := range res.connections {
		fmt.Fprintf(&b, "\n## Connections: %d\n\n", connections)
		fmt.Fprintf(&b, "| contender | requests/s | x bare | x %s | p50 ms | p99 ms | server CPU µs | Redis CPU µs | Redis commands | allocations |\n", scsName)
		fmt.Fprintf(&b, "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n")
		for _, c := range res.contenders {
			res.row(&b, c, connections)
		}
	}
	fmt.Fprintf(&b, "\nCPU, commands and allocations are per request. Ratios are medians of the rounds' ratios.\n\n")
	fmt.Fprintf(&b, "| contender | what it is | Redis memory a session, bytes |\n| --- | --- | ---: |\n")
	for _, c := range res.contenders {
		memory := "–"
		if used, ran := res.memory[c.name]; ran && !c.anonymous {
			memory = fmt.Sprint(used / int64(res.sessions))
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", c.name, c.label, memory)
	}
	fmt.Fprintf(&b, "\nMemory is that of Redis after the logins, divided by the sessions. For idxauth this includes the index of each user's sessions, and the marks that a state and a token were used, which end by themselves.\n")
	return b.Bytes()
}

func (res *results) row(b *bytes.Buffer, c contender, connections int) {
	at := cell{c.name, connections}
	all := res.figures[at]
	if len(all) == 0 {
		fmt.Fprintf(b, "| `%s` | not run: %s |%s\n", c.name, res.missing[c.name], strings.Repeat(" |", 8))
		return
	}
	rates := column(all, func(f figures) float64 { return f.rate })
	fmt.Fprintf(b, "| `%s` | %.0f (%.0f–%.0f)", c.name, median(rates), slices.Min(rates), slices.Max(rates))
	for _, other := range []string{bareName, scsName} {
		if ratio := res.ratio(at, other); ratio > 0 {
			fmt.Fprintf(b, " | %.2f", ratio)
		} else {
			fmt.Fprint(b, " | –")
		}
	}
	fmt.Fprintf(b, " | %.2f | %.2f", median(column(all, func(f figures) float64 { return f.p50.Seconds() * 1000 })),
		median(column(all, func(f figures) float64 { return f.p99.Seconds() * 1000 })))
	fmt.Fprintf(b, " | %.1f", median(column(all, func(f figures) float64 { return f.serverCPU })))
	fmt.Fprintf(b, " | %.1f", median(column(all, func(f figures) float64 { return f.redisCPU })))
	fmt.Fprintf(b, " | %.3f", median(column(all, func(f figures) float64 { return f.redisCommands })))
	if mallocs := median(column(all, func(f figures) float64 { return f.mallocs })); mallocs > 0 {
		fmt.Fprintf(b, " | %.0f |\n", mallocs)
	} else {
		fmt.Fprint(b, " | – |\n")
	}
}

// ratio returns how many times the requests of another contender a cell had, as the
// median over the rounds; 0 if the other one did not run.
func (res *results) ratio(at cell, other string) float64 {
	mine, others := res.figures[at], res.figures[cell{other, at.connections}]
	var ratios []float64
	for i := range min(len(mine), len(others)) {
		ratios = append(ratios, mine[i].rate/others[i].rate)
	}
	return median(ratios)
}

func (res *results) driverBusy() float64 {
	most := 0.0
	for _, all := range res.figures {
		most = max(most, median(column(all, func(f figures) float64 { return f.driverBusy })))
	}
	return most
}

func column(all []figures, of func(figures) float64) []float64 {
	var values []float64
	for _, f := range all {
		values = append(values, of(f))
	}
	return values
}

// median returns 0 of no values.
func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(values))
	return (s[(len(s)-1)/2] + s[len(s)/2]) / 2
}
