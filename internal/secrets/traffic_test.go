package secrets

import (
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/idxauth/idxauth/idx"
	"github.com/idxauth/idxauth/idx/idxtest"
	"github.com/idxauth/idxauth/internal/redistest"
	"github.com/idxauth/idxauth/middleware"
	"github.com/idxauth/idxauth/session"
)

// marked is a user of whom everything is recognisable.
func (r *record) marked(hub *idxtest.Server, name string, change ...func(*idxtest.User)) idxtest.User {
	sum := sha256.Sum256([]byte(name))
	mark := hex.EncodeToString(sum[:9])
	u := idxtest.User{
		Email: "m" + mark + "@" + mark[:9] + ".example", Phone: "+1555" + strconv.FormatUint(uint64(sum[20])<<40|uint64(sum[21])<<32|0xfedcba98, 10),
		Password: "pw-" + base64.RawURLEncoding.EncodeToString(sum[10:25]), UID: "uid" + hex.EncodeToString(sum[16:]),
		FirstName: "Marked", LastName: "User", EmailVerified: true,
	}
	for _, c := range change {
		c(&u)
	}
	r.enter(profileData, u.Email)
	r.enter(profileData, u.Phone)
	r.enter(userID, u.UID)
	r.enter(password, u.Password)
	r.enter(passwordHash, hashOf(u.Password))
	r.enter(passwordHash, hashOf("change "+u.Email))
	return hub.AddUser(u)
}

// hashOf is what the emulator says is the hash of a password; see idxtest.
func hashOf(word string) string {
	sum := sha256.Sum256([]byte("idxtest uid " + strings.ToLower(word)))
	return hex.EncodeToString(sum[:16])
}

// TestNoSecretComesOut uses an application in every way and looks at what comes out.
func TestNoSecretComesOut(t *testing.T) {
	r := newRecord()
	redisLogger.Store(r)
	t.Cleanup(func() { redisLogger.Store(nil) })
	r.captureDefaultLog(t)
	server, address := r.lockedRedis(t)
	r.monitor(t, address)
	hub := idxtest.NewServer(t)
	r.hub = hub.URL
	start := func(change ...func(*middleware.Config)) *app {
		return newApp(t, r, hub, session.NewRedis(client(t, address), &session.RedisOptions{Timeout: patience}), change...)
	}
	a := start()

	ada := r.marked(hub, "ada", func(u *idxtest.User) { u.Roles = []string{"admin"} })
	alan := r.marked(hub, "alan", func(u *idxtest.User) { u.EmailVerified = false })
	mallory := r.marked(hub, "mallory", func(u *idxtest.User) { u.Blocked = true })

	a.everyday(ada, alan)
	a.refusals(ada, alan, mallory)
	a.webhooks(ada)
	a.apiFaults(ada, true)
	a.panicsEverywhere(ada)

	r.does("without an API secret")
	keyless := start(func(c *middleware.Config) {
		c.IDX.APISecret, c.IDX.WebhookSecrets, c.Webhooks = "", nil, false
		c.Revalidate = time.Nanosecond
		c.StaleFor = -1
	})
	keyless.everyday(ada, alan)
	keyless.apiFaults(ada, false)

	r.does("sessions of a full user")
	full := start(func(c *middleware.Config) { c.Session.MaxPerUser, c.Session.WhenFull = 1, session.RefuseNew })
	full.browser().signIn("/dashboard/", ada)
	full.browser().signIn("/dashboard/", ada)

	r.does("too many logins")
	busy := start(func(c *middleware.Config) { c.APIRate = 0.01 })
	for range 4 {
		busy.browser().signIn("/dashboard/", ada)
	}

	r.does("dump of Redis")
	if n := r.dump(t, client(t, address)); n < 10 {
		t.Errorf("Redis had %d keys: the dump shows nothing", n)
	}
	newApp(t, r, hub, session.NewRedis(impatient(t, address), nil)).redisFaults(server, ada)
	for _, wrong := range wrongServers(t) {
		r.does("Redis: " + wrong.name)
		broken := newApp(t, r, hub, session.NewRedis(impatient(t, wrong.address), nil))
		broken.browser().signIn("/dashboard/", ada)
		b := broken.browser()
		jar, _ := url.Parse(broken.origin)
		b.client.Jar.SetCookies(jar, []*http.Cookie{{Name: broken.auth.Sessions().CookieName(), Value: "AA" + strings.Repeat("A", 42) + "A"}})
		b.open("/dashboard/")
		b.fetch("/dashboard/")
		b.post("/auth/logout", "")
		r.keepError(anError, "Health", broken.auth.Health(t.Context()))
		_, err := broken.auth.Sessions().List(t.Context(), ada.UID)
		r.keepError(anError, "List", err)
		broken.auth.Close()
	}

	r.does("Close")
	r.keepError(anError, "Close", a.auth.Close())

	for _, reason := range allReasons(t) {
		if !r.wasTold(reason) && reason != string(middleware.StateExpired) { // which takes a quarter of an hour
			t.Errorf("nothing was refused with the reason %s", reason)
		}
	}
	r.wantTraffic(t)
	r.judge(t)
}

