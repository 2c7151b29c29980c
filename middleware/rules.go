package middleware

import (
	"errors"
	"fmt"
	"net/http"
	"time"
)

// Rule is a condition on a signed-in user, for [Auth.Require] and [Auth.Protect].
type Rule struct {
	check func(a *Auth, r *http.Request, user *Identity) error // nil: satisfied
}

// HasRole wants a user with one of roles, by exact name. To demand several, give
// several rules. Roles are those of the profile, which with an API secret is read
// through the management API once the login is over; see [Config].Revalidate for how
// old they can be.
func HasRole(roles ...string) Rule {
	return Rule{func(_ *Auth, _ *http.Request, user *Identity) error {
		if !user.HasRole(roles...) {
			return refuse(RoleMissing, nil)
		}
		return nil
	}}
}

// EmailVerified wants a user whose e-mail address is confirmed. Before it refuses, it
// reads the account again, for users who come from the link in the mail: at most every 5
// seconds, and if that takes longer than 2, the copy in the session counts.
func EmailVerified() Rule {
	return Rule{func(a *Auth, r *http.Request, user *Identity) error {
		if hasVerifiedEmail(user) {
			return nil
		}
		user, err := a.askAgain(r.Context(), user)
		if err != nil {
			return err
		}
		if !hasVerifiedEmail(user) {
			return refuse(EmailUnverified, nil)
		}
		return nil
	}}
}

func hasVerifiedEmail(user *Identity) bool { return user.Email != "" && user.EmailVerified }

// RecentLogin wants a user who has signed in on the hosted page within d, for pages
// where a session left open must not be enough. Others are signed out of the hosted
// page, which would let them through in silence, and sign in again.
//
// It goes by [Identity].AuthTime: an access token that was seen before does not
// make a login fresh. It cannot tell a password from whatever else the hosted page
// accepts.
func RecentLogin(d time.Duration) Rule {
	return Rule{func(_ *Auth, _ *http.Request, user *Identity) error {
		if time.Since(user.AuthTime) > d {
			return refuse(LoginTooOld, nil)
		}
		return nil
	}}
}

// Check is a rule of the application's own. reason is its name: the code of its refusal.
// An error of allow that was made by [Refuse] is a refusal too, with its own code and a
// sentence for the visitor. Any other error means that it cannot say: the answer is a
// 500, and nobody gets in.
func Check(reason Reason, allow func(r *http.Request, user *Identity) (bool, error)) Rule {
	return Rule{func(_ *Auth, r *http.Request, user *Identity) error {
		ok, err := allow(r, user)
		if refused, is := errors.AsType[*refusal](err); is {
			return refused
		}
		switch {
		case err != nil:
			return refuse(HookFailed, fmt.Errorf("check %s: %w", reason, err))
		case !ok:
			return refuse(reason, nil)
		}
		return nil
	}}
}

func (a *Auth) checkRules(r *http.Request, rules []Rule) error {
	if len(rules) == 0 {
		return nil
	}
	for _, rule := range rules {
		user := User(r.Context()) // anew: the rule before may have read the account
		if err := rule.check(a, r, user); err != nil {
			return err
		}
	}
	return nil
}
