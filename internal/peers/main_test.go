package main

import (
	"encoding/xml"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// The contenders' servers are this binary, started again.
func TestMain(m *testing.M) {
	serveIfContender()
	os.Exit(m.Run())
}

// TestBenchmark runs all contenders of this binary for a moment: the figures mean
// nothing, but each contender lets its users in, and nobody else.
func TestBenchmark(t *testing.T) {
	_, err := exec.LookPath("redis-server")
	if err != nil && os.Getenv("IDXAUTH_REQUIRE_REDIS") == "1" {
		t.Fatalf("IDXAUTH_REQUIRE_REDIS=1, but there is no redis-server: %v", err)
	}
	if err != nil || os.Getenv("IDXAUTH_NO_REDIS") == "1" { // as in package redistest
		t.Skip("redis-server is not installed: whether the benchmark still runs was not tested")
	}
	p := plan{connections: []int{1, 16}, sessions: 20, rounds: 1, time: 500 * time.Millisecond, warmUp: 50 * time.Millisecond}
	for _, c := range contenders() {
		if c.open != nil {
			p.only = append(p.only, c.name)
		}
	}
	res, err := p.carryOut(t.Context(), t.Output())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range res.contenders {
		for _, n := range p.connections {
			all := res.figures[cell{c.name, n}]
			if len(all) != p.rounds || all[0].rate <= 0 || all[0].p50 <= 0 || all[0].mallocs <= 0 {
				t.Errorf("%s, %d connections: %+v", c.name, n, all)
			}
		}
		if row := "| `" + c.name + "` | "; !strings.Contains(string(res.markdown()), row) {
			t.Errorf("no row %q in\n%s", row, res.markdown())
		}
	}
	if all := res.figures[cell{"one-get", 16}]; len(all) == 1 && (all[0].redisCommands < 0.5 || all[0].redisCommands > 1.5) {
		t.Errorf("one-get: %v commands a request, want about 1", all[0].redisCommands)
	}
	plot := xml.NewDecoder(strings.NewReader(string(res.svg())))
	for {
		if _, err := plot.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("the plot is no XML: %v\n%s", err, res.svg())
		}
	}
}

func TestMissingContenderIsReported(t *testing.T) {
	res := &results{
		plan:       plan{connections: []int{16}},
		contenders: []contender{{name: "express", label: "Express"}},
		missing:    map[string]string{"express": "there is no node"},
	}
	if got := string(res.markdown()); !strings.Contains(got, "not run: there is no node") {
		t.Errorf("tables do not say what is missing:\n%s", got)
	}
	if got := string(res.svg()); !strings.Contains(got, "not run: there is no node") {
		t.Errorf("plot does not say what is missing:\n%s", got)
	}
}
