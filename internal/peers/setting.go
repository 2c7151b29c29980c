package main

import (
	"bufio"
	"context"
	"debug/buildinfo"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
)

// setting says what was measured on what, as far as it bears on the figures.
func (r *run) setting(ctx context.Context) []string {
	lines := []string{
		fmt.Sprintf("%s, %d cores, %s/%s; %s", processor(), runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, r.note),
		fmt.Sprintf("%s; Redis %s on the loopback, without persistence; Node %s", runtime.Version(), r.redisVersion(ctx), nodeVersion(ctx)),
	}
	if versions := r.versions(); len(versions) > 0 {
		lines = append(lines, strings.Join(versions, ", "))
	}
	return lines
}

// versions are those of the peers and of the Redis clients: as built in, and as the
// package of express pins them.
func (r *run) versions() []string {
	var versions []string
	if self, ok := debug.ReadBuildInfo(); ok {
		versions = append(versions, modules(self, "alexedwards/scs", "boj/redistore", "redis/go-redis", "gorilla/sessions")...)
	}
	if other, err := buildinfo.ReadFile(oauth2ProxyProgram); err == nil {
		versions = append(versions, modules(other, "oauth2-proxy/oauth2-proxy")...)
	}
	var pinned struct{ Dependencies map[string]string }
	if text, err := os.ReadFile(filepath.Join("express", "package.json")); err == nil && json.Unmarshal(text, &pinned) == nil {
		for _, name := range slices.Sorted(maps.Keys(pinned.Dependencies)) {
			versions = append(versions, name+" "+pinned.Dependencies[name])
		}
	}
	return versions
}

// modules returns those of a program whose path contains one of wanted.
func modules(program *debug.BuildInfo, wanted ...string) []string {
	var found []string
	for _, m := range program.Deps {
		if slices.ContainsFunc(wanted, func(part string) bool { return strings.Contains(m.Path, part) }) {
			found = append(found, strings.TrimPrefix(m.Path, "github.com/")+" "+m.Version)
		}
	}
	return found
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
