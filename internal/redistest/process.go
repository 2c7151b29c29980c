package redistest

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
)

// process is one redis-server.
type process struct {
	t    testing.TB
	dir  string
	args []string
	cmd  *exec.Cmd
	once *sync.Once // per start: a process is killed and waited for once
}

func (p *process) start() error {
	log, err := os.OpenFile(filepath.Join(p.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command("redis-server", p.args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = p.dir, log, log
	cmd.SysProcAttr = attributes()
	if err := cmd.Start(); err != nil {
		return err
	}
	p.cmd, p.once = cmd, new(sync.Once)
	return nil
}

func (p *process) kill() {
	p.once.Do(func() {
		p.cmd.Process.Kill()
		p.cmd.Wait()
	})
}

// taken keeps two servers of one test binary from being given the same free port.
var taken sync.Map

func freePort(t testing.TB) (addr, port string) {
	t.Helper()
	for {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatalf("redistest: %v", err)
		}
		addr = l.Addr().String()
		l.Close()
		_, port, _ = net.SplitHostPort(addr)
		// A cluster node also listens 10000 higher.
		if n, _ := strconv.Atoi(port); n > 55000 {
			continue
		}
		if _, again := taken.LoadOrStore(port, true); !again {
			return addr, port
		}
	}
}
