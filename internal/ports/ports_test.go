package ports_test

import (
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/idxauth/idxauth/internal/ports"
)

func TestNoPortTwice(t *testing.T) {
	if os.Getenv("IDXAUTH_PRINT_PORT") != "" {
		_, port, err := ports.Free()
		if err != nil {
			t.Fatal(err)
		}
		os.Stdout.WriteString("port " + port + "\n")
		return
	}
	seen := make(map[string]bool)
	for range 250 { // more than one block
		addr, port, err := ports.Free()
		if err != nil {
			t.Fatal(err)
		}
		if seen[port] || !strings.HasSuffix(addr, ":"+port) {
			t.Fatalf("port %s at %s: given twice, or not its address", port, addr)
		}
		seen[port] = true
		l, err := net.Listen("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		l.Close()
	}
	for range 3 { // other processes, while nobody listens on ours
		program, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(program, "-test.run=^TestNoPortTwice$")
		cmd.Env = append(os.Environ(), "IDXAUTH_PRINT_PORT=1")
		out, err := cmd.Output()
		_, port, ok := strings.Cut(string(out), "port ")
		port, _, _ = strings.Cut(port, "\n")
		if err != nil || !ok || seen[port] {
			t.Errorf("another process was given port %q, %v:\n%s", port, err, out)
		}
	}
}
