package redistest

import (
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/idxauth/idxauth/internal/ports"
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

func freePort(t testing.TB) (addr, port string) {
	t.Helper()
	addr, port, err := ports.Free()
	must(t, err)
	return addr, port
}
