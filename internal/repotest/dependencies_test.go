package repotest_test

import (
	"os/exec"
	"strings"
	"testing"
)

// TestDependencies lists the modules that users inherit with the packages they
// import. A new one must earn its place here.
func TestDependencies(t *testing.T) {
	allowed := map[string]bool{
		"github.com/idxauth/idxauth":    true,
		"github.com/alexedwards/scs/v2": true,
		"github.com/redis/go-redis/v9":  true,
		"golang.org/x/crypto":           true,
		"github.com/sony/gobreaker/v2":  true,
		"golang.org/x/sync":             true,
		"golang.org/x/time":             true,
		// of go-redis
		"github.com/cespare/xxhash/v2":  true,
		"github.com/zeebo/xxh3":         true,
		"github.com/klauspost/cpuid/v2": true,
		"go.uber.org/atomic":            true,
		"golang.org/x/sys":              true,
	}
	cmd := exec.Command("go", "list", "-deps", "-f", "{{with .Module}}{{.Path}}{{end}}", "./idx", "./session", "./middleware")
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	for module := range strings.SplitSeq(strings.TrimSpace(string(out)), "\n") {
		if module != "" && !allowed[module] {
			t.Errorf("users would inherit %s", module)
		}
	}
}
