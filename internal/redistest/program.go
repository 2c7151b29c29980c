package redistest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"
)

// Program lets programs start servers as tests do. What would end a test ends f, and
// Program returns the reason. All that was started is gone when it returns.
func Program(f func(t testing.TB)) (err error) {
	dir, err := os.MkdirTemp("", "redistest-")
	if err != nil {
		return err
	}
	p := &program{dir: dir}
	defer func() {
		switch end := recover().(type) {
		case nil:
		case programEnd:
			err = end.error
		default:
			panic(end)
		}
	}()
	defer p.cleanUp()
	f(p)
	return nil
}

// programEnd is the panic with which a program ends.
type programEnd struct{ error }

// program is what the servers need of a test. Its other methods are nil.
type program struct {
	testing.TB
	dir string

	mu       sync.Mutex
	dirs     int
	cleanups []func()
}

func (p *program) Helper()         {}
func (p *program) Log(args ...any) { fmt.Fprintln(os.Stderr, args...) }

func (p *program) Fatal(args ...any) {
	panic(programEnd{errors.New(fmt.Sprint(args...))})
}

func (p *program) Fatalf(format string, args ...any) {
	panic(programEnd{fmt.Errorf(format, args...)})
}

func (p *program) Skip(args ...any)                 { p.Fatal(args...) }
func (p *program) Skipf(format string, args ...any) { p.Fatalf(format, args...) }

func (p *program) Cleanup(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cleanups = append(p.cleanups, f)
}

func (p *program) TempDir() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.dirs++
	dir := filepath.Join(p.dir, strconv.Itoa(p.dirs))
	if err := os.Mkdir(dir, 0o700); err != nil {
		p.Fatal(err)
	}
	return dir
}

func (p *program) cleanUp() {
	for _, f := range slices.Backward(p.cleanups) {
		f()
	}
	os.RemoveAll(p.dir)
}