// wantTraffic fails if a sink or a kind of secret took no part: then a search that finds
// nothing would prove nothing.
func (r *record) wantTraffic(t *testing.T) {
	t.Helper()
	for _, s := range allSinks {
		if n := r.count(s); n == 0 && s != processSays && s != logRedis {
			t.Errorf("nothing came out of: %s", s)
		}
	}
	for _, k := range []kind{accessToken, apiSecret, webhookSecret, redisPassword, sessionToken, bindingCookie, loginState, password, passwordHash, profileData, userID} {
		if r.entered(k) == 0 {
			t.Errorf("there was no secret of the kind: %s", k)
		}
	}
	t.Logf("%d entries were searched for %d secrets", r.size(), r.book.size())
}

// everyday is what happens all day.
func (a *app) everyday(ada, alan idxtest.User) {
	a.does("everyday: login and pages")
	b := a.browser()
	b.open("/")
	if resp, text := b.signIn("/dashboard/deep?year=2026&q=a%26b", ada); resp.StatusCode != 200 || !strings.Contains(text, ada.Email) {
		a.t.Fatalf("login: %s %s", resp.Status, text)
	}
	for _, path := range []string{"/", "/dashboard/", "/admin", "/verified", "/customer", "/refresh", "/auth/devices", "/auth/logout", "/fresh", "/checked"} {
		a.does("everyday: " + path)
		b.open(path)
		b.fetch(path)
	}
	a.does("everyday: notes")
	b.post("/note", "note=buy+rope")
	a.does("everyday: devices")
	other := a.browser()
	other.signIn("/dashboard/", ada)
	b.post("/auth/devices", "end=others")
	other.fetch("/dashboard/")
	other.open("/dashboard/") // signed in again, in silence
	a.does("everyday: the library's pages")
	for _, path := range []string{"/auth/register", "/auth/forgot-password", "/auth/profile", "/auth/profile/back", "/auth/login?fresh=1", "/auth/nowhere"} {
		b.send(false, "GET", path, "")
	}
	a.does("everyday: a path that the mux cleans")
	b.send(false, "GET", "/"+strings.TrimPrefix(a.back(b, ada), a.origin), "")
	a.does("everyday: step-up")
	a.hub.Advance(-10 * time.Minute)
	old := a.browser()
	old.signIn("/dashboard/", ada)
	a.hub.Advance(10 * time.Minute)
	old.post("/fresh", "")
	old.open("/fresh")
	a.does("everyday: change of an account")
	a.hub.UpdateUser(alan.UID, func(u *idxtest.User) { u.Company = "Another" })
	if list, err := a.auth.Sessions().List(a.t.Context(), ada.UID); err != nil || len(list) == 0 {
		a.t.Errorf("List: %v, %v", list, err)
	} else {
		a.print("session in a list", list[0])
	}
	a.does("everyday: logout")
	b.post("/auth/logout", "")
	b.open("/dashboard/")
}

