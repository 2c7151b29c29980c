package browser_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"

	"github.com/idxauth/idxauth/idx/idxtest"
)

// Either keeps a test from hanging; a page takes far less.
const (
	patience  = 5 * time.Minute // for one test
	startTime = time.Minute     // for Chromium
)

// example is the built binary, once for all tests.
var example string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "idxauth-browser")
		if err != nil {
			panic(err)
		}
		defer os.RemoveAll(dir)
		example = filepath.Join(dir, "example")
		build := exec.Command("go", "build", "-o", example, "./example")
		build.Dir = "../.."
		if out, err := build.CombinedOutput(); err != nil {
			panic(fmt.Sprintf("go build ./example: %v\n%s", err, out))
		}
		return m.Run()
	}())
}

// startExample runs the example on free ports and returns the addresses of the
// application and of the hosted page.
func startExample(t *testing.T) (app, hub string) {
	t.Helper()
	lines := launch(t, "LOGINRADIUS_APP_NAME=")
	app = addressIn(t, lines, "Open ")
	return app, addressIn(t, lines, "The hosted page")
}

// startWithTenant runs the example as with a tenant of one's own, which is an emulator
// that the test can change.
func startWithTenant(t *testing.T) (app string, tenant *idxtest.Server) {
	t.Helper()
	tenant, err := idxtest.Start("")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tenant.Close)
	cfg := tenant.Config()
	lines := launch(t, "LOGINRADIUS_APP_NAME="+cfg.AppName, "LOGINRADIUS_API_KEY="+cfg.APIKey,
		"LOGINRADIUS_API_SECRET="+string(cfg.APISecret), "LOGINRADIUS_HUB_URL="+cfg.HubURL, "LOGINRADIUS_API_URL="+cfg.APIURL)
	return addressIn(t, lines, "Open "), tenant
}

// launch runs the example until the test ends, and returns what it prints.
func launch(t *testing.T, env ...string) *bufio.Scanner {
	t.Helper()
	cmd := exec.Command(example)
	cmd.Env = append(append(os.Environ(), "ADDR=localhost:0", "BASE_URL=", "REDIS_URL="), env...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			t.Errorf("the example did not stop gracefully: %v", err)
		}
	})
	return bufio.NewScanner(out)
}

var address = regexp.MustCompile(`http://[a-z0-9.]+:[0-9]+`)

// addressIn reads up to the line that begins with prefix.
func addressIn(t *testing.T, lines *bufio.Scanner, prefix string) string {
	t.Helper()
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), prefix) {
			return address.FindString(lines.Text())
		}
	}
	t.Fatalf("the example printed no line that begins with %q", prefix)
	return ""
}

// newBrowser starts a Chromium with an empty profile.
func newBrowser(t *testing.T) context.Context {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		if os.Getenv("IDXAUTH_REQUIRE_BROWSER") != "" {
			t.Fatal("chromium is not installed, and IDXAUTH_REQUIRE_BROWSER asks for it")
		}
		t.Skip("chromium is not installed: no page was looked at in a browser")
	}
	// Not t.TempDir: helper processes of a browser that has ended may still write there
	// for a moment.
	profile, err := os.MkdirTemp("", "idxauth-chromium")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(profile) })
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.WSURLReadTimeout(startTime), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.UserDataDir(profile),
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true))
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewExecAllocator(ctx, options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	t.Cleanup(func() { chromedp.Cancel(ctx) }) // waits for the browser to end
	run(t, ctx, chromedp.EmulateViewport(1280, 800))
	return ctx
}

func run(t *testing.T, ctx context.Context, actions ...chromedp.Action) {
	t.Helper()
	if err := chromedp.Run(ctx, actions...); err != nil {
		var at, body string
		chromedp.Run(ctx, chromedp.Location(&at), chromedp.Text("body", &body, chromedp.ByQuery))
		t.Fatalf("at %s: %v\n%.500s", at, err, body)
	}
}

// heading waits for a page with this heading.
func heading(text string) chromedp.Action {
	return chromedp.WaitVisible(fmt.Sprintf(`//h1[contains(., %q)]`, text), chromedp.BySearch)
}

// click clicks on a link or button by its text.
func click(text string) chromedp.Action {
	return chromedp.Click(fmt.Sprintf(`//*[self::a or self::button][contains(., %q)]`, text), chromedp.BySearch)
}

func location(t *testing.T, ctx context.Context) string {
	t.Helper()
	var at string
	run(t, ctx, chromedp.Location(&at))
	return at
}

func text(t *testing.T, ctx context.Context) string {
	t.Helper()
	var body string
	run(t, ctx, chromedp.Text("body", &body, chromedp.ByQuery))
	return body
}

// ownCookies returns the browser's cookies for the application.
func ownCookies(t *testing.T, ctx context.Context, app string) []*network.Cookie {
	t.Helper()
	var cookies []*network.Cookie
	run(t, ctx, chromedp.ActionFunc(func(ctx context.Context) (err error) {
		cookies, err = network.GetCookies().WithURLs([]string{app + "/"}).Do(ctx)
		return err
	}))
	return cookies
}

// picture takes the page that is shown: light and dark, wide and on a phone.
func picture(t *testing.T, ctx context.Context, name string) {
	t.Helper()
	dir := os.Getenv("ARTIFACTS")
	if dir == "" {
		dir = "../../artifacts"
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, scheme := range []string{"light", "dark"} {
		for size, width := range map[string]int64{"desktop": 1280, "phone": 390} {
			var png []byte
			var overflow bool
			run(t, ctx,
				emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}),
				chromedp.EmulateViewport(width, 844),
				chromedp.Evaluate(`document.documentElement.scrollWidth > document.documentElement.clientWidth`, &overflow),
				chromedp.FullScreenshot(&png, 100))
			if overflow {
				t.Errorf("%s is wider than a %s", name, size)
			}
			if err := os.WriteFile(filepath.Join(dir, name+"-"+size+"-"+scheme+".png"), png, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	run(t, ctx, emulation.SetEmulatedMedia(), chromedp.EmulateViewport(1280, 800))
}
