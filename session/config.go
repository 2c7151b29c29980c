package session

import (
	"errors"
	"fmt"
	"log/slog"
	"time"
)

const (
	defaultIdle     = 24 * time.Hour
	defaultAbsolute = 7 * 24 * time.Hour
	maxTouchEvery   = 5 * time.Minute
	maxNameLen      = 64
)

// Config sets the limits and the cookie of sessions. The zero value of a field
// means the default named there; Name has none.
type Config struct {
	// Name is the application's namespace: in front of every key in the store,
	// in the cookie's name, and bound into every record. 1 to 64 lower-case
	// letters, digits and dashes. Package middleware derives it from the app name
	// and the base URL.
	Name string

	// Idle ends a session that was unused for so long. Default 24 h, or Absolute
	// if that is shorter; negative: no idle limit.
	Idle time.Duration

	// Absolute ends a session so long after login, used or not; deadlines are whole
	// seconds. Default 7 days. It must not be shorter than an Idle that is set.
	Absolute time.Duration

	// TouchEvery is the grain of the idle limit: use extends it at most so often,
	// with one small command in the background, and a session can therefore end
	// by so much too early. Default a tenth of Idle, at most 5 min.
	TouchEvery time.Duration

	// Persist lets the cookie outlive the browser, until the absolute limit.
	Persist bool

	// InsecureCookie drops the Secure attribute and the __Host- prefix. Only for
	// http:// on a loopback host, where package middleware sets it.
	InsecureCookie bool

	// MaxPerUser is how many sessions one user can have. The login of a user who is full
	// looks at each of them, so it is for limits of some dozen. Default 0: no limit.
	MaxPerUser int

	// WhenFull is what a login beyond MaxPerUser does. Default [EndOldest].
	WhenFull WhenFull

	// NearCache adjusts the cache of opened sessions, which is on for stores of
	// [NewRedis].
	NearCache NearCache

	// Logger gets warnings: unreadable records, clients with slow settings. None
	// holds a token, a key or who it is about. If nil, slog.Default().
	Logger *slog.Logger
}

// WhenFull is what happens at a login of a user who has [Config].MaxPerUser sessions.
// It is exact, however many logins there are at once.
type WhenFull int

const (
	EndOldest WhenFull = iota // the sessions with the earliest deadlines end
	RefuseNew                 // the login is refused with ErrTooManySessions
)

// AAL1 returns the limits that NIST SP 800-63B-4, section 2.1.3, recommends for
// authentication assurance level 1: 30 days after login at most, without an idle
// limit.
func AAL1() Config { return Config{Absolute: 30 * 24 * time.Hour, Idle: -1} }

// AAL2 returns the limits of NIST SP 800-63B-4, section 2.2.3, for authentication
// assurance level 2: 24 hours after login at most, 1 hour without use. The level
// also asks for two factors, which is for the hosted page to require.
func AAL2() Config { return Config{Absolute: 24 * time.Hour, Idle: time.Hour} }

// complete returns cfg with its defaults filled in, or all of its problems in one
// error.
func (cfg Config) complete() (Config, error) {
	err := errors.Join(cfg.checkName(), cfg.checkLimits())
	if cfg.MaxPerUser < 0 {
		err = errors.Join(err, fmt.Errorf("session: MaxPerUser %d: want 0 (no limit) or more", cfg.MaxPerUser))
	}
	if cfg.WhenFull != EndOldest && cfg.WhenFull != RefuseNew {
		err = errors.Join(err, fmt.Errorf("session: WhenFull %d: want EndOldest or RefuseNew", cfg.WhenFull))
	}
	err = errors.Join(err, cfg.NearCache.check())
	if err != nil {
		return Config{}, err
	}
	if cfg.Absolute == 0 {
		cfg.Absolute = defaultAbsolute
	}
	switch {
	case cfg.Idle < 0:
		cfg.Idle = 0 // from here on, 0 is "no idle limit"
	case cfg.Idle == 0:
		cfg.Idle = min(defaultIdle, cfg.Absolute)
	}
	if cfg.TouchEvery == 0 {
		cfg.TouchEvery = max(min(cfg.Idle/10, maxTouchEvery), time.Millisecond)
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	cfg.NearCache = cfg.NearCache.complete()
	return cfg, nil
}

func (cfg Config) checkName() error {
	ok := 0 < len(cfg.Name) && len(cfg.Name) <= maxNameLen
	for _, c := range []byte(cfg.Name) {
		ok = ok && ('a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-')
	}
	if !ok {
		return fmt.Errorf("session: Name: want 1 to %d lower-case letters, digits and dashes", maxNameLen)
	}
	return nil
}

func (cfg Config) checkLimits() error {
	var errs []error
	absolute := cfg.Absolute
	if absolute == 0 {
		absolute = defaultAbsolute
	}
	if absolute < time.Second { // deadlines are whole seconds
		errs = append(errs, fmt.Errorf("session: Absolute %v: want a second or more", cfg.Absolute))
	}
	if 0 < cfg.Idle && cfg.Idle < time.Millisecond {
		errs = append(errs, fmt.Errorf("session: Idle %v: want a millisecond or more, or a negative duration for no limit", cfg.Idle))
	}
	if absolute >= time.Second && cfg.Idle > absolute {
		errs = append(errs, fmt.Errorf("session: Idle %v is longer than Absolute %v: the idle limit could never be reached", cfg.Idle, absolute))
	}
	if cfg.TouchEvery < 0 {
		errs = append(errs, fmt.Errorf("session: TouchEvery %v: want a positive duration", cfg.TouchEvery))
	}
	if idle := cfg.Idle; idle >= 0 {
		if idle == 0 {
			idle = min(defaultIdle, absolute)
		}
		if cfg.TouchEvery > 0 && cfg.TouchEvery >= idle {
			errs = append(errs, fmt.Errorf("session: TouchEvery %v: want less than Idle %v, or sessions in use would end", cfg.TouchEvery, idle))
		}
	}
	return errors.Join(errs...)
}