// back is the address of a callback with a token and the state of b.
func (a *app) back(b *browser, u idxtest.User) string {
	token := a.hub.IssueToken(u.UID)
	a.enter(accessToken, string(token))
	return b.start() + "&token=" + string(token)
}

// refusals causes each reason to refuse that needs no fault.
func (a *app) refusals(ada, alan, mallory idxtest.User) {
	t := a.t
	a.does("refusal: strangers")
	stranger := a.browser()
	stranger.fetch("/dashboard/?token=" + string(a.hub.IssueToken(ada.UID)))
	ended := a.browser()
	ended.signIn("/dashboard/", ada)
	if _, err := a.auth.Sessions().RevokeUser(t.Context(), ada.UID, nil); err != nil {
		t.Fatal(err)
	}
	ended.fetch("/dashboard/")

	a.does("refusal: states")
	one, two := a.browser(), a.browser()
	used := a.back(one, ada)
	one.send(false, "GET", a.origin+"/auth/callback?token="+string(a.hub.IssueToken(ada.UID)), "") // none
	two.send(false, "GET", used, "")                                                               // of another browser
	one.send(false, "GET", used+"&state=x", "")                                                    // two
	one.send(false, "GET", used, "")                                                               // right
	one.send(false, "GET", used, "")                                                               // again
	one.client.Jar.SetCookies(one.site(), []*http.Cookie{{Name: a.auth.Sessions().CookieName(), MaxAge: -1, Path: "/"}})
	one.send(false, "GET", used, "") // again, without a session
	one.send(false, "GET", a.origin+"/auth/callback/3?token="+string(a.hub.IssueToken(ada.UID)), "")
	one.send(true, "GET", a.origin+"/auth/callback/3?token="+string(a.hub.IssueToken(ada.UID)), "", "Accept", "application/json")

	a.does("refusal: tokens")
	three := a.browser()
	three.send(false, "GET", three.start(), "") // none
	for _, token := range []string{"a+token-that-has+an-impossible-form", strings.Repeat("longtoken-", 1000), "5e1f0c9a-77aa-4b0b-9f3e-123456789abc"} {
		a.enter(accessToken, token)
		three.send(false, "GET", three.start()+"&token="+token, "")
		three.send(false, "GET", three.start()+"&token="+token+"&token=second", "")
		three.send(false, "GET", three.start()+"&token="+token+"%zz", "")
		three.send(false, "GET", three.start()+"&token="+token, "", "Sec-Fetch-Mode", "cors", "Accept", "application/json")
		three.send(false, "HEAD", three.start()+"&token="+token, "")
		three.send(false, "POST", three.start()+"&token="+token, "x=y")
	}
	stolen := a.hub.IssueToken(ada.UID)
	one.send(false, "GET", one.start()+"&token="+string(stolen), "")
	two.send(false, "GET", two.start()+"&token="+string(stolen), "")

	a.does("refusal: accounts")
	b := a.browser()
	b.send(false, "GET", a.back(b, mallory), "")
	unverified := a.browser()
	unverified.signIn("/verified", alan)
	unverified.open("/admin")
	unverified.fetch("/admin")
	a.hub.Set(func(s *idxtest.Settings) { s.TokenFormat = idxtest.TokenJWE })
	a.browser().signIn("/admin", alan)
	a.hub.Set(func(s *idxtest.Settings) { s.TokenFormat = idxtest.TokenGUID })

	a.does("refusal: other sites")
	unverified.post("/auth/logout", "", "Sec-Fetch-Site", "cross-site")
	unverified.post("/auth/devices", "end=others", "Sec-Fetch-Site", "cross-site")

	a.does("refusal: hooks")
	a.panics.Store("error in OnLogin")
	a.browser().signIn("/dashboard/", ada)
	a.panics.Store("error in AppUser")
	unverified.open("/customer")
	a.panics.Store("")

	a.does("refusal: cookies")
	for name, value := range one.cookies() {
		for _, bad := range []string{value[:len(value)-1], value + "A", strings.ToUpper(value), "A" + value[1:], value + "; " + name + "=" + value} {
			visitor := a.browser()
			visitor.send(false, "GET", "/dashboard/", "", "Cookie", name+"="+bad)
			visitor.send(false, "GET", "/dashboard/", "", "Cookie", name+"="+bad, "Sec-Fetch-Mode", "cors", "Accept", "application/json")
		}
	}
}

