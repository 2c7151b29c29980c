package urls

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// question is a verdict as scripts read it.
type question struct {
	In       string `json:"in"`
	Page     string `json:"page"`
	Location string `json:"location"`
}

func questions(all []verdict) []question {
	asked := make([]question, len(all))
	for i, v := range all {
		asked[i] = question{v.in, v.site.page(), v.location}
	}
	return asked
}

// readURL is for every JavaScript: the algorithm is the browser's.
const readURL = `(({in: input, page, location}) => {
	const r = {Resolved: 'invalid', Origin: 'invalid', Path: '', Query: '', Fragment: ''};
	try { r.Resolved = new URL(input, page).origin } catch {}
	try {
		const u = new URL(location);
		r.Origin = u.username || u.password ? 'of ' + u.username : u.origin;
		r.Path = u.pathname; r.Query = u.search.slice(1); r.Fragment = u.hash.slice(1);
	} catch {}
	return r;
})`

const nodeScript = `
let text = '';
process.stdin.setEncoding('utf8').on('data', part => text += part).on('end', () =>
	process.stdout.write(JSON.stringify(JSON.parse(text).map(` + readURL + `))));
`

const pythonScript = `
import json, sys
from urllib.parse import urljoin, urlsplit
def read(q):
    r = {'Resolved': 'invalid', 'Origin': 'invalid', 'Path': '', 'Query': '', 'Fragment': ''}
    try:
        u = urlsplit(urljoin(q['page'], q['in']))
        r['Resolved'] = u.scheme + '://' + u.netloc
    except ValueError:
        pass
    try:
        u = urlsplit(q['location'])
        r.update(Origin=u.scheme + '://' + u.netloc, Path=u.path, Query=u.query, Fragment=u.fragment)
    except ValueError:
        pass
    return r
json.dump([read(q) for q in json.load(sys.stdin)], sys.stdout)
`

func node(t testing.TB) (parser, error) { return script(t, "node", "-e", nodeScript) }

func python(t testing.TB) (parser, error) { return script(t, "python3", "-c", pythonScript) }

// script is a parser in another language. It may be missing.
func script(t testing.TB, program, flag, text string) (parser, error) {
	if _, err := exec.LookPath(program); err != nil {
		return parser{}, fmt.Errorf("%s: %w", program, errMissing)
	}
	version, err := exec.Command(program, "--version").CombinedOutput()
	if err != nil {
		return parser{}, fmt.Errorf("%s --version: %w", program, err)
	}
	return parser{program + " " + strings.TrimSpace(string(version)), func(t testing.TB, all []verdict) []reading {
		t.Helper()
		in, err := json.Marshal(questions(all))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
		defer cancel()
		cmd := exec.CommandContext(ctx, program, flag, text)
		cmd.Stdin = bytes.NewReader(in)
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%s: %v", program, err)
		}
		var readings []reading
		if err := json.Unmarshal(out, &readings); err != nil {
			t.Fatalf("%s: %v", program, err)
		}
		return readings
	}}, nil
}
