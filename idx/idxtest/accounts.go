package idxtest

import (
	"strings"

	"github.com/idxauth/idxauth/idx"
)

// The rules of logging in and registering, which the hosted page and the API share.
// Callers hold [Server].mu.

// login checks a password and issues a token.
func (t *tenant) login(email, password string) (*token, *apiError) {
	a := t.users.byEmail[lowerASCII(strings.TrimSpace(email))]
	if a == nil || a.Deleted || a.Password == "" || a.Password != password {
		return nil, errLogin
	}
	return t.admit(a)
}

// admit issues a token to somebody who has shown who it is, if the account may log in.
func (t *tenant) admit(a *account) (*token, *apiError) {
	limit := t.settings.SessionLimit
	switch {
	case a.Deleted:
		return nil, errUserNotFound
	case a.Blocked:
		return nil, errBlocked
	case a.LoginLocked:
		return nil, errLocked
	case !a.EmailVerified && t.settings.Verification == VerificationRequired:
		return nil, errEmailUnverified
	case limit > 0 && len(t.live(a.UID)) >= limit:
		return nil, errSessionLimit
	}
	tok := t.issue(a)
	t.report(idx.EventLogin, a)
	return tok, nil
}

// mayReturn checks the account behind a session of the hub, which sends it on in
// silence.
func (t *tenant) mayReturn(tok *token) *apiError {
	a, err := t.holder(tok)
	switch {
	case err != nil:
		return err
	case a.Deleted:
		return errUserNotFound
	case a.Blocked:
		return errBlocked
	}
	return nil
}

// register makes an account and says whether its user is logged in at once. page is
// where the link in the verification mail leads.
func (t *tenant) register(u User, page string) (a *account, admitted bool, err *apiError) {
	u.Email = strings.TrimSpace(u.Email)
	if at := strings.IndexByte(u.Email, '@'); at < 1 || at == len(u.Email)-1 || len(u.Password) < 6 {
		return nil, false, errValidation
	}
	if t.users.byEmail[lowerASCII(u.Email)] != nil {
		return nil, false, errEmailTaken
	}
	a = t.addUser(u)
	t.report(idx.EventRegister, a)
	if t.settings.Verification != VerificationNone {
		t.sendMail(a, "Please confirm your e-mail address", page, vtypeVerify, verificationLife)
	}
	return a, t.settings.Verification != VerificationRequired, nil
}

// forgot sends a mail to whoever has the address. Nobody is told whether somebody has.
func (t *tenant) forgot(email, page string) {
	if a := t.users.byEmail[lowerASCII(strings.TrimSpace(email))]; a != nil && !a.Deleted {
		t.sendMail(a, "Choose a new password", page, vtypeReset, resetLife)
	}
}

// verify follows the link in a verification mail.
func (t *tenant) verify(vtoken string) (*account, *apiError) {
	a, err := t.follow(vtoken, vtypeVerify)
	if err != nil {
		return nil, err
	}
	a.EmailVerified, a.modified = true, t.clock.now()
	t.report(idx.EventEmailVerification, a)
	return a, nil
}

// reset sets a new password.
func (t *tenant) reset(vtoken, password string) *apiError {
	if len(password) < 6 {
		return errValidation
	}
	a, err := t.follow(vtoken, vtypeReset)
	if err != nil {
		return err
	}
	a.Password, a.password, a.modified = password, t.clock.now(), t.clock.now()
	t.report(idx.EventResetPassword, a)
	return nil
}
