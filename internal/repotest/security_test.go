package repotest_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// lastRows is the number of the last row of each table of SECURITY.md.
var lastRows = map[rune]int{
	'A': 11, 'B': 7, 'C': 7, 'D': 6, 'E': 7, 'F': 8, 'G': 8, 'H': 6,
	'I': 7, 'J': 8, 'K': 4, 'L': 6, 'M': 9, 'N': 3, 'O': 2, 'P': 4,
}

var (
	tableRow   = regexp.MustCompile(`(?m)^\| ([A-P][0-9]+) \|(.*)\|(.*)\|(.*)\|$`)
	quotedTest = regexp.MustCompile("`(Test[A-Za-z0-9]+)`")
	testFunc   = regexp.MustCompile(`(?m)^func (Test[A-Za-z0-9_]+)\(`)
)

// TestSecurityTable holds SECURITY.md to what it says: every row has a threat, a defence
// and a test that exists, and every attack that is tested has its row.
func TestSecurityTable(t *testing.T) {
	source, err := os.ReadFile(filepath.Join(root, "SECURITY.md"))
	if err != nil {
		t.Fatal(err)
	}
	tests := testsOf(t, root)
	rows := make(map[string]bool)
	named := make(map[string]bool)
	for _, row := range tableRow.FindAllStringSubmatch(string(source), -1) {
		id, threat, defence := row[1], strings.TrimSpace(row[2]), strings.TrimSpace(row[3])
		if rows[id] || threat == "" || defence == "" {
			t.Errorf("row %s is there twice, or says nothing", id)
		}
		rows[id] = true
		own := false
		for _, match := range quotedTest.FindAllStringSubmatch(row[4], -1) {
			name := match[1]
			if !tests[name] {
				t.Errorf("row %s: there is no %s", id, name)
			}
			named[name] = true
			rest, ok := strings.CutPrefix(name, "Test"+id)
			own = own || ok && rest != "" && (rest[0] < '0' || rest[0] > '9')
		}
		if !own {
			t.Errorf("row %s names no test of its own", id)
		}
	}
	for table, last := range lastRows {
		for n := 1; n <= last; n++ {
			id := fmt.Sprintf("%c%d", table, n)
			if !rows[id] {
				t.Errorf("row %s is missing", id)
			}
			delete(rows, id)
		}
	}
	for id := range rows {
		t.Errorf("row %s is beyond the last one of its table", id)
	}
	for name := range testsOf(t, filepath.Join(root, "internal/attacks")) {
		if !named[name] {
			t.Errorf("no row names %s", name)
		}
	}
}

// testsOf returns the names of all tests in and below dir.
func testsOf(t *testing.T, dir string) map[string]bool {
	t.Helper()
	tests := make(map[string]bool)
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		source, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, match := range testFunc.FindAllSubmatch(source, -1) {
			tests[string(match[1])] = true
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return tests
}
