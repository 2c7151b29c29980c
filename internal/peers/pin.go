package main

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
)

// core is the number of a processor core, or "" for any.
type core string

// pin makes cmd run on c alone.
func (c core) pin(cmd *exec.Cmd) {
	if c == "" {
		return
	}
	cmd.Args = append([]string{"taskset", "-c", string(c), cmd.Path}, cmd.Args[1:]...)
	cmd.Path, cmd.Err = exec.LookPath("taskset")
}

// layout says who runs where: the contender's server on one core, and what it talks
// to, Redis and the load generator, on another, so that they do not take turns.
type layout struct {
	server, rest core
	note         string // how it is, for the report
}

// newLayout moves this process to its core, if there are two and taskset is there.
func newLayout() layout {
	if runtime.NumCPU() < 2 {
		return layout{note: "nothing was pinned: there is one core only"}
	}
	// The cores that this process may use need not be 0 and 1, but mostly are.
	for _, c := range []core{"0", "1"} {
		if err := exec.Command("taskset", "-c", string(c), "true").Run(); err != nil {
			return layout{note: "nothing was pinned: no taskset, or not allowed to use it"}
		}
	}
	move := exec.Command("taskset", "-a", "-c", "-p", "1", strconv.Itoa(os.Getpid()))
	if err := move.Run(); err != nil {
		return layout{note: fmt.Sprintf("nothing was pinned: taskset: %v", err)}
	}
	runtime.GOMAXPROCS(1)
	return layout{server: "0", rest: "1", note: "each contender's server alone on core 0, Redis and the load generator on core 1"}
}
