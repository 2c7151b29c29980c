package secrets

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/idxauth/idxauth/idx"
	"github.com/idxauth/idxauth/idx/idxtest"
	"github.com/idxauth/idxauth/middleware"
	"github.com/idxauth/idxauth/middleware/authtest"
	"github.com/idxauth/idxauth/session"
)

// The test binary is run again as a process that crashes. It is told the way by this
// variable, and its secrets by others.
const crashAs = "IDXAUTH_TEST_CRASH"

func TestMain(m *testing.M) {
	if way := os.Getenv(crashAs); way != "" {
		crash(way)
		fmt.Fprintln(os.Stderr, "did not crash")
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// crashes are ways to end a process by a panic while the middleware is on the stack and
// secrets are in hand. Outside of a server nobody recovers.
var crashes = []string{"handler", "token", "session", "Auth", "configuration", "user", "JSON", "OnLogin", "OnDenied", "transport", "nil map", "fatal"}

// crash has a signed-in user with a token, a secret and cookies, and panics.
func crash(way string) {
	api := &http.Client{Transport: inChild{way}}
	cfg := middleware.Config{
		IDX:     idx.Config{AppName: "my-app", APIKey: "the-key", APISecret: idx.Secret(os.Getenv("SECRET")), HTTPClient: api},
		BaseURL: "https://app.example", Store: session.NewMemory(),
		Hooks: middleware.Hooks{
			OnLogin: func(_ context.Context, u *middleware.Identity) error {
				if way == "OnLogin" {
					panic(u.AccessToken())
				}
				return nil
			},
			OnDenied: func(_ context.Context, p middleware.Problem) {
				if way == "OnDenied" {
					panic(p)
				}
			},
		},
	}
	auth := middleware.Must(middleware.New(cfg))
	mux := http.NewServeMux()
	mux.Handle("/auth/", auth.Handler())
	mux.Handle("/", auth.Protect(func(w http.ResponseWriter, r *http.Request, u *middleware.Identity) {
		switch way {
		case "handler":
			panic(errors.New("handler panics"))
		case "token":
			panic(u.AccessToken())
		case "session":
			panic(session.FromContext(r.Context()))
		case "Auth":
			panic(auth)
		case "configuration":
			wrong := strings.Join([]string{"%s", "%+v"}, " ") // where go vet does not look
			panic(fmt.Sprintf(wrong, cfg, &cfg))
		case "user":
			panic(fmt.Sprintf("%d", struct{ U any }{u}))
		case "JSON":
			session.Put(r.Context(), "x", panicsInJSON{})
		case "nil map":
			none := http.Header(new(http.Response).Header)
			none.Set(string(u.AccessToken()), "x")
		case "fatal": // every goroutine is printed
			go func() { panic("elsewhere") }()
			<-time.After(time.Minute)
		}
	}))
	login := visit(mux, "/auth/login", "")
	at, _ := login.Location()
	back := strings.TrimPrefix(at.Query().Get("return_url"), "https://app.example")
	binding := login.Header.Get("Set-Cookie")
	fmt.Fprintln(os.Stdout, "SECRETS", strings.TrimPrefix(back, "/auth/callback?state="), cookieValue(login, "-login"))
	if way == "OnDenied" {
		visit(mux, "/auth/callback?token="+os.Getenv("TOKEN"), binding)
	}
	signedIn := visit(mux, back+"&token="+os.Getenv("TOKEN"), binding)
	token := cookieValue(signedIn, "-session")
	fmt.Fprintln(os.Stdout, "SECRETS", token, cookieValue(signedIn, "-login"))
	visit(mux, "/page", auth.Sessions().CookieName()+"="+token)
}

// inChild is the API of the process that crashes.
type inChild struct{ way string }

func (c inChild) RoundTrip(*http.Request) (*http.Response, error) {
	if c.way == "transport" {
		panic("transport panics")
	}
	return says(200, nil, `{"Uid":"u1","Email":[{"Type":"Primary","Value":"ada@example.com"}],"IsActive":true}`)
}

func visit(h http.Handler, target, cookie string) *http.Response {
	r := httptest.NewRequest("GET", target, nil)
	r.Header.Set("Accept", "text/html")
	r.Header.Set("Cookie", strings.TrimSuffix(strings.SplitN(cookie, ";", 2)[0], ";"))
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

func cookieValue(resp *http.Response, suffix string) string {
	for _, c := range resp.Cookies() {
		if strings.HasSuffix(c.Name, suffix) {
			return c.Value
		}
	}
	return ""
}

// TestCrashesShowNoSecret reads what a process says that dies of a panic.
func TestCrashesShowNoSecret(t *testing.T) {
	r := newRecord()
	const apiKeySecret, token = "c1a5e2d7-3b94-4f08-96ad-7e2f50b8c3d1", "7be0f4a1-9c2d-4e83-b5f6-01d8a7c93e24"
	r.enter(apiSecret, apiKeySecret)
	r.enter(accessToken, token)
	crashed := 0
	for _, way := range crashes {
		r.does("crash: " + way)
		cmd := exec.CommandContext(t.Context(), os.Args[0])
		cmd.Env = append(os.Environ(), crashAs+"="+way, "SECRET="+apiKeySecret, "TOKEN="+token, "GOTRACEBACK=system")
		var out, said bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &said
		err := cmd.Run()
		r.learnLines(out.String())
		if isExit := new(exec.ExitError); errors.As(err, &isExit) && strings.Contains(said.String(), "goroutine ") {
			crashed++
		} else if way != "transport" && way != "JSON" {
			t.Errorf("%s: the process did not crash (%v): %s", way, err, said.String())
		}
		r.keep(processSays, way, said.String())
	}
	if crashed < len(crashes)-2 || r.entered(sessionToken) == 0 {
		t.Errorf("%d of %d processes have crashed, with %d session tokens", crashed, len(crashes), r.entered(sessionToken))
	}
	r.judge(t)
}

// learnLines enters what the child has told of its secrets.
func (r *record) learnLines(out string) {
	kinds := [][2]kind{{loginState, bindingCookie}, {sessionToken, bindingCookie}}
	for line := range strings.Lines(out) {
		words := strings.Fields(line)
		if len(words) == 3 && words[0] == "SECRETS" && len(kinds) > 0 {
			r.enter(kinds[0][0], words[1])
			r.enter(kinds[0][1], words[2])
			kinds = kinds[1:]
		}
	}
}

// TestExampleSaysNoSecret runs the example as a process, with everything that a visitor
// does there, and stops it as an operator does.
func TestExampleSaysNoSecret(t *testing.T) {
	program := filepath.Join(t.TempDir(), "example")
	if out, err := exec.Command("go", "build", "-o", program, "../../example").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, settings := range []string{"tenant", "half a tenant", "wrong Redis"} {
		r := newRecord()
		r.does("example: " + settings)
		r.runExample(t, program, settings)
		if r.count(processSays) == 0 {
			t.Errorf("%s: the example has said nothing", settings)
		}
		r.judge(t)
	}
}

func (r *record) runExample(t *testing.T, program, settings string) {
	hub := idxtest.NewServer(t)
	r.hub = hub.URL
	cfg := hub.Config()
	user := r.marked(hub, "example "+settings)
	const word = "rp-7Kd2Xw9QnB4sLf6Ty1Vz"
	r.enter(apiSecret, string(cfg.APISecret))
	r.enter(redisPassword, word)
	env := append(os.Environ(), "ADDR=localhost:0", "LOGINRADIUS_APP_NAME="+cfg.AppName, "LOGINRADIUS_API_KEY="+cfg.APIKey,
		"LOGINRADIUS_API_SECRET="+string(cfg.APISecret), "LOGINRADIUS_HUB_URL="+cfg.HubURL, "LOGINRADIUS_API_URL="+cfg.APIURL, "REDIS_URL=")
	switch settings {
	case "half a tenant":
		env = append(env, "LOGINRADIUS_APP_NAME=")
	case "wrong Redis":
		env = append(env, "REDIS_URL=redis://u:"+word+"@"+liar(t, func(c string) string { return "-ERR " + strings.Join(words(c), " ") + "\r\n" }))
	}
	cmd := exec.CommandContext(t.Context(), program)
	cmd.Env = env
	opened := make(chan string, 1)
	out := &follower{record: r, opened: opened}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case origin := <-opened:
		a := &app{record: r, t: t, origin: origin, hub: hub}
		hub.SetWebhook(origin + "/auth/webhook")
		b := a.browser()
		page, _ := b.open("/dashboard")
		if resp, err := hub.SignIn(b.client, page, user.Email); err == nil {
			resp.Body.Close()
		}
		for _, path := range []string{"/", "/dashboard", "/admin", "/account", "/api/me", "/scrap", "/auth/devices", "/nowhere", "/readyz", "/account/changed"} {
			b.open(path)
		}
		hub.SetFault(idxtest.Fault{Kind: idxtest.ServerError})
		b.open("/account/changed")
		b.send(false, "GET", a.back(b, user), "")
		hub.ClearFault()
		hub.UpdateUser(user.UID, func(u *idxtest.User) { u.Blocked = true })
		hub.WaitWebhooks()
		b.open("/dashboard")
		b.post("/auth/logout", "")
		cmd.Process.Signal(os.Interrupt)
		if err := <-ended; err != nil {
			t.Errorf("%s: the example ended with %v", settings, err)
		}
	case err := <-ended:
		if settings != "half a tenant" {
			t.Errorf("%s: the example ended with %v", settings, err)
		}
	case <-time.After(time.Minute):
		cmd.Process.Kill()
		<-ended
		t.Errorf("%s: the example did not start", settings)
	}
}

// follower keeps what the example says and waits for its address.
type follower struct {
	*record
	mu     sync.Mutex
	text   string
	opened chan string
}

func (f *follower) Write(p []byte) (int, error) {
	f.keep(processSays, "example", string(p))
	f.mu.Lock()
	defer f.mu.Unlock()
	f.text += string(p)
	if _, rest, ok := strings.Cut(f.text, "Open "); ok && f.opened != nil {
		if origin, _, complete := strings.Cut(rest, "\n"); complete {
			f.opened <- origin
			f.opened = nil
		}
	}
	return len(p), nil
}

// What tests of applications print of their own users holds no token either.
func TestTestUsersPrintNoToken(t *testing.T) {
	r := newRecord()
	a := authtest.New(t, func(auth *middleware.Auth) http.Handler { return auth.Handler() })
	r.enter(apiSecret, string(a.Hub.Config().APISecret))
	r.print("App", a)
	r.print("configuration of the emulator", a.Hub.Config())
	r.judge(t)
}