func (b *browser) site() *url.URL {
	u, err := url.Parse(b.origin)
	if err != nil {
		b.t.Fatal(err)
	}
	return u
}

func (b *browser) cookies() map[string]string {
	all := make(map[string]string)
	for _, c := range b.client.Jar.Cookies(b.site()) {
		all[c.Name] = c.Value
	}
	if len(all) < 2 {
		b.t.Errorf("%s: a browser has %d cookies, want those of login and session", b.now(), len(all))
	}
	return all
}

// webhooks sends webhooks, good and bad.
func (a *app) webhooks(ada idxtest.User) {
	a.hub.SetWebhook(a.origin + "/auth/webhook")
	defer a.hub.SetWebhook("")
	for _, fault := range []idxtest.WebhookFault{"", idxtest.WebhookTwice, idxtest.WebhookSwapped, idxtest.WebhookOld, idxtest.WebhookForged, idxtest.WebhookMalformed, idxtest.WebhookLost} {
		a.does("webhook: " + cmp.Or(string(fault), "right"))
		a.hub.Set(func(s *idxtest.Settings) { s.WebhookFault = fault })
		b := a.browser()
		b.signIn("/dashboard/", ada)
		for _, event := range []idx.Event{idx.EventUpdateProfile, idx.EventSetPassword, idx.EventRemoveEmail, idx.EventBlockAccount, idx.EventDeleteAccount, "SomethingNew"} {
			a.hub.SendWebhook(event, ada.UID)
			a.hub.WaitWebhooks()
			b.open("/dashboard/")
			b.fetch("/dashboard/")
		}
	}
	a.hub.Set(func(s *idxtest.Settings) { s.WebhookFault = "" })

	a.does("webhook: by hand")
	b := a.browser()
	hash := "pbkdf2:" + hashOf("a password of nobody")
	a.enter(passwordHash, hashOf("a password of nobody"))
	for _, body := range []string{
		`{"HookName":"updateprofile","HookId":"1","Time":"2026-01-01T00:00:00Z","Data":{"Uid":7,"Password":"` + hash + `"}}`,
		`{"HookName":"` + hash + `","HookId":"` + hash + `","Time":"` + hash + `","Data":{"Password":"` + hash + `"}}`,
		`{"` + hash + `":1,"` + strings.ToUpper(hash) + `":2}`, hash, `"` + hash, `{"HookName":{"` + hash + `":` + hash + `}}`,
		`{"HookId":"x","HookName":"setpassword","Time":"` + time.Now().UTC().Format(time.RFC3339) + `","Data":{"Uid":"` + ada.UID + `","Password":"` + hash + `","Email":"` + ada.Email + `"}}`,
		strings.Repeat(hash, 10_000),
	} {
		for _, secret := range []string{secondSecret, "wrong"} {
			mac := hmac.New(sha256.New, []byte(secret))
			mac.Write([]byte(body))
			b.post("/auth/webhook", body, "Signature", hex.EncodeToString(mac.Sum(nil)), "Sec-Fetch-Mode", "", "Accept", "*/*")
		}
		b.post("/auth/webhook", body, "Signature", secondSecret)
	}
}

