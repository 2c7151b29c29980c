package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

func main() {
	serveIfContender()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := benchmark(ctx); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func benchmark(ctx context.Context) error {
	p := plan{connections: []int{1, 16, 256}, pin: true}
	flag.IntVar(&p.rounds, "rounds", 5, "how often each contender is measured at each number of connections")
	flag.DurationVar(&p.time, "time", 1500*time.Millisecond, "how long each time")
	flag.DurationVar(&p.warmUp, "warmup", 300*time.Millisecond, "and for how long before")
	flag.IntVar(&p.sessions, "sessions", 10_000, "signed-in users of each contender, whose pages are asked for in turn")
	var names []string
	for _, c := range contenders() {
		names = append(names, c.name)
	}
	only := flag.String("only", strings.Join(names, ","), "which contenders to measure")
	md := flag.String("md", "RESULT.md", "where to write the tables")
	svg := flag.String("svg", "result.svg", "where to write the plot")
	flag.Parse()
	p.only = strings.Split(*only, ",")

	res, err := p.carryOut(ctx, os.Stderr)
	if err != nil {
		return err
	}
	if err := os.WriteFile(*md, res.markdown(), 0o644); err != nil {
		return err
	}
	if err := os.WriteFile(*svg, res.svg(), 0o644); err != nil {
		return err
	}
	_, err = os.Stdout.Write(res.markdown())
	return err
}
