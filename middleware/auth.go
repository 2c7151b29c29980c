package middleware

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net/http"
	"net/netip"
	"net/url"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/idxauth/idxauth/idx"
	"github.com/idxauth/idxauth/internal/background"
	"github.com/idxauth/idxauth/session"
)

const (
	defaultRevalidate = 5 * time.Minute
	defaultStaleFor   = 30 * time.Minute
)

// Auth protects handlers of one application. It is safe for concurrent use.
type Auth struct {
	site          site
	provider      Provider
	accounts      accountReader // nil if accounts can be read by their tokens only
	webhooks      webhookReader // nil: switched off
	sessions      *session.Manager
	states        *stateSealer // a pointer, which fmt does not follow: it has a key
	accountSealer *stateSealer // of readings of accounts, for other instances; nil without an API secret
	csrf          *http.CrossOriginProtection

	revalidate       time.Duration
	staleFor         time.Duration
	sharedFor        time.Duration // how long a reading is good for the user's other sessions
	requireLiveToken bool
	hasDevices       bool
	clientIP         func(*http.Request) netip.Addr

	hooks     Hooks
	appUser   func(context.Context, *Identity) (any, error)
	errorPage func(http.ResponseWriter, *http.Request, Problem)
	csp       []string
	log       *limitedLog

	brake        *brake             // in front of the API
	exchanges    *tries             // of tokens, by the state they came with
	exchanging   singleflight.Group // one exchange of a token at a time
	rereads      singleflight.Group // one re-read for a session at a time
	readings     singleflight.Group // one reading of an account at a time
	turns        atomic.Uint64      // orders who came to rereads and readings, and what began there
	reading      *background.Group  // their goroutines, of which no request is the owner
	rereadTried  *recent
	rereadFailed *recent
	rereadAsked  *recent // out of turn: by a rule, or after a visit to the profile page
	work         *background.Group
	tokens       *background.Group // ended at logouts: of its own, so that readings that hang drop none
	logouts      *background.Group // tried again; of its own, so that made-up cookies stop nothing else
	webhookTasks *background.Group // tried again
}

// New checks cfg, without asking the network, and reports all of its problems in
// one error.
func New(cfg Config) (*Auth, error) {
	cfg = withDefaults(cfg)
	var errs []error

	place, err := newSite(&cfg)
	errs = append(errs, err)
	provider, err := newProvider(&cfg)
	errs = append(errs, err)
	webhooks, err := newWebhooks(&cfg, provider)
	errs = append(errs, err)
	sessions, err := newSessions(&cfg, place)
	errs = append(errs, err)
	if math.IsNaN(cfg.APIRate) || math.IsInf(cfg.APIRate, 0) {
		errs = append(errs, errors.New("middleware: APIRate: want calls a second, or a negative number for any"))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}

	a := &Auth{
		site:             place,
		provider:         provider,
		webhooks:         webhooks,
		sessions:         sessions,
		hasDevices:       cfg.Devices,
		clientIP:         cfg.ClientIP,
		csrf:             http.NewCrossOriginProtection(),
		revalidate:       cfg.Revalidate,
		staleFor:         cfg.StaleFor,
		requireLiveToken: cfg.RequireLiveToken,
		hooks:            cfg.Hooks,
		appUser:          cfg.AppUser,
		errorPage:        cfg.ErrorPage,
		log:              newLimitedLog(cfg.Logger),
		brake:            newBrake(cfg.APIRate),
		exchanges:        newTries(),
		rereadTried:      newRecent(),
		rereadFailed:     newRecent(),
		rereadAsked:      newRecent(),
		reading:          background.NewGroup(maxReading),
		work:             background.NewGroup(64),
		tokens:           background.NewGroup(64),
		logouts:          background.NewGroup(256),
		webhookTasks:     background.NewGroup(256),
	}
	if reader, ok := provider.(accountReader); ok && reader.HasSecret() {
		a.accounts = reader
	}
	// Behind a proxy that rewrites Host, an honest POST names this origin and not
	// the one the server sees.
	if err := a.csrf.AddTrustedOrigin(place.origin); err != nil {
		return nil, fmt.Errorf("middleware: BaseURL: %w", err)
	}
	hub := originOf(provider.URL(idx.ActionLogout, ""))
	a.csp = []string{pagePolicy(hub)}
	a.states = newStateSealer(place.realm(hub), string(cfg.IDX.APISecret), cfg.IDX.APIKey)
	if cfg.IDX.APISecret != "" {
		a.accountSealer = a.states
	}
	if a.sharedFor = a.revalidate; a.sharedFor < 0 { // only webhooks cause readings
		a.sharedFor = defaultRevalidate
	}
	return a, nil
}