// apiFaults lets the API fail in all ways, at login and while the account is read again;
// with calls, a client meets them as well.
func (a *app) apiFaults(ada idxtest.User, calls bool) {
	kinds := []idxtest.FaultKind{idxtest.SlowHeaders, idxtest.SlowBody, idxtest.RateLimitText, idxtest.RateLimitJSON, idxtest.ServerError,
		idxtest.BadGateway, idxtest.Unavailable, idxtest.Truncated, idxtest.Oversized, idxtest.Reset, idxtest.Redirect,
		idxtest.WrongContentType, idxtest.UnknownFields, idxtest.WrongTypes}
	b := a.browser()
	b.signIn("/dashboard/", ada)
	for _, kind := range kinds {
		a.does("API: " + string(kind))
		a.hub.SetFault(idxtest.Fault{Kind: kind, Delay: time.Millisecond, RetryAfter: time.Second})
		a.login(ada)
		b.open("/refresh")
		a.hub.ClearFault()
	}
	for name, answer := range echoes(ada) {
		a.does("API echoes: " + name)
		a.api.answer(answer)
		if calls {
			a.callAPI(ada)
		}
		if strings.HasPrefix(name, "all the way: ") {
			a.login(ada)
			b.open("/refresh")
			b.open("/dashboard/")
			a.api.answer(nil)
			out := a.browser()
			out.signIn("/dashboard/", ada)
			a.api.answer(answer)
			out.post("/auth/logout", "")
		}
		a.api.answer(nil)
	}
}

// login signs a new browser in, and visits the callback once more as a program.
func (a *app) login(u idxtest.User) {
	b := a.browser()
	b.send(false, "GET", a.back(b, u), "")
	b.send(false, "GET", a.back(b, u), "", "Accept", "application/json", "Sec-Fetch-Mode", "")
}

// callAPI makes each call of a client of the same API.
func (a *app) callAPI(u idxtest.User) {
	cfg := a.hub.Config()
	cfg.HTTPClient = &http.Client{Transport: a.api}
	c, err := idx.New(cfg)
	if err != nil {
		a.t.Fatal(err)
	}
	a.print("Client", c)
	token, ctx := a.hub.IssueToken(u.UID), a.t.Context()
	_, err = c.Profile(ctx, token)
	a.keepError(anError, "Profile", err)
	a.print("error of Profile", err)
	_, err = c.Validate(ctx, token)
	a.keepError(anError, "Validate", err)
	a.keepError(anError, "Invalidate", c.Invalidate(ctx, token))
	_, err = c.Account(ctx, u.UID)
	a.keepError(anError, "Account", err)
	a.print("error of Account", err)
	_, err = c.Roles(ctx, u.UID)
	a.keepError(anError, "Roles", err)
}

