package middleware

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/idxauth/idxauth/idx"
	"github.com/idxauth/idxauth/session"
)

// Provider is what [Auth] asks of a hosted login page. [*idx.Client] is one.
//
// Errors are read by their class: [idx.ErrTokenInvalid] starts a login,
// [idx.ErrAccountDenied] is a denial, and everything else means that the answer
// cannot be known now.
type Provider interface {
	// URL returns the address of the hosted page for action, which sends the
	// browser to returnURL afterwards.
	URL(action idx.Action, returnURL string) string

	// Profile returns the user to whom token was issued.
	Profile(ctx context.Context, token idx.Token) (*idx.Profile, error)

	// Validate returns when token expires.
	Validate(ctx context.Context, token idx.Token) (time.Time, error)

	// Invalidate ends token.
	Invalidate(ctx context.Context, token idx.Token) error
}

// accountReader is what a Provider can offer beyond that: reading an account
// without a token of its user, so that revalidation does not end with the token.
type accountReader interface {
	HasSecret() bool
	Account(ctx context.Context, uid string) (*idx.Profile, error)
}

// Config describes the application. IDX (or Provider), BaseURL and Store have no
// default; the zero value of every other field means the default named there.
type Config struct {
	// IDX is the LoginRadius app.
	IDX idx.Config

	// Provider replaces the client that is otherwise made from IDX, where
	// somebody plugs in another hosted login. Of IDX, AppName is still needed then:
	// it names the application's cookies and keys, so that two applications on one
	// host or one store never meet. With APISecret the sessions of a user share their
	// readings of the account; without it each reads by itself.
	Provider Provider

	// Store keeps the sessions: [session.NewRedis], or [session.NewMemory] in tests.
	Store session.Store

	// Session sets the limits of sessions. Its Name and InsecureCookie follow from
	// IDX.AppName and BaseURL.
	Session session.Config

	// BaseURL is the public address of the application, such as
	// https://www.example.com or https://www.example.com/shop. https, or http on
	// a loopback host, written as in a browser's address bar: in lower case, without
	// the usual port. Every URL this package builds starts with it; no request header
	// has a say.
	BaseURL string

	// Path is where [Auth.Handler] is mounted below BaseURL; default /auth.
	Path string

	// Landing is the page for visitors who asked for none, below BaseURL;
	// default /. The hosted logout returns to it too.
	Landing string

	// Revalidate is how often the account of a session is read again, in the
	// background of a request; default 5 minutes, negative: never. So an account that
	// was blocked is out one request after that.
	Revalidate time.Duration

	// StaleFor is how long the last copy stays good when the API gives no answer;
	// default 30 minutes, negative: not at all. It counts from the session's first
	// failed re-read, in whichever process, until one succeeds. After it requests get
	// 503, which signs nobody out, until the API answers.
	//
	// Somebody who was away for longer than Revalidate and StaleFor together is let in
	// on a fresh copy: that request waits for the API, 10 seconds at most. If the API
	// fails just then, it is the first failure: the last copy is good for StaleFor more.
	StaleFor time.Duration

	// APIRate is how many calls of the API this process makes in a second, on average,
	// for logins and re-reads together; default 50, which is LoginRadius' limit for a
	// whole tenant in production (5 while it is in development); negative: any number.
	// Logins get three quarters of it at most. One that cannot make its call within 3
	// seconds is answered with 503 and a Retry-After, and so is one that finds a
	// thousand others waiting; re-reads come later, and the last copy of the account
	// stays in use. With a secret a login costs one call, without two. Calls that are
	// tried again, and those that end a token at a logout, are not counted.
	APIRate float64

	// RequireLiveToken sends visitors through the hosted page again when their
	// access token has expired, which is silent while their session there lives.
	// It matters only without an API secret: with one, accounts are read whatever
	// has become of the token. If false, such a session lasts until its own limits,
	// unobserved.
	RequireLiveToken bool

	// Webhooks mounts a route for LoginRadius' webhooks, such as /auth/webhook, so that
	// changes of an account need not wait for Revalidate. It needs IDX.APISecret; the
	// address, which has to be https, is subscribed to in LoginRadius' console.
	//
	//   - BlockAccount, ResetPassword, ChangePassword and SetPassword end all sessions of
	//     the user. A user who changes the password has to sign in again.
	//   - DeleteAccount removes all that is kept about the user.
	//   - After any other change the account is read before the next request of each
	//     session for a protected page. While the API gives no answer, or APIRate is used
	//     up, the last copy is good for StaleFor. Public pages show it once more.
	//
	// A webhook has its effect once, on whichever instance, and is known for half an hour;
	// one whose effect could not be confirmed is done again. LoginRadius does not promise
	// to send any, or one again: while the store does not answer, the route says 503, and
	// tries for a minute by itself. So webhooks make changes known sooner; that they become
	// known is for Revalidate.
	Webhooks bool

	// Devices mounts a page where users see where they are signed in, and end one of
	// those sessions or all others: /auth/devices. Asked for with "Accept:
	// application/json" it is {"devices": [...]}, each a [Device]. To end sessions, post
	// the form value end, which is the id of one or the word others; a program gets the
	// new list. The id of the session that asks is a logout. [Auth.Devices] has the data
	// for a page of the application's own.
	Devices bool

	// ClientIP returns the address of the visitor, of which a session keeps the network
	// alone, for [Device]. If nil, it is that of the connection, which behind a proxy is
	// the proxy's: then read the header that the proxy sets, and that it takes from
	// visitors. The zero Addr stands for an unknown one.
	ClientIP func(r *http.Request) netip.Addr

	Hooks Hooks

	// AppUser returns the application's own user, such as a row of its database, for
	// [AppUser] to hand to handlers. ctx is that of the request: what Hooks.OnLogin
	// has put into the session is there. If nil, [AppUser] fails.
	AppUser func(ctx context.Context, user *Identity) (any, error)

	// ErrorPage replaces the built-in page for refusals and faults; the status is
	// p.Status unless the function writes another one. Cache headers are set.
	ErrorPage func(w http.ResponseWriter, r *http.Request, p Problem)

	// Logger gets one line for each refusal and fault; if nil, slog.Default(). Of
	// those at slog.LevelWarn and above it gets one a second of each reason; the next
	// one says how many were suppressed. Hooks see them all. It is called while a
	// visitor waits: the output of its handler must not block.
	Logger *slog.Logger
}

