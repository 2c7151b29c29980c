package session

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/alexedwards/scs/v2"

	"github.com/idxauth/idxauth/internal/background"
)

const (
	// backgroundWork bounds what touches and clean-ups may run at once.
	backgroundWork    = 64
	backgroundTimeout = 2 * time.Second
)

// Manager creates, finds and ends sessions. It is safe for concurrent use.
type Manager struct {
	store   Store
	cfg     Config
	open    func(userID, data string) (any, error)
	engine  scs.SessionManager
	near    *near  // nil: switched off
	watch   *watch // of the near cache; nil: switched off
	work    *background.Group
	touches touches
	inspect sync.Once
	log     *slog.Logger

	followers followers
}

// inspector is a store that can look for settings of its server that lose sessions.
type inspector interface {
	inspect(ctx context.Context, log *slog.Logger)
}

// watcher is a store that tells when records change.
type watcher interface {
	watch(cfg Config, near *near) *watch
}

// checker is a store that knows of settings under which it cannot keep its word.
type checker interface {
	check(log *slog.Logger) error
}

// New checks cfg and returns a manager on store. It does no I/O and reports all
// problems in one error, those of a [NewRedis] client included. open turns what
// was given to [Manager.Start] back into the principal that [Session.Principal]
// returns; it runs once per opened record, and an error means that the record is
// unreadable. The principal is shared by all requests of the session: nobody may change
// it. If nil, the principal is the data itself.
func New(store Store, cfg Config, open func(userID, data string) (principal any, err error)) (*Manager, error) {
	cfg, err := cfg.complete()
	log := cfg.Logger
	if log == nil {
		log = slog.Default()
	}
	if store == nil {
		err = errors.Join(err, errors.New("session: no store: want NewRedis(client, nil), or NewMemory() in tests"))
	}
	if c, ok := store.(checker); ok {
		err = errors.Join(err, c.check(log))
	}
	if err != nil {
		return nil, err
	}
	if open == nil {
		open = func(_, data string) (any, error) { return data, nil }
	}
	m := &Manager{
		store:  store,
		cfg:    cfg,
		open:   open,
		engine: newEngine(cfg),
		work:   background.NewGroup(backgroundWork),
		log:    log,
	}
	m.followers.init(m)
	if w, ok := store.(watcher); ok && !cfg.NearCache.Off {
		near := newNear(cfg.NearCache)
		near.told = m.followers.changed
		if m.watch = w.watch(cfg, near); m.watch != nil {
			m.near = near
		}
	}
	return m, nil
}

// CookieName returns the name of the session cookie.
func (m *Manager) CookieName() string { return m.engine.Cookie.Name }

// ClearCookie tells the browser to forget the session token.
func (m *Manager) ClearCookie(w http.ResponseWriter) {
	addCookie(w, func(w http.ResponseWriter) {
		m.engine.WriteSessionCookie(context.Background(), w, "", time.Time{})
	})
}

// Claim marks name as used for ttl, across all instances, and returns what was
// claimed there before: nil if the claim is ours. A name is stored as it is, so
// hash what is secret.
func (m *Manager) Claim(ctx context.Context, name string, value []byte, ttl time.Duration) (held []byte, err error) {
	held, err = m.store.Claim(context.WithoutCancel(ctx), m.cfg.Name, name, value, ttl)
	if err != nil {
		return nil, unavailable("claim", err)
	}
	return held, nil
}

// Swap replaces what was claimed under name, if that is old, by value for ttl, and
// reports whether it did: another instance may have been faster. Old nil stands for
// whatever is there, even nothing; value nil removes it.
func (m *Manager) Swap(ctx context.Context, name string, old, value []byte, ttl time.Duration) (swapped bool, err error) {
	swapped, err = m.store.Swap(context.WithoutCancel(ctx), m.cfg.Name, name, old, value, ttl)
	if err != nil {
		return false, unavailable("swap", err)
	}
	return swapped, nil
}

// Ping reports whether the store answers; otherwise ErrUnavailable.
func (m *Manager) Ping(ctx context.Context) error {
	if err := m.store.Ping(ctx); err != nil {
		return unavailable("ping", err)
	}
	return nil
}

// Close ends the contexts of [Follow], with [ErrClosed], and the near cache's
// connections, and waits for work in the background (touches) to end. Requests that
// come later are still served, but from no cache, and touch nothing.
//
// [http.Server.Shutdown] waits for answers that follow a session: let it close the
// Manager with [http.Server.RegisterOnShutdown].
func (m *Manager) Close() error {
	m.followers.close()
	m.work.Close()
	if m.watch != nil {
		m.watch.close()
	}
	return nil
}

// drop makes this instance forget what it knows of the session n, and those that
// follow it ask again.
func (m *Manager) drop(n *name) {
	if m.near != nil {
		m.near.drop(n) // which tells the followers
		return
	}
	m.followers.changed(n)
}

// unavailable makes ErrUnavailable of whatever the store could not answer, and
// keeps the cause for errors.Is: a visitor who left is context.Canceled.
func unavailable(tried string, cause error) error {
	if isVerdict(cause) { // not of this question: "refused" is not "signed out"
		return fmt.Errorf("session: %s: %w: %v", tried, ErrUnavailable, cause)
	}
	return fmt.Errorf("session: %s: %w: %w", tried, ErrUnavailable, cause)
}

// classify keeps the verdicts of a store and makes everything else ErrUnavailable.
func classify(tried string, err error) error {
	if isVerdict(err) {
		return err
	}
	return unavailable(tried, err)
}

func isVerdict(err error) bool {
	return errors.Is(err, ErrNotFound) || errors.Is(err, ErrConflict) || errors.Is(err, ErrRevoked)
}
