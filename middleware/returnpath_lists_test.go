package middleware

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// readList reads a list of return paths from testdata.
func readList(t testing.TB, name string) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "returnpaths", name))
	if err != nil {
		t.Fatal(err)
	}
	var paths []string
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSuffix(line, "\n")
		switch {
		case line == "", strings.HasPrefix(line, "# "):
			continue
		case line[0] == '"':
			if line, err = strconv.Unquote(line); err != nil {
				t.Fatalf("%s: %q: %v", name, line, err)
			}
		}
		paths = append(paths, line)
	}
	return paths
}

func TestReturnPathLists(t *testing.T) {
	s := testSite("")
	for _, in := range readList(t, "kept") {
		if got, _ := s.returnPath(in); got != in {
			t.Errorf("returnPath(%q) = %q, want it kept", in, got)
		}
	}
	for _, in := range readList(t, "refused") {
		if got, ok := s.returnPath(in); ok {
			t.Errorf("returnPath(%q) = %q, want it refused", in, got)
		}
	}
}
