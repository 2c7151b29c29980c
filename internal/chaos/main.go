package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/idxauth/idxauth/internal/redistest"
)

func main() {
	only := flag.String("only", "", "try only the faults whose names match this regular expression")
	list := flag.Bool("list", false, "list the faults")
	short := flag.Bool("short", false, "try one fault of each kind")
	seed := flag.Uint64("seed", 1, "of what visitors do; the rest is up to the machine")
	table := flag.Bool("table", false, "print the table for the README as well")
	flag.Parse()
	redis.SetLogger(silent{}) // connections that fail are what it is about
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()

	pattern, err := regexp.Compile(*only)
	if err != nil {
		fmt.Fprintln(os.Stderr, "chaos: -only:", err)
		os.Exit(2)
	}
	var chosen []*fault
	for _, f := range faults() {
		if pattern.MatchString(f.name) && (f.brief || !*short) {
			chosen = append(chosen, f)
		}
	}
	if *list {
		for _, f := range chosen {
			fmt.Printf("%-10s %s\n", f.on, f.name)
		}
		return
	}
	results, err := run(ctx, chosen, *seed)
	n := total(os.Stdout, results)
	if *table {
		fmt.Print("\n", measuredTable(results))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
	}
	if err != nil || n > 0 {
		os.Exit(1)
	}
}

// silent is a log that nobody reads.
type silent struct{}

func (silent) Printf(context.Context, string, ...any) {}

// run tries faults, one after the other, in a world for each kind of Redis.
func run(ctx context.Context, chosen []*fault, seed uint64) (results []*result, err error) {
	end := redistest.Program(func(t testing.TB) {
		var program string
		began := time.Now()
		if program, err = build(t.TempDir(), true); err != nil {
			return
		}
		fmt.Printf("built the example in %v; seed %d\n", time.Since(began).Round(time.Second), seed)
		for _, on := range settings {
			var here []*fault
			for _, f := range chosen {
				if f.on == on {
					here = append(here, f)
				}
			}
			if len(here) == 0 {
				continue
			}
			var some []*result
			some, err = runOn(ctx, t, program, on, here, seed)
			if results = append(results, some...); err != nil {
				return
			}
		}
	})
	if end != nil {
		err = end
	}
	return results, err
}

// runOn tries faults in one world.
func runOn(ctx context.Context, t testing.TB, program string, on setting, chosen []*fault, seed uint64) (results []*result, err error) {
	var server *backend
	switch on {
	case onOne:
		server = startOne(t)
	case onTrio:
		server = startTrio(t)
	case onCluster:
		server = startCluster(t)
	}
	w, err := newWorld(ctx, t, program, server, seed)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", on, err)
	}
	for _, f := range chosen {
		r, err := w.try(ctx, f)
		if err != nil {
			return results, err
		}
		r.print(os.Stdout)
		results = append(results, r)
	}
	return results, nil
}
