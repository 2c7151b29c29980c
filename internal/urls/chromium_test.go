package urls

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// newBrowser starts a Chromium with an empty profile, which must be there if
// IDXAUTH_REQUIRE_BROWSER says so.
func newBrowser(t testing.TB) (context.Context, error) {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		if os.Getenv("IDXAUTH_REQUIRE_BROWSER") != "" {
			t.Fatal("chromium is not installed, and IDXAUTH_REQUIRE_BROWSER asks for it")
		}
		return nil, fmt.Errorf("chromium: %w", errMissing)
	}
	// Not t.TempDir: helper processes of a browser that has ended may still write there
	// for a moment.
	profile, err := os.MkdirTemp("", "idxauth-chromium")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(profile) })
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.WSURLReadTimeout(time.Minute), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.UserDataDir(profile),
		chromedp.Flag("disable-component-update", true))
	ctx, cancel := context.WithTimeout(context.Background(), 8*time.Minute)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewExecAllocator(ctx, options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	t.Cleanup(func() { chromedp.Cancel(ctx) }) // waits for the browser to end
	if err := chromedp.Run(ctx, chromedp.Navigate("about:blank")); err != nil {
		t.Fatalf("chromium: %v", err)
	}
	return ctx, nil
}

func chromium(t testing.TB) (parser, error) {
	ctx, err := newBrowser(t)
	if err != nil {
		return parser{}, err
	}
	var agent string
	if err := chromedp.Run(ctx, chromedp.Evaluate(`navigator.userAgent.match(/Chrome\/[0-9.]+/)[0]`, &agent)); err != nil {
		t.Fatal(err)
	}
	return parser{"Chromium (" + agent + ")", func(t testing.TB, all []verdict) (readings []reading) {
		t.Helper()
		for batch := range slices.Chunk(questions(all), 5000) {
			in, err := json.Marshal(batch)
			if err != nil {
				t.Fatal(err)
			}
			literal, err := json.Marshal(string(in)) // engines read JSON faster than programs
			if err != nil {
				t.Fatal(err)
			}
			var out string
			if err := chromedp.Run(ctx, chromedp.Evaluate("JSON.stringify(JSON.parse("+string(literal)+").map("+readURL+"))", &out)); err != nil {
				t.Fatalf("chromium: %v", err)
			}
			var part []reading
			if err := json.Unmarshal([]byte(out), &part); err != nil {
				t.Fatalf("chromium: %v", err)
			}
			readings = append(readings, part...)
		}
		return readings
	}}, nil
}

// follow lets the browser follow our redirect for each input, and returns where it got
// to, and what request line arrived there.
const follow = `(async inputs => {
	const ends = new Array(inputs.length);
	let next = 0;
	const go = async () => {
		for (let i; (i = next++) < inputs.length;) {
			try {
				const answer = await fetch('/auth/profile/back?return_to=' + encodeURIComponent(inputs[i]), {cache: 'no-store'});
				ends[i] = {Address: answer.url, Arrived: await answer.text()};
			} catch (e) { ends[i] = {Address: String(e), Arrived: ''} }
		}
	};
	await Promise.all(Array.from({length: 6}, go));
	return JSON.stringify(ends);
})`

// TestBrowserFollows does it for real, over a network: the header as the server sends
// it, the browser's own redirect, and the request line that arrives.
func TestBrowserFollows(t *testing.T) {
	ctx, err := newBrowser(t)
	if err != nil {
		t.Skipf("no redirect was followed by a browser: %v", err)
	}
	server := httptest.NewUnstartedServer(nil)
	_, port, _ := net.SplitHostPort(server.Listener.Addr().String())
	s := newSite(t, "http://localhost:"+port, "")
	server.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/auth/profile/back" && strings.HasPrefix(r.URL.RawQuery, "return_to=") {
			s.routes.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		io.WriteString(w, r.Host+" "+r.RequestURI)
	})
	server.Start()
	defer server.Close()

	known := written(t)
	inputs := append(known, mutations(known, 3000)...)
	inputs = slices.DeleteFunc(inputs, func(in string) bool {
		return strings.ToValidUTF8(in, "") != in // a script cannot say it, and it is always refused
	})
	in, err := json.Marshal(inputs)
	if err != nil {
		t.Fatal(err)
	}
	var out string
	err = chromedp.Run(ctx, chromedp.Navigate(s.origin+"/start"),
		chromedp.Evaluate(follow+"("+string(in)+")", &out, chromedp.EvalAsValue, awaitPromise))
	if err != nil {
		t.Fatalf("chromium: %v", err)
	}
	var ends []struct{ Address, Arrived string }
	if err := json.Unmarshal([]byte(out), &ends); err != nil || len(ends) != len(inputs) {
		t.Fatalf("%d answers to %d inputs: %v", len(ends), len(inputs), err)
	}
	kept := 0
	for i, in := range inputs {
		v := s.judge(t, in)
		if v.kept {
			kept++
		}
		u, err := url.Parse(ends[i].Address)
		if err != nil || u.Scheme+"://"+u.Host != s.origin {
			t.Errorf("%q leads to %q", in, ends[i].Address)
			continue
		}
		line, _, _ := strings.Cut(strings.TrimPrefix(v.location, s.origin), "#")
		host, arrived, _ := strings.Cut(ends[i].Arrived, " ")
		if host != "localhost:"+port || decode(arrived) != decode(line) || strings.Count(arrived, "/") != strings.Count(line, "/") {
			t.Errorf("%q: %q arrived at %q, want %q", in, arrived, host, line)
		}
		p, _, _ := strings.Cut(arrived, "?")
		if err := checkRoute(s, p); err != nil {
			t.Errorf("%q: %v", in, err)
		}
	}
	t.Logf("%d inputs followed, %d of them kept", len(inputs), kept)
}

func awaitPromise(p *runtime.EvaluateParams) *runtime.EvaluateParams { return p.WithAwaitPromise(true) }