// echoes are answers of an API, or of whoever stands in front of it, that repeat what
// they were told. Each has its own way to say it.
func echoes(u idxtest.User) map[string]echo {
	all := make(map[string]echo)
	forms := map[string]func(string) string{
		"as it is":       func(s string) string { return s },
		"upper case":     strings.ToUpper,
		"a half":         func(s string) string { return s[:len(s)/2] },
		"base64":         func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) },
		"base64 of more": func(s string) string { return base64.URLEncoding.EncodeToString([]byte("Bearer " + s)) },
		"hex":            func(s string) string { return hex.EncodeToString([]byte(s)) },
		"escaped":        func(s string) string { return strings.ReplaceAll(s, "-", "%2D") },
		"in a URL":       func(s string) string { return "https://api.example/x?access_token=" + s + "&b=c" },
		"in a path":      func(s string) string { return "https://api.example/users/" + s + "/x" },
	}
	for name, form := range forms {
		all["message, "+name] = func(_ *http.Request, credential string) (*http.Response, error) {
			return says(403, nil, fmt.Sprintf(`{"ErrorCode":905,"Message":"Not good: %s, sorry","Description":"%s"}`, form(credential), form(credential)))
		}
		all["broken connection, "+name] = func(_ *http.Request, credential string) (*http.Response, error) {
			return fails("write tcp: cannot send header Authorization: Bearer " + form(credential))
		}
	}
	for _, code := range []int{901, 991, 950, 0} {
		all[fmt.Sprintf("all the way: message with code %d", code)] = func(_ *http.Request, credential string) (*http.Response, error) {
			return says(403, nil, fmt.Sprintf(`{"ErrorCode":%d,"Message":"%s and %s"}`, code, credential, credential[:len(credential)/2]))
		}
	}
	all["all the way: broken connection"] = func(_ *http.Request, credential string) (*http.Response, error) {
		return fails("cannot send Authorization: Bearer " + credential)
	}
	all["all the way: message with the user"] = func(*http.Request, string) (*http.Response, error) {
		return says(403, nil, fmt.Sprintf(`{"ErrorCode":991,"Message":"User %s (%s, %s) with password %s is blocked"}`, u.Email, u.UID, u.Phone, hashOf(u.Password)))
	}
	all["all the way: garbage"] = func(_ *http.Request, credential string) (*http.Response, error) { return says(200, nil, credential) }
	all["all the way: keys"] = func(_ *http.Request, credential string) (*http.Response, error) {
		return says(200, nil, `{"`+credential+`":1,"`+strings.ToUpper(credential)+`":{"`+credential+`":2},"Uid":"`+credential+`","uid":7}`)
	}
	all["all the way: profile"] = func(_ *http.Request, credential string) (*http.Response, error) {
		return says(200, nil, `{"Uid":["`+credential+`"],"IsActive":"`+credential+`","Roles":"`+credential+`"}`)
	}
	all["all the way: headers"] = func(_ *http.Request, credential string) (*http.Response, error) {
		return says(307, http.Header{"Location": {"http://127.0.0.1:1/" + credential}, "Retry-After": {credential}, "Content-Encoding": {credential}}, credential)
	}
	all["all the way: page"] = func(_ *http.Request, credential string) (*http.Response, error) {
		return says(502, http.Header{"Content-Type": {"text/html"}}, "<h1>"+credential+"</h1>")
	}
	return all
}

// panicsEverywhere lets each piece of code that is the application's panic.
func (a *app) panicsEverywhere(ada idxtest.User) {
	b := a.browser()
	b.signIn("/dashboard/", ada)
	for _, path := range []string{"/panic/token", "/panic/session", "/panic/auth", "/panic/deep", "/panic/template"} {
		a.does("panic: " + path)
		b.open(path)
	}
	a.hub.SetWebhook(a.origin + "/auth/webhook")
	defer a.hub.SetWebhook("")
	for _, hook := range []string{"OnLogin", "OnRefresh", "OnLogout", "OnWebhook", "OnDenied", "OnError", "AppUser", "ClientIP", "Check"} {
		a.does("panic: " + hook)
		a.panics.Store(hook)
		a.browser().signIn("/dashboard/", ada)
		a.panics.Store("")
		b := a.browser()
		b.signIn("/dashboard/", ada)
		a.panics.Store(hook)
		b.open("/customer")
		b.open("/checked")
		b.open("/admin")
		b.fetch("/verified")
		a.hub.UpdateUser(ada.UID, func(u *idxtest.User) { u.Company += "x" })
		a.hub.WaitWebhooks()
		b.open("/dashboard/")
		b.open("/refresh")
		b.post("/auth/webhook", "x", "Signature", "x")
		b.open("/auth/callback?token=" + string(a.hub.IssueToken(ada.UID)))
		a.hub.SetFault(idxtest.Fault{Kind: idxtest.Unavailable})
		a.login(ada)
		a.hub.ClearFault()
		b.post("/auth/logout", "")
		a.panics.Store("")
	}
	a.does("panic: transport of the API")
	a.api.answer(func(_ *http.Request, credential string) (*http.Response, error) { panic("transport") })
	a.login(ada)
	a.api.answer(nil)
}

