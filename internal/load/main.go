// Command load puts the application under more load than it is likely to meet, on the
// loopback: browsers that log in at once, live sessions in great numbers, and everybody
// at once after Redis has lost its data.
//
//	go run ./internal/load -browsers 10000 -sessions 100000 -storm 2000
//
// The defaults are small. It needs redis-server and prints a Markdown document;
// RESULT.md is what it wrote last. The application is a process of its own, whose memory
// is measured; browsers, the emulated LoginRadius and the clock are in this one. The
// browsers are separate connections, obey Retry-After, and nothing else helps them.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"time"
)

func main() {
	serveIfChild()
	var p plan
	flag.IntVar(&p.browsers, "browsers", 200, "how many log in at once")
	flag.IntVar(&p.sessions, "sessions", 2000, "how many are live, of as many users")
	flag.IntVar(&p.storm, "storm", 100, "how many browsers look at pages while Redis loses everything")
	flag.IntVar(&p.braked, "braked", 0, "how many log in at once with the default limit of API calls")
	flag.DurationVar(&p.limit, "limit", 15*time.Minute, "when to give up")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, p.limit)
	defer cancel()
	report, err := p.run(ctx)
	fmt.Print(report)
	if err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
}

// plan says how much of everything.
type plan struct {
	browsers, sessions, storm, braked int
	limit                             time.Duration
}

// run does all of it and returns the document.
func (p plan) run(ctx context.Context) (string, error) {
	report := "# Under load\n\nWritten by `go run ./internal/load`, see there for what is measured and how.\n\n" + setting() + "\n"
	for _, scenario := range []struct {
		n    int
		rate float64
		run  func(ctx context.Context, n int, rate float64) (fmt.Stringer, error)
	}{
		{p.browsers, -1, func(ctx context.Context, n int, rate float64) (fmt.Stringer, error) { return logins(ctx, n, rate) }},
		{p.braked, 0, func(ctx context.Context, n int, rate float64) (fmt.Stringer, error) { return logins(ctx, n, rate) }},
		{p.sessions, -1, func(ctx context.Context, n int, _ float64) (fmt.Stringer, error) { return liveSessions(ctx, n, false) }},
		{p.sessions, -1, func(ctx context.Context, n int, _ float64) (fmt.Stringer, error) { return liveSessions(ctx, n, true) }},
		{p.storm, -1, func(ctx context.Context, n int, rate float64) (fmt.Stringer, error) { return loginStorm(ctx, n, rate) }},
	} {
		if scenario.n == 0 {
			continue
		}
		result, err := scenario.run(ctx, scenario.n, scenario.rate)
		if err != nil {
			return report, err
		}
		report += result.String() + "\n"
	}
	return report, nil
}
