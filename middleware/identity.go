package middleware

import (
	"context"
	"time"

	"github.com/idxauth/idxauth/idx"
	"github.com/idxauth/idxauth/session"
)

// Identity is the signed-in user as handlers see it. It is shared between the
// requests of a session: do not change it.
type Identity struct {
	// Profile is the copy of the LoginRadius profile in the session, at most
	// [Config].Revalidate old while the API answers. It has no Raw.
	idx.Profile

	// AuthTime is when this user is known to have typed a password, or the like, on
	// the hosted page: a silent return with the hosted page's own session keeps it.
	// [RecentLogin] goes by it.
	AuthTime time.Time

	private *private
}

// private is what handlers get only if they ask.
type private struct {
	// Two pointers away from an Identity, as fmt follows one of them under a verb that is
	// none for a pointer, such as %s, and asks no methods of what is unexported.
	token *idx.Token // nil: none

	tokenExpires time.Time // zero: unknown
	checked      time.Time // when the last reading of the account began
	failedAt     time.Time // when reading it again first failed since then; zero: it did not
}

// AccessToken returns the user's access token, for calls to LoginRadius in the
// user's name. It may have expired. Keep it out of logs and pages.
func (u *Identity) AccessToken() idx.Token {
	if u.private == nil || u.private.token == nil {
		return ""
	}
	return *u.private.token
}

// HasRole reports whether the user has one of roles, by exact name.
func (u *Identity) HasRole(roles ...string) bool {
	for _, role := range roles {
		for _, have := range u.Roles {
			if have == role {
				return true
			}
		}
	}
	return false
}

// User returns the signed-in user of a request's context, or nil for a stranger.
// Behind [Auth.RequireLogin] it is never nil.
func User(ctx context.Context) *Identity {
	s := session.FromContext(ctx)
	if s == nil {
		return nil
	}
	user, _ := s.Principal().(*Identity)
	return user
}

// WithUser returns a context with a signed-in user, for tests of handlers: they
// need no login, no store and no cookie. Wrapped handlers are let through as that user,
// if rules allow. Values put into the session stay in the context. Package authtest
// makes users, and whole requests.
func WithUser(ctx context.Context, user *Identity) context.Context {
	return session.NewContext(ctx, session.Detached(user))
}