// redisFaults are those of a Redis that hangs, and is gone.
func (a *app) redisFaults(server *redistest.Server, ada idxtest.User) {
	b := a.browser()
	b.signIn("/dashboard/", ada)
	other := a.browser()
	other.signIn("/dashboard/", ada)
	begun := a.browser()
	back := a.back(begun, ada)
	for _, fault := range []string{"hangs", "is gone"} {
		a.does("Redis " + fault)
		if fault == "hangs" {
			server.Pause()
		} else {
			server.Stop()
		}
		for _, path := range []string{"/", "/dashboard/", "/refresh", "/auth/devices"} {
			b.open(path)
			b.fetch(path)
		}
		b.post("/note", "note=x")
		begun.send(false, "GET", back, "")
		other.post("/auth/logout", "")
		a.keepError(anError, "Health", a.auth.Health(a.t.Context()))
		_, err := a.auth.Sessions().RevokeUser(a.t.Context(), ada.UID, nil)
		a.keepError(anError, "RevokeUser", err)
		if fault == "hangs" {
			server.Resume()
		}
	}
}

type wrongServer struct{ name, address string }

// wrongServers are not the Redis that somebody meant.
func wrongServers(t *testing.T) []wrongServer {
	real := redistest.Start(t)
	if err := real.Patient().ConfigSet(t.Context(), "requirepass", "another-password").Err(); err != nil {
		t.Fatal(err)
	}
	const login = "redis://user-name:rp-4Jw8Yt2LcPq6Zs0Gh3Nv@"
	garbage := func(string) string {
		return "HTTP/1.1 400 Bad Request\r\nContent-Type: text/html\r\n\r\n<h1>What?</h1>"
	}
	echo := func(command string) string { return command }
	unknown := func(command string) string { // as Redis does for a command that it does not know
		return fmt.Sprintf("-ERR unknown command `%s`, with args beginning with: `%s`\r\n", words(command)[0], strings.Join(words(command)[1:], "`, `"))
	}
	later := func(command string) string { // knows how to begin a connection, and nothing else
		if name := strings.ToLower(words(command)[0]); name == "hello" || name == "auth" || name == "client" {
			return "+OK\r\n"
		}
		return unknown(command)
	}
	return []wrongServer{
		{"wrong password", login + real.Addr},
		{"garbage", login + liar(t, garbage)},
		{"echo", login + liar(t, echo)},
		{"unknown commands", login + liar(t, unknown)},
		{"unknown commands, after the password", login + liar(t, later)},
		{"a line without an end", login + liar(t, func(c string) string { return "+" + strings.Join(words(c), " ") })},
		{"errors", login + liar(t, func(c string) string { return "-" + strings.Join(words(c), " ") + "\r\n" })},
		{"texts", login + liar(t, func(c string) string { return "+" + strings.Join(words(c), " ") + "\r\n" })},
		{"bad lengths", login + liar(t, func(c string) string { return "$" + strings.Join(words(c), " ") + "\r\n" })},
		{"numbers", login + liar(t, func(c string) string { return ":" + strings.Join(words(c), " ") + "\r\n" })},
	}
}

// allReasons reads the constants of type Reason from the source.
func allReasons(t *testing.T) []string {
	file, err := parser.ParseFile(token.NewFileSet(), "../../middleware/problem.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	ast.Inspect(file, func(n ast.Node) bool {
		if spec, ok := n.(*ast.ValueSpec); ok {
			if name, ok := spec.Type.(*ast.Ident); ok && name.Name == "Reason" {
				value, _ := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
				all = append(all, value)
			}
		}
		return true
	})
	if len(all) < 20 {
		t.Fatalf("problem.go has %d reasons: the test does not read it rightly", len(all))
	}
	return all
}