// Hooks are called at the turns of a session's life. All are optional.
type Hooks struct {
	// OnLogin runs after the user is known and before the session exists. It may
	// load or create the application's own user and put its id, or whatever else, into
	// the session with [session.Put]; user.UID is what to know it by, never the e-mail
	// address. It may refuse: an error made by [Refuse] is a 403 page with its reason,
	// any other error a 500 page. Several logins of one user can run it at once.
	OnLogin func(ctx context.Context, user *Identity) error

	// OnRefresh runs after the account was read again and its profile has changed:
	// once for each change and session, on whichever instance, in a request or in the
	// background, for at most 10 seconds. Logins elsewhere, and a ModifiedAt alone, are
	// no change. ctx carries the session, so it may use [session.Put]. Neither old nor
	// new may be changed.
	OnRefresh func(ctx context.Context, old, new *Identity)

	// OnWebhook runs after a webhook has had its effect ([Config].Webhooks), on the
	// instance that has seen to it: once for each, or not at all if that instance is
	// stopped just then. Its profile is no proof of anything; see [idx.Webhook].
	OnWebhook func(ctx context.Context, hook *idx.Webhook)

	// OnLogout runs after a session was ended by its user.
	OnLogout func(ctx context.Context, user *Identity)

	// OnDenied runs after a request was refused (4xx), OnError after one could not
	// be answered (5xx).
	OnDenied func(ctx context.Context, p Problem)
	OnError  func(ctx context.Context, p Problem)
}

// site is the application's place on the web, from the configuration alone.
type site struct {
	origin  string // https://www.example.com
	base    string // path of BaseURL without a trailing slash: "" or /shop
	mount   string // base + Path: /shop/auth
	landing string // public path: /shop/
	secure  bool
	name    string // namespace of cookies and keys
}

func newSite(cfg *Config) (site, error) {
	base, err := parseBaseURL(cfg.BaseURL)
	if err != nil {
		return site{}, err
	}
	s := site{
		origin: base.Scheme + "://" + base.Host,
		base:   strings.TrimSuffix(base.Path, "/"),
		secure: base.Scheme == "https",
	}
	var errs []error
	if !isCleanPath(cfg.Path) || cfg.Path == "/" {
		errs = append(errs, errors.New("middleware: Path: want a clean path such as /auth"))
	}
	s.mount = s.base + cfg.Path
	landing, ok := s.returnPath(cfg.Landing)
	if !ok {
		errs = append(errs, errors.New("middleware: Landing: want a path such as /, outside Path"))
	}
	s.landing = landing
	s.name = namespace(cfg)
	return s, errors.Join(errs...)
}

