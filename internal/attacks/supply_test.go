package attacks_test

import (
	"crypto/rand"
	"errors"
	"fmt"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/idxauth/idxauth/idx/idxtest"
)

// O1. A dependency turns bad. Which modules users inherit is TestDependencies of
// internal/repotest; here is what could bring in others unseen.
func TestO1DependencyBudget(t *testing.T) {
	read := func(path string) string {
		t.Helper()
		b, err := os.ReadFile("../../" + path)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	mod, sum := read("go.mod"), read("go.sum")
	for _, directive := range []string{"replace", "exclude", "toolchain", "tool "} {
		if regexp.MustCompile(`(?m)^` + directive).MatchString(mod) {
			t.Errorf("go.mod has a %s directive", directive)
		}
	}
	required := regexp.MustCompile(`(?m)^\s*(?:require )?(\S+\.\S+/\S+) (v\S+)`).FindAllStringSubmatch(mod, -1)
	if len(required) < 5 {
		t.Fatalf("go.mod: %q", required)
	}
	for _, r := range required {
		if !strings.Contains(sum, r[1]+" "+r[2]+" h1:") {
			t.Errorf("go.sum does not pin %s %s", r[1], r[2])
		}
		if r[1] == "github.com/redis/go-redis/v9" { // CVE-2025-29923 was mended in 9.7.3
			var minor, patch int
			if _, err := fmt.Sscanf(r[2], "v9.%d.%d", &minor, &patch); err != nil || minor < 7 || minor == 7 && patch < 3 {
				t.Errorf("go-redis %s gives replies to the wrong question", r[2])
			}
		}
	}
	goFiles(t, func(path, source string) {
		for _, bad := range []string{"//go:generate", "//go:linkname", `"unsafe"`, `import "C"`, `"os/exec"`, `"plugin"`} {
			if strings.Contains(source, bad) && !strings.HasPrefix(path, "example/") {
				t.Errorf("%s has %s", path, bad)
			}
		}
	})
	if ci := read(".ci/run"); strings.Contains(ci, "@latest") || strings.Contains(ci, "curl ") || !strings.Contains(ci, "staticcheck@v") {
		t.Error(".ci/run uses a tool of no certain version")
	}
}

// O2. Where the system has no randomness, tokens become predictable (fiber CVE-2025-66565,
// CVE-2025-66630). Here the process ends instead.
func TestO2FallbackRandomness(t *testing.T) {
	if os.Getenv("IDXAUTH_NO_RANDOMNESS") == "1" { // in the process that is started below
		a := newApp(t)
		a.browser().enter(idxtest.Ada)
		fmt.Println("it works as long as there is randomness")
		b := a.browser()
		back := b.ticket("/dashboard/", idxtest.Ada)
		rand.Reader = dry{}
		fmt.Println("answered:", b.open(back).Cookies())
		return
	}
	goFiles(t, func(path, source string) {
		file, err := parser.ParseFile(token.NewFileSet(), path, source, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, imported := range file.Imports {
			name, _ := strconv.Unquote(imported.Path.Value)
			if strings.HasPrefix(name, "math/rand") && path != "idx/retry.go" { // pauses
				t.Errorf("%s imports %s", path, name)
			}
			if strings.Contains(name, "uuid") {
				t.Errorf("%s imports %s", path, name)
			}
		}
	})
	cmd := exec.Command(os.Args[0], "-test.run=^TestO2FallbackRandomness$", "-test.v")
	cmd.Env = append(os.Environ(), "IDXAUTH_NO_RANDOMNESS=1")
	out, err := cmd.CombinedOutput()
	if err == nil || strings.Contains(string(out), "answered:") || !strings.Contains(string(out), "failed to read random data") || !strings.Contains(string(out), "it works") {
		t.Errorf("without randomness: %v\n%.2000s", err, out)
	}
}

type dry struct{}

func (dry) Read([]byte) (int, error) { return 0, errors.New("no randomness") }
