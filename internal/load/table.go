package main

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"time"
)

// times are how long something took, each time.
type times []time.Duration

// at returns a percentile.
func (t times) at(percentile int) time.Duration {
	if len(t) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(t))
	return sorted[min(len(sorted)-1, len(sorted)*percentile/100)]
}

func (t times) String() string {
	return ms(t.at(50)) + ", " + ms(t.at(99)) + ", " + ms(t.at(100))
}

func ms(d time.Duration) string {
	switch {
	case d >= time.Second:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d >= 10*time.Millisecond:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	}
	return fmt.Sprintf("%.2f ms", d.Seconds()*1000)
}

func percent(part, whole int) float64 { return 100 * float64(part) / float64(whole) }

func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}

// setting says on what it was measured.
func setting() string {
	redis := "of an unknown version"
	if out, err := exec.Command("redis-server", "--version").Output(); err == nil {
		for _, word := range strings.Fields(string(out)) {
			if version, ok := strings.CutPrefix(word, "v="); ok {
				redis = version
			}
		}
	}
	return fmt.Sprintf("%s, %d cores, %s/%s; %s; Redis %s without persistence. Everything shares the cores: the application, Redis, the browsers and the emulator.\n",
		processor(), runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, runtime.Version(), redis)
}

func processor() string {
	f, err := os.Open("/proc/cpuinfo")
	if err != nil {
		return "Processor unknown"
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		if key, value, _ := strings.Cut(s.Text(), ":"); strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "Processor unknown"
}
