package urls

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const testdata = "../../middleware/testdata/"

// list reads one of the lists of the middleware's own tests: one path a line; a line that
// begins with a quotation mark is a Go string.
func list(t testing.TB, name string) []string {
	t.Helper()
	text, err := os.ReadFile(testdata + "returnpaths/" + name)
	if err != nil {
		t.Fatal(err)
	}
	var inputs []string
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSuffix(line, "\n")
		switch {
		case line == "", strings.HasPrefix(line, "# "):
			continue
		case line[0] == '"':
			if line, err = strconv.Unquote(line); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		inputs = append(inputs, line)
	}
	return inputs
}

// corpus reads what the fuzzer has kept for a target: of each input the first string.
func corpus(t testing.TB, dir string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	var inputs []string
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			value, ok := strings.CutPrefix(strings.TrimSpace(line), "string(")
			if !ok {
				continue
			}
			value, err := strconv.Unquote(strings.TrimSuffix(value, ")"))
			if err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			inputs = append(inputs, value)
			break
		}
	}
	return inputs
}

// written returns what people have written down or the fuzzer has found.
func written(t testing.TB) []string {
	t.Helper()
	var all []string
	all = append(all, list(t, "kept")...)
	all = append(all, list(t, "refused")...)
	found := 0
	for _, dir := range []string{testdata + "fuzz/FuzzReturnPath", testdata + "fuzz/FuzzDeepLink", "testdata/fuzz/FuzzParsers"} {
		inputs := corpus(t, dir)
		found += len(inputs)
		all = append(all, inputs...)
	}
	if found == 0 {
		t.Fatal("there is no corpus of the fuzz targets")
	}
	return all
}

// pieces is what attacks and honest paths are made of.
var pieces = []string{
	"/", "/", "/", "//", `\`, `/\`, "%2f", "%2F", "%5c", "%252f", "%25252F", "%255C",
	".", "..", "%2e", "%2E%2e", "%252e", "...", "\t", "\n", "\r", "\x00", "\x0b", "\x7f", " ", "%09", "%0d%0a", "%00", "%20",
	"?", "#", "@", ":", ":80", ":443", ";", "&", "=", "+", ",", "!", "$", "'", "(", ")", "*", "~", "-", "_",
	"{", "}", "|", "^", "`", "<", ">", `"`, "[", "]", "%", "%zz", "%4", "%25", "%41", "%C3%BC", "%E9", "%c0%af", "%E2%80%AE",
	"ü", "日本", "😀", "\u0085", "\u00ad", "\u200b", "\u202e", "\u2028", "\ufeff", "／", "＼", "．", "。", "\u2044", "⁄", "ｅ", "\u0301", "\xff", "\xc0\xaf",
	"https:", "http:", "HTTPS://", "javascript:", "data:", "file:", "blob:", "mailto:",
	"evil.example", "app.example", "app.example@evil.example", "[::1]", "127.0.0.1", "0x7f.1", "localhost", "xn--", "user:pass@",
	"auth", "AUTH", "%61uth", "login", "%6cogin", "logout", "callback", "profile", "shop", "a", "b", "c.html", "x=1", "next=https://evil.example",
}

// mutations returns count different inputs, the same ones each time: half of them put
// together, half of them changed in one to three places.
func mutations(from []string, count int) []string {
	chance := rand.New(rand.NewPCG(20261124, 5))
	piece := func() string { return pieces[chance.IntN(len(pieces))] }
	seen := make(map[string]bool)
	var all []string
	for len(all) < count {
		var in string
		if chance.IntN(2) == 0 {
			if chance.IntN(8) > 0 {
				in = "/"
			}
			for range 1 + chance.IntN(6) {
				in += piece()
			}
		} else {
			in = from[chance.IntN(len(from))]
			for range 1 + chance.IntN(3) {
				at := chance.IntN(len(in) + 1)
				before, after := in[:at], in[at:]
				switch {
				case after == "" || chance.IntN(3) == 0:
					in = before + piece() + after
				case chance.IntN(4) == 0:
					in = before + after[1:]
				case chance.IntN(4) == 0:
					in = before + fmt.Sprintf("%%%02X", after[0]) + after[1:]
				case chance.IntN(3) == 0:
					in = before + after + after
				default:
					in = before + piece() + after[1:]
				}
			}
		}
		if len(in) < 500 && !seen[in] {
			seen[in] = true
			all = append(all, in)
		}
	}
	return all
}

// everything returns all inputs once, in a fixed order.
func everything(t testing.TB) []string {
	t.Helper()
	known := written(t)
	all := append(known, mutations(known, 50_000)...)
	slices.Sort(all)
	return slices.Compact(all)
}
