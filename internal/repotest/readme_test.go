package repotest_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const root = "../.."

var goBlock = regexp.MustCompile("(?ms)^```go\n(.*?)^```$")

// TestREADMECompiles builds every Go block of the README: whole programs as they are,
// fragments as the body of a function that has what the README has introduced.
func TestREADMECompiles(t *testing.T) {
	readme, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	blocks := goBlock.FindAllSubmatch(readme, -1)
	if len(blocks) == 0 {
		t.Fatal("README.md has no Go block")
	}
	here, err := filepath.Abs(".")
	if err != nil {
		t.Fatal(err)
	}
	// The files exist for the go command only, inside this module, so that they see
	// its dependencies.
	overlay := make(map[string]string)
	var packages []string
	for i, block := range blocks {
		real := filepath.Join(t.TempDir(), "block.go")
		if err := os.WriteFile(real, source(block[1]), 0o600); err != nil {
			t.Fatal(err)
		}
		name := fmt.Sprintf("readme%d", i+1)
		overlay[filepath.Join(here, name, "block.go")] = real
		packages = append(packages, "./"+name)
	}
	plan, err := json.Marshal(map[string]any{"Replace": overlay})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "overlay.json")
	if err := os.WriteFile(file, plan, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("go", append([]string{"build", "-o", os.DevNull, "-overlay", file}, packages...)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("README.md does not compile: %v\n%s", err, out)
	}
}

// source makes a file of a block.
func source(block []byte) []byte {
	if bytes.HasPrefix(block, []byte("package ")) {
		return block
	}
	return []byte(strings.Replace(fragment, "BODY", string(block), 1))
}

const fragment = `package readme

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/idxauth/idxauth/idx"
	"github.com/idxauth/idxauth/idx/idxtest"
	"github.com/idxauth/idxauth/middleware"
	"github.com/idxauth/idxauth/middleware/authtest"
	"github.com/idxauth/idxauth/session"
)

var (
	_ = context.Background
	_ = errors.New
	_ = fmt.Fprint
	_ = http.NotFound
	_ = httptest.NewRecorder
	_ testing.TB
	_ = time.Now
	_ = redis.NewClient
	_ = idx.New
	_ = idxtest.Start
	_ = middleware.New
	_ = authtest.New
	_ = session.NewMemory
)

func _(auth *middleware.Auth, mux *http.ServeMux, handler http.Handler, w http.ResponseWriter, r *http.Request, t *testing.T) {
BODY}
`
