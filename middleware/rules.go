package middleware

import (
	"fmt"
	"net/http"
	"time"
)

// Rule is a condition on a signed-in user, for [Auth.Require] and [Auth.Protect].
type Rule struct {
	check func(r *http.Request, user *Identity) error // nil: satisfied
}

// HasRole wants a user with one of roles, by exact name. To demand several, give
// several rules.
func HasRole(roles ...string) Rule {
	return Rule{func(_ *http.Request, user *Identity) error {
		if !user.HasRole(roles...) {
			return refuse(RoleMissing, nil)
		}
		return nil
	}}
}

// EmailVerified wants a user whose e-mail address is confirmed.
func EmailVerified() Rule {
	return Rule{func(_ *http.Request, user *Identity) error {
		if user.Email == "" || !user.EmailVerified {
			return refuse(EmailUnverified, nil)
		}
		return nil
	}}
}

// RecentLogin wants a user who has signed in on the hosted page within d, for pages
// where a session left open must not be enough. Others are signed out of the hosted
// page, which would let them through in silence, and sign in again.
//
// It goes by [Identity].AuthTime: an access token that was seen before does not
// make a login fresh. It cannot tell a password from whatever else the hosted page
// accepts.
func RecentLogin(d time.Duration) Rule {
	return Rule{func(_ *http.Request, user *Identity) error {
		if time.Since(user.AuthTime) > d {
			return refuse(LoginTooOld, nil)
		}
		return nil
	}}
}

// Check is a rule of the application's own. reason is the code of its refusal. An
// error of allow means that it cannot say: the answer is a 500, and nobody gets in.
func Check(reason Reason, allow func(r *http.Request, user *Identity) (bool, error)) Rule {
	return Rule{func(r *http.Request, user *Identity) error {
		ok, err := allow(r, user)
		switch {
		case err != nil:
			return refuse(HookFailed, fmt.Errorf("check %s: %w", reason, err))
		case !ok:
			return refuse(reason, nil)
		}
		return nil
	}}
}

func checkRules(r *http.Request, rules []Rule) error {
	if len(rules) == 0 {
		return nil
	}
	user := User(r.Context())
	for _, rule := range rules {
		if err := rule.check(r, user); err != nil {
			return err
		}
	}
	return nil
}