// Format prints the address of the application, whatever the verb: an Auth holds keys.
func (a *Auth) Format(f fmt.State, _ rune) {
	if a == nil {
		io.WriteString(f, "middleware.Auth(nil)")
		return
	}
	fmt.Fprintf(f, "middleware.Auth(%s%s)", a.site.origin, a.site.base)
}

// Must returns a, or panics if err is not nil. It is for main, around [New].
func Must(a *Auth, err error) *Auth {
	if err != nil {
		panic(err)
	}
	return a
}

func withDefaults(cfg Config) Config {
	if cfg.Path == "" {
		cfg.Path = "/auth"
	}
	if cfg.Landing == "" {
		cfg.Landing = "/"
	}
	if cfg.Revalidate == 0 {
		cfg.Revalidate = defaultRevalidate
	}
	if cfg.StaleFor == 0 {
		cfg.StaleFor = defaultStaleFor
	}
	if cfg.APIRate == 0 {
		cfg.APIRate = defaultAPIRate
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	return cfg
}

func newProvider(cfg *Config) (Provider, error) {
	if cfg.Provider != nil {
		if cfg.IDX.AppName == "" {
			return nil, errors.New("middleware: IDX.AppName is empty: it names the cookies and keys of the application, with a Provider too; want a name such as my-app")
		}
		return cfg.Provider, nil
	}
	client, err := idx.New(cfg.IDX)
	if err != nil {
		return nil, err
	}
	return client, nil
}

// newWebhooks returns nil if they are switched off.
func newWebhooks(cfg *Config, provider Provider) (webhookReader, error) {
	if !cfg.Webhooks || provider == nil { // of which its own error tells
		return nil, nil
	}
	reader, ok := provider.(webhookReader)
	if !ok {
		return nil, errors.New("middleware: Webhooks: this Provider has none: want its methods HasSecret and ParseWebhook")
	}
	if !reader.HasSecret() {
		return nil, errors.New("middleware: Webhooks needs IDX.APISecret: without it nobody can tell who sends them")
	}
	return reader, nil
}

func newSessions(cfg *Config, place site) (*session.Manager, error) {
	if cfg.Store == nil {
		return nil, errors.New("middleware: Store is nil: want session.NewRedis(client, nil), or session.NewMemory() in tests")
	}
	settings := cfg.Session
	if settings.Name == "" {
		settings.Name = place.name
	}
	if settings.Name == "" { // BaseURL is wrong; its own error says so
		settings.Name = "unnamed"
	}
	if settings.Logger == nil {
		settings.Logger = cfg.Logger
	}
	settings.InsecureCookie = !place.secure
	return session.New(cfg.Store, settings, func(uid, data string) (any, error) {
		return decodeIdentity(uid, data)
	})
}

// realm is bound into everything that is sealed: what one application, tenant or
// address has sealed, another cannot open.
func (s *site) realm(hub string) string {
	return s.name + "\x00" + hub + "\x00" + s.origin + s.base
}

// originOf returns scheme and host of an address.
func originOf(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return ""
	}
	return u.Scheme + "://" + u.Host
}

// Sessions returns the manager of the sessions, to list and end them.
func (a *Auth) Sessions() *session.Manager { return a.sessions }

// Health reports whether sessions can be read: nil, or an error that matches
// [session.ErrUnavailable]. It does not ask LoginRadius, whose outage signs
// nobody out.
func (a *Auth) Health(ctx context.Context) error {
	return a.sessions.Ping(ctx)
}

// Close waits for work in the background to end: invalidations of tokens and touches
// of sessions are finished, re-reads of accounts and what is tried again, logouts and
// webhooks, are broken off. Call it after [http.Server.Shutdown].
func (a *Auth) Close() error {
	a.reading.Cancel()
	a.logouts.Cancel()
	a.webhookTasks.Cancel()
	a.work.Close()
	a.tokens.Close()
	return a.sessions.Close()
}
