package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// build builds the example with a way to ask about its memory and, if asked for, a clock
// that can be set. Neither the example nor the library has any of that: both exist for the
// go command only, as an overlay over this one build. With the clock, all of the standard
// library is compiled anew, once for each machine.
func build(dir string, withClock bool) (program string, err error) {
	root, err := goCommand("list", "-m", "-f", "{{.Dir}}", "github.com/idxauth/idxauth")
	if err != nil {
		return "", err
	}
	goroot, err := goCommand("env", "GOROOT")
	if err != nil {
		return "", err
	}
	overlay := make(map[string]string)
	add := func(path, name string, content []byte) {
		overlay[path] = filepath.Join(dir, name)
		err = errors.Join(err, os.WriteFile(overlay[path], content, 0o600))
	}
	add(filepath.Join(root, "example", "zz_control.go"), "control.go", []byte(control))
	if withClock {
		clock := clockFile(goroot)
		original, errRead := os.ReadFile(clock)
		patched, errPatch := withSettableClock(original)
		if err := errors.Join(errRead, errPatch); err != nil {
			return "", err
		}
		add(clock, "time.go", patched)
		add(filepath.Join(root, "example", "zz_clock.go"), "clock.go", []byte(clockControl))
	}
	if err != nil {
		return "", err
	}
	plan, err := json.Marshal(map[string]any{"Replace": overlay})
	if err != nil {
		return "", err
	}
	planFile := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(planFile, plan, 0o600); err != nil {
		return "", err
	}
	program = filepath.Join(dir, "example")
	cmd := exec.Command("go", "build", "-overlay", planFile, "-o", program, "./example")
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build ./example: %w\n%s", err, out)
	}
	return program, nil
}

func clockFile(goroot string) string { return filepath.Join(goroot, "src", "time", "time.go") }

func goCommand(args ...string) (string, error) {
	out, err := exec.Command("go", args...).Output()
	if err != nil {
		return "", fmt.Errorf("go %s: %w", args[0], err)
	}
	return strings.TrimSpace(string(out)), nil
}

// withSettableClock changes Go's own source of the package time: what is added to the
// wall clock and to the monotonic one is in two variables. Timers are not changed.
func withSettableClock(source []byte) ([]byte, error) {
	for _, change := range []struct{ old, new string }{
		{"import (", "import (\n\t\"sync/atomic\"\n"},
		{"\t\treturn subMono(runtimeNano()-startNano, t.ext)", "\t\treturn subMono(runtimeNano()-startNano+shiftMono.Load(), t.ext)"},
		{"\t\treturn subMono(t.ext, runtimeNano()-startNano)", "\t\treturn subMono(t.ext, runtimeNano()-startNano+shiftMono.Load())"},
		{"\tmono -= startNano\n", "\tmono -= startNano\n\tsec, nsec, mono = shifted(sec, nsec, mono)\n"},
	} {
		if n := bytes.Count(source, []byte(change.old)); n != 1 {
			return nil, fmt.Errorf("this Go's time/time.go has %q %d times, want once: adapt withSettableClock", change.old, n)
		}
		source = bytes.Replace(source, []byte(change.old), []byte(change.new), 1)
	}
	return append(source, shift...), nil
}

const shift = `
var shiftWall, shiftMono atomic.Int64

// Shift adds wall to what the clock of the wall shows, and mono to the monotonic one.
func Shift(wall, mono Duration) {
	shiftWall.Store(int64(wall))
	shiftMono.Store(int64(mono))
}

func shifted(sec int64, nsec int32, mono int64) (int64, int32, int64) {
	wall := int64(nsec) + shiftWall.Load()
	sec += wall / 1e9
	if wall %= 1e9; wall < 0 {
		wall += 1e9
		sec--
	}
	return sec, int32(wall), mono + shiftMono.Load()
}
`

// control is the file that the overlay adds to the example. It listens on a socket in
// the file system.
const control = `package main

import (
	"encoding/json"
	"net"
	"net/http"
	"os"
	"runtime"
	"runtime/pprof"
)

var controls = http.NewServeMux()

func init() {
	listener, err := net.Listen("unix", os.Getenv("CHAOS_CONTROL"))
	if err != nil {
		panic(err)
	}
	mux := controls
	mux.HandleFunc("/usage", func(w http.ResponseWriter, r *http.Request) {
		runtime.GC()
		runtime.GC()
		var memory runtime.MemStats
		runtime.ReadMemStats(&memory)
		files, _ := os.ReadDir("/proc/self/fd")
		json.NewEncoder(w).Encode(map[string]int{
			"Goroutines": runtime.NumGoroutine(), "Heap": int(memory.HeapAlloc), "Files": len(files),
		})
	})
	mux.HandleFunc("/goroutines", func(w http.ResponseWriter, r *http.Request) {
		pprof.Lookup("goroutine").WriteTo(w, 1)
	})
	go http.Serve(listener, mux)
}
`

// clockControl is the second file, which goes with the changed package time.
const clockControl = `package main

import (
	"net/http"
	"os"
	"runtime/pprof"
	"strings"
	"time"
)

func init() {
	// Before the first request: it would find that all its time limits have passed.
	wall, _ := time.ParseDuration(os.Getenv("CHAOS_WALL"))
	mono, _ := time.ParseDuration(os.Getenv("CHAOS_MONO"))
	time.Shift(wall, mono)
	controls.HandleFunc("/clock", func(w http.ResponseWriter, r *http.Request) {
		wall, err1 := time.ParseDuration(r.FormValue("wall"))
		mono, err2 := time.ParseDuration(r.FormValue("mono"))
		if err1 != nil || err2 != nil {
			http.Error(w, "no durations", http.StatusBadRequest)
			return
		}
		// What is done in the background would find all its time limits passed.
		for range 400 {
			var stacks strings.Builder
			pprof.Lookup("goroutine").WriteTo(&stacks, 1)
			if !strings.Contains(stacks.String(), "background.(*Group)") {
				break
			}
			time.Sleep(5 * time.Millisecond)
		}
		time.Shift(wall, mono)
	})
}
`
