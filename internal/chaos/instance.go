package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/idxauth/idxauth/internal/ports"
)

// instance is one process of the example application, which can be ended and started
// again at its address.
type instance struct {
	addr    string // where it listens; nobody else is given the port while it does not
	program string
	env     []string
	dir     string
	clock   offset // kept over a restart

	current atomic.Pointer[process]
	down    atomic.Bool // it is not supposed to answer
	killed  atomic.Bool // nor to finish what it has begun
}

type process struct {
	cmd    *exec.Cmd
	exited chan struct{} // closed when cmd has ended
	code   int           // then, how
}

// offset is how far a clock is off.
type offset struct{ wall, mono time.Duration }

func newInstance(program, dir string, env []string) (*instance, error) {
	addr, _, err := ports.Free()
	if err != nil {
		return nil, err
	}
	return &instance{addr: addr, program: program, env: env, dir: dir}, nil
}

// start starts the process, and returns when it serves.
func (i *instance) start(ctx context.Context) error {
	os.Remove(i.socket())
	log, err := os.OpenFile(i.logFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(i.program)
	cmd.Env = append(slices.Clone(i.env), "ADDR="+i.addr, "CHAOS_CONTROL="+i.socket(),
		"CHAOS_WALL="+i.clock.wall.String(), "CHAOS_MONO="+i.clock.mono.String())
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = attributes()
	if err := cmd.Start(); err != nil {
		return err
	}
	p := &process{cmd: cmd, exited: make(chan struct{})}
	i.current.Store(p)
	go func() {
		cmd.Wait()
		p.code = cmd.ProcessState.ExitCode()
		close(p.exited)
	}()
	err = until(ctx, 20*time.Second, "the application listens at "+i.addr, func() bool {
		c, err := net.Dial("tcp", i.addr)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	if err != nil {
		return fmt.Errorf("%w\n%s", err, i.log())
	}
	i.killed.Store(false)
	i.down.Store(false)
	return nil
}

func (i *instance) socket() string  { return filepath.Join(i.dir, "control") }
func (i *instance) logFile() string { return filepath.Join(i.dir, "log") }

func (i *instance) log() []byte {
	log, _ := os.ReadFile(i.logFile())
	return log
}

// complaints returns what the process has logged since its log had the given length, of
// what it took for trouble: the last lines.
func (i *instance) complaints(since int) (lines []string) {
	const most = 10
	for line := range strings.Lines(string(i.log()[since:])) {
		if strings.Contains(line, " WARN ") || strings.Contains(line, " ERROR ") || strings.Contains(line, "panic") {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	return lines[max(0, len(lines)-most):]
}

// kill ends the process as it stands.
func (i *instance) kill() {
	i.killed.Store(true)
	i.down.Store(true)
	p := i.current.Load()
	p.cmd.Process.Kill()
	<-p.exited
}

// stop asks the process to end, and returns how it did.
func (i *instance) stop(patience time.Duration) error {
	i.down.Store(true)
	p := i.current.Load()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-p.exited:
	case <-time.After(patience):
		return fmt.Errorf("still running %v after SIGTERM", patience)
	}
	if p.code != 0 {
		return fmt.Errorf("exit code %d after SIGTERM", p.code)
	}
	return nil
}

// freeze stops the process where it is, and thaw lets it go on.
func (i *instance) freeze() error {
	i.down.Store(true)
	return suspend(i.current.Load().cmd.Process)
}

func (i *instance) thaw() error {
	if err := resume(i.current.Load().cmd.Process); err != nil {
		return err
	}
	i.down.Store(false)
	return nil
}

// isAlive reports whether the process runs without having ended since it was started.
func (i *instance) isAlive() bool {
	select {
	case <-i.current.Load().exited:
		return false
	default:
		return true
	}
}

// panics returns how often the process has panicked.
func (i *instance) panics() int { return bytes.Count(i.log(), []byte("panic")) }

// usage is what a process holds while nobody asks it for anything.
type usage struct{ Goroutines, Heap, Files int }

func (i *instance) usage() (usage, error) {
	var u usage
	answer, err := i.ask("/usage", nil)
	if err != nil {
		return u, err
	}
	return u, json.Unmarshal(answer, &u)
}

// setClock sets how far the clocks of the process are off.
func (i *instance) setClock(o offset) error {
	i.clock = o
	_, err := i.ask("/clock", url.Values{"wall": {o.wall.String()}, "mono": {o.mono.String()}})
	return err
}

// ask asks the part of the process that the overlay has added.
func (i *instance) ask(path string, values url.Values) ([]byte, error) {
	client := &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", i.socket())
		},
	}}
	resp, err := client.Get("http://control" + path + "?" + values.Encode())
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if resp.StatusCode != http.StatusOK {
		err = errors.Join(err, fmt.Errorf("control: %s: %s", resp.Status, body))
	}
	return body, err
}

// until waits until ok holds, for at most patience.
func until(ctx context.Context, patience time.Duration, what string, ok func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-ctx.Done():
			return fmt.Errorf("still not so after %v: %s", patience, what)
		case <-tick.C:
		}
	}
	return nil
}
