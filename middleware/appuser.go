package middleware

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/idxauth/idxauth/session"
)

// AppUser returns the signed-in user as the application knows it: what [Config].AppUser
// makes of [User]. It is loaded when it is first asked for, once in a request whoever
// asks (handlers, rules made by [Check]), and again after [Auth.Refresh]. A failure is
// not kept.
//
// The error matches [session.ErrNoSession] if nobody is signed in, is that of
// [Config].AppUser, or says that there is none or that it returns another type than T.
func AppUser[T any](ctx context.Context) (T, error) {
	var none T
	value, err := loadAppUser(ctx)
	if err != nil {
		return none, fmt.Errorf("middleware: AppUser: %w", err)
	}
	user, ok := value.(T)
	if !ok {
		return none, fmt.Errorf("middleware: AppUser: Config.AppUser returned a %T, want %T", value, none)
	}
	return user, nil
}

// WithAppUser returns a context in which [AppUser] returns user, for tests of handlers:
// the application's database is not asked. Add [WithUser] where they need both.
func WithAppUser(ctx context.Context, user any) context.Context {
	return &appUser{Context: ctx, isFixed: true, value: user}
}

type appUserKey struct{}

// appUser is a context that carries the application's user, or how to load it. It is
// made per request, and only if Config.AppUser is set.
type appUser struct {
	context.Context
	auth    *Auth // whose user it is of; nil if isFixed
	isFixed bool  // by WithAppUser

	mu    sync.Mutex
	of    *Identity // whom value was loaded for
	value any
}

func (c *appUser) Value(key any) any {
	if key == (appUserKey{}) {
		return c
	}
	return c.Context.Value(key)
}

func appUserOf(ctx context.Context) *appUser {
	c, _ := ctx.Value(appUserKey{}).(*appUser)
	return c
}

// withSession returns a context that carries s, and how to load the application's user.
func (a *Auth) withSession(ctx context.Context, s *session.Session) context.Context {
	return a.withAppUser(session.NewContext(ctx, s))
}

// withAppUser lets AppUser find the loader. What a test has put there stays.
func (a *Auth) withAppUser(ctx context.Context) context.Context {
	if a.appUser == nil {
		return ctx
	}
	if c := appUserOf(ctx); c != nil && (c.isFixed || c.auth == a) {
		return ctx
	}
	return &appUser{Context: ctx, auth: a}
}

func loadAppUser(ctx context.Context) (any, error) {
	c := appUserOf(ctx)
	if c != nil && c.isFixed {
		return c.value, nil
	}
	user := User(ctx)
	if user == nil {
		return nil, session.ErrNoSession
	}
	if c == nil || !c.auth.owns(session.FromContext(ctx)) { // or it would be loaded by another application's id
		return nil, errors.New("Config.AppUser is not set")
	}
	return c.load(ctx, user)
}

func (c *appUser) load(ctx context.Context, user *Identity) (any, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.of == user {
		return c.value, nil
	}
	value, err := c.auth.appUser(ctx, user)
	if err == nil {
		c.of, c.value = user, value
	}
	return value, err
}

// owns reports whether s is a session of this application, or a test's.
func (a *Auth) owns(s *session.Session) bool {
	return s.Manager() == a.sessions || s.Manager() == nil
}
