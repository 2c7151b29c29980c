package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strings"
)

// setting says what was measured on what, as far as it bears on the figures.
func (r *run) setting(ctx context.Context) []string {
	lines := []string{
		fmt.Sprintf("%s, %d cores, %s/%s; %s", processor(), runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, r.note),
		fmt.Sprintf("%s; Redis %s on the loopback, without persistence; Node %s", runtime.Version(), r.redisVersion(ctx), nodeVersion(ctx)),
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		var modules []string
		for _, m := range info.Deps {
			for _, peer := range []string{"alexedwards/scs", "boj/redistore", "redis/go-redis", "gorilla/sessions"} {
				if strings.Contains(m.Path, peer) {
					modules = append(modules, strings.TrimPrefix(m.Path, "github.com/")+" "+m.Version)
				}
			}
		}
		lines = append(lines, strings.Join(modules, ", "))
	}
	return lines
}

func (r *run) redisVersion(ctx context.Context) string {
	for line := range strings.Lines(r.redis.client.Info(ctx, "server").Val()) {
		if version, ok := strings.CutPrefix(line, "redis_version:"); ok {
			return strings.TrimSpace(version)
		}
	}
	return "of an unknown version"
}

func nodeVersion(ctx context.Context) string {
	out, err := exec.CommandContext(ctx, "node", "--version").Output()
	if err != nil {
		return "not installed"
	}
	return strings.TrimSpace(string(out))
}

func processor() string {
	f, err := os.Open("/proc/cpuinfo")
	if err != nil {
		return "processor unknown"
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		if key, value, _ := strings.Cut(s.Text(), ":"); strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "processor unknown"
}
