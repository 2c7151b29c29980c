package main

import (
	"bytes"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"sync"
	"time"
)

// startTimeout bounds the start of a process. Node on a busy machine is the slowest.
const startTimeout = 30 * time.Second

// process is one that this program has started, and ends.
type process struct {
	cmd    *exec.Cmd
	stderr *tail
	done   chan struct{} // closed when it has ended
}

// start starts cmd on the given core.
func start(cmd *exec.Cmd, on core) (*process, error) {
	on.pin(cmd)
	cmd.SysProcAttr = attributes()
	p := &process{cmd: cmd, stderr: new(tail), done: make(chan struct{})}
	cmd.Stderr = p.stderr
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

// stop ends p and returns when it has ended.
func (p *process) stop() {
	p.cmd.Process.Kill()
	<-p.done
}

// server is a contender's running process.
type server struct {
	*process
	address string
}

// startServer starts a contender, which writes the address where it listens on a
// line of its own, and which ends when its standard input does.
func startServer(cmd *exec.Cmd, on core) (*server, error) {
	if _, err := cmd.StdinPipe(); err != nil {
		return nil, err
	}
	line := make(chan string, 1)
	cmd.Stdout = &firstLine{line: line}
	p, err := start(cmd, on)
	if err != nil {
		return nil, err
	}
	timeout := time.NewTimer(startTimeout)
	defer timeout.Stop()
	select {
	case address := <-line:
		return &server{process: p, address: address}, nil
	case <-p.done:
		return nil, fmt.Errorf("ended at once: %s", p.stderr)
	case <-timeout.C:
		p.stop()
		return nil, errors.New("did not start in time")
	}
}

// firstLine is a writer that passes on the first line written to it.
type firstLine struct {
	buf  []byte
	line chan string
}

func (f *firstLine) Write(p []byte) (int, error) {
	if f.line == nil {
		return len(p), nil
	}
	f.buf = append(f.buf, p...)
	if line, _, complete := bytes.Cut(f.buf, []byte("\n")); complete {
		f.line <- string(bytes.TrimSpace(line))
		f.line = nil
	}
	return len(p), nil
}

// tail is a writer that keeps the last of what a process complains about.
type tail struct {
	mu  sync.Mutex
	end []byte
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.end = append(t.end, p...)
	t.end = t.end[max(0, len(t.end)-1000):]
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.TrimSpace(string(t.end))
}