// parseBaseURL refuses whatever could lead a browser, or a token, elsewhere. Its errors do
// not show raw: it may be a secret, or the address of Redis, in the wrong place.
func parseBaseURL(raw string) (*url.URL, error) {
	fail := func(why string) (*url.URL, error) {
		return nil, fmt.Errorf("middleware: BaseURL: %s, such as https://www.example.com", why)
	}
	u, err := url.Parse(raw)
	switch {
	case raw == "":
		return fail("is empty: want the application's public address")
	case err != nil:
		return nil, errors.New("middleware: BaseURL is not a URL: want the application's public address, such as https://www.example.com")
	case u.User != nil:
		return nil, errors.New("middleware: BaseURL holds a user name: remove it")
	case u.Scheme != "https" && u.Scheme != "http", u.Hostname() == "", u.Opaque != "", !strings.HasPrefix(raw, u.Scheme):
		return fail("want scheme and host, in lower case")
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || strings.Contains(raw, "#"):
		return fail("want neither query nor fragment")
	case strings.ToLower(u.Host) != u.Host || !isPlainHost(u.Hostname()):
		return fail("want a host name in lower case, as browsers write it")
	case u.Port() == defaultPort(u.Scheme):
		return fail("want no port, as browsers leave out the usual one")
	case strings.HasSuffix(u.Host, ":"), u.Port() != "" && !isPort(u.Port()):
		return fail("want a port from 1 to 65535")
	case u.Path != "" && u.Path != "/" && !isCleanPath(strings.TrimSuffix(u.Path, "/")):
		return fail("want a clean path")
	case u.Scheme == "http" && !isLoopback(u.Hostname()):
		return fail("plain http is for loopback hosts only: want https")
	}
	return u, nil
}

// isPlainHost admits names and IP literals that every parser reads alike, in the form
// in which browsers write them: what a browser calls this site is compared with it.
func isPlainHost(host string) bool {
	if addr, err := netip.ParseAddr(host); err == nil {
		return addr.Zone() == "" && !addr.Is4In6() && addr.String() == host
	}
	last := ""
	for label := range strings.SplitSeq(host, ".") {
		if label == "" || strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
			return false
		}
		last = label
	}
	// To browsers a name that ends in a number, in decimal, octal or hexadecimal, is an
	// IPv4 address (URL Standard, 3.5).
	digits, hexadecimal := strings.CutPrefix(last, "0x")
	return strings.Trim(last, "0123456789") != "" && !(hexadecimal && strings.Trim(digits, "0123456789abcdef") == "")
}

func defaultPort(scheme string) string {
	if scheme == "https" {
		return "443"
	}
	return "80"
}

func isPort(s string) bool {
	n, err := strconv.ParseUint(s, 10, 16)
	return err == nil && n > 0 && strconv.FormatUint(n, 10) == s
}

func isLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}

// isCleanPath admits paths that need no escaping and that no router rewrites.
func isCleanPath(p string) bool {
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~/"
	return strings.HasPrefix(p, "/") && path.Clean(p) == p && strings.Trim(p, plain) == ""
}

// namespace tells applications apart that share a host or a Redis: the app name
// for people, and a hash of all that makes two deployments different. Instances of
// one deployment share it.
func namespace(cfg *Config) string {
	sum := sha256.Sum256([]byte(cfg.IDX.AppName + "\x00" + cfg.IDX.HubURL + "\x00" + strings.TrimSuffix(cfg.BaseURL, "/")))
	suffix := strings.ToLower(base32.StdEncoding.EncodeToString(sum[:5]))
	name := cfg.IDX.AppName[:min(len(cfg.IDX.AppName), 40)] // an app name may have 63 characters; the hash has them all
	if name == "" {
		return suffix
	}
	return name + "-" + suffix
}

// cookieName returns the name of one of the application's cookies. A browser
// takes a __Host- cookie only from this very host over TLS, so that a sister
// host cannot plant one (RFC 6265bis, 4.1.3.2).
func (s *site) cookieName(purpose string) string {
	if s.secure {
		return "__Host-" + s.name + "-" + purpose
	}
	return s.name + "-" + purpose
}

// cookie returns one of our cookies, to be set for maxAge.
func (s *site) cookie(purpose, value string, maxAge time.Duration) *http.Cookie {
	return &http.Cookie{
		Name:     s.cookieName(purpose),
		Value:    value,
		Path:     "/",
		MaxAge:   int(maxAge / time.Second),
		HttpOnly: true,
		Secure:   s.secure,
		SameSite: http.SameSiteLaxMode, // the way back from the hosted page is cross-site; Strict would drop it
	}
}
