package middleware

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/idxauth/idxauth/idx"
	"github.com/idxauth/idxauth/session"
)

const (
	maxQuery = 64 << 10
	maxToken = 4 << 10 // encrypted tokens have some 700 characters and more

	// exchangeTimeout bounds a callback's calls to the API, retries included.
	exchangeTimeout = 8 * time.Second

	// maxExchanges is how many tokens may be brought in with one state, in one process,
	// before it is refused. Each costs a call to the API, whose number is limited for the
	// whole tenant; a visitor needs one. Those that an API which is down did not answer do
	// not count, nor those that were too many: he reloads such a page.
	maxExchanges = 5

	// maxExpiryWait is how long a login waits for the token's expiry when it has the
	// profile.
	maxExpiryWait = time.Second
)

// callback is a browser that came back from the hosted page.
type callback struct {
	query    url.Values
	binding  *binding
	state    state
	renewed  bool // the binding's secret was replaced since this login started
	path     string
	token    idx.Token
	previous *session.Session // the browser's session until now, or nil
}

// serveCallback ends a login. The order matters: whatever can be refused without
// asking anybody is refused first, and the token is not looked at before the state
// has shown that this browser asked for it.
func (a *Auth) serveCallback(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Referrer-Policy", "no-referrer") // the address holds a token
	if !isVisit(r) {
		a.serveProblem(w, r, refuse(LoginRequired, nil))
		return
	}
	cb := &callback{binding: a.readBinding(r), path: a.site.landing}
	err := a.readCallback(r, cb)
	if kind := cb.query.Get("action_completed"); err != nil && !cb.query.Has("token") && isMailAction(kind) {
		a.servePage(w, r, http.StatusOK, mailPage(kind, a.loginPath(cb.path)))
		return
	}
	if err == nil && a.isSignedIn(cb) && !cb.state.fresh {
		redirect(w, http.StatusSeeOther, a.site.url(cb.path))
		return
	}
	if err == nil {
		err = a.signIn(w, r, cb)
	}
	switch reason := reasonOf(err); {
	case err == nil:
		redirect(w, http.StatusSeeOther, a.site.url(cb.path))
	case reason == TokenReplayed, reason == TokenInvalid && cb.attempts(r) > 0:
		// Most likely a browser that lost our cookies and kept the hosted page's, or a
		// hosted page that keeps a dead token. It must forget the token, or it would
		// send it again.
		a.report(r, a.problem(err))
		a.startOver(w, r, login{path: cb.path, attempt: cb.attempts(r) + 1, cause: err})
	case reason == StateReused && a.admits(cb.previous):
		redirect(w, http.StatusSeeOther, a.site.url(cb.path)) // the Back button
	case a.problem(err).Status == http.StatusBadRequest:
		a.report(r, a.problem(err))
		a.startLogin(w, r, login{path: cb.path, attempt: cb.attempts(r) + 1, cause: err})
	default:
		a.serveProblem(w, r, err)
	}
}

// readCallback reads and judges all that the browser brought. It asks the store
// for the browser's session, if there is one, and nobody else.
func (a *Auth) readCallback(r *http.Request, cb *callback) error {
	var err error
	if len(r.URL.RawQuery) > maxQuery {
		return refuse(TokenMalformed, errors.New("query is too long"))
	}
	// Not URL.Query, which drops what it cannot read: a second token among it.
	if cb.query, err = url.ParseQuery(r.URL.RawQuery); err != nil {
		return refuse(TokenMalformed, errors.New("query is malformed"))
	}
	if err := a.readState(r, cb); err != nil {
		return err
	}
	if cb.token, err = tokenIn(cb.query["token"]); err != nil {
		return err
	}
	cb.previous, err = a.sessions.Load(r)
	if err != nil && !isStranger(err) {
		return err
	}
	return nil
}

// readState finds the state and, if it can be read at all, the page to go on to.
func (a *Auth) readState(r *http.Request, cb *callback) error {
	values := cb.query["state"]
	if len(values) > 1 {
		return refuse(StateMismatch, errors.New("several states"))
	}
	var err error
	cb.state, cb.renewed, err = a.states.open(cb.query.Get("state"), cb.binding, time.Now())
	raw, known := cb.state.path, true
	if cb.state.parked {
		raw, known = a.parkedPath(r, cb.state.path)
	}
	if p, ok := a.site.returnPath(raw); ok && known {
		cb.path = p
	}
	switch {
	case errors.Is(err, errStateMissing):
		return refuse(StateMissing, err)
	case errors.Is(err, errStateExpired):
		return refuse(StateExpired, err)
	case err != nil:
		return refuse(StateMismatch, err)
	}
	return nil
}

// tokenIn returns the one token of a callback. Tokens are opaque: GUIDs, or on some
// tenants encrypted JWTs. The zero GUID is the hosted page's word for none.
func tokenIn(values []string) (idx.Token, error) {
	if len(values) == 0 || values[0] == "" && len(values) == 1 {
		return "", refuse(TokenMissing, nil)
	}
	if len(values) > 1 {
		return "", refuse(TokenMalformed, errors.New("several tokens"))
	}
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-"
	token := values[0]
	if len(token) > maxToken || strings.Trim(token, alphabet) != "" {
		return "", refuse(TokenMalformed, errors.New("token has an impossible form"))
	}
	if token == "00000000-0000-0000-0000-000000000000" {
		return "", refuse(TokenMissing, errors.New("zero token"))
	}
	return idx.Token(token), nil
}

// isSignedIn reports that this login has been completed already, in this browser
// and with this very token: another tab was first, or the visitor went back.
//
// A session that the pages would not take is none: sent there, the browser would be
// back at once, and go round for ever.
func (a *Auth) isSignedIn(cb *callback) bool {
	if cb.previous == nil {
		return false
	}
	user, ok := cb.previous.Principal().(*Identity)
	return ok && user.AccessToken() == cb.token && a.admits(cb.previous)
}

// admits reports whether pages take s, as far as its access token goes.
func (a *Auth) admits(s *session.Session) bool {
	if s == nil {
		return false
	}
	user, ok := s.Principal().(*Identity)
	return ok && (!a.requireLiveToken || a.canReread(user))
}

// attempts is how often this login was started over, by the state or by the
// callback's path, whichever says more.
func (cb *callback) attempts(r *http.Request) int {
	_, mark, _ := strings.Cut(r.URL.Path, "/"+routeCallback+"/")
	return max(cb.state.attempt, readAttempt(mark))
}

// signIn exchanges the token for a user and starts the session.
func (a *Auth) signIn(w http.ResponseWriter, r *http.Request, cb *callback) error {
	ctx := r.Context()
	if !a.exchanges.another(cb.query.Get("state"), maxExchanges) {
		return refuse(StateReused, errors.New("too many tokens came with it"))
	}
	user, err := a.exchange(ctx, cb.token)
	if (reasonOf(err) == TooBusy || isNoAnswer(err)) && ctx.Err() == nil {
		a.exchanges.giveBack(cb.query.Get("state"))
	}
	if err != nil {
		return err
	}
	if err := a.claimState(ctx, cb); err != nil {
		return err
	}
	firstSeen, err := a.claimToken(ctx, cb, user)
	if err != nil {
		return err
	}
	user.AuthTime = firstSeen
	if !user.LastLoginAt.IsZero() && user.LastLoginAt.Before(firstSeen) {
		// The hosted page's session is from an earlier login, of another application
		// perhaps. A fresh login must be younger than its start: a link to the login
		// route can ask for one without having signed the visitor out there.
		if cb.state.fresh && user.LastLoginAt.Before(cb.state.issued.Add(-clockSkew)) {
			return answeredInSilence()
		}
		if !cb.state.fresh {
			user.AuthTime = user.LastLoginAt
		}
	}
	ctx = a.sessions.Draft(ctx)
	if a.hooks.OnLogin != nil {
		if err := a.hooks.OnLogin(ctx, user); err != nil {
			if _, ok := errors.AsType[*refusal](err); ok {
				return err
			}
			return refuse(HookFailed, fmt.Errorf("OnLogin: %w", err))
		}
	}
	_, err = a.sessions.Start(ctx, w, session.NewSession{
		UserID:   user.UID,
		Data:     encodeIdentity(user),
		Replaces: cb.previous,
		Device:   session.Device{Name: deviceName(r.Header), Network: a.networkOf(r)},
	})
	if err != nil {
		return err
	}
	now := time.Now()
	if !cb.renewed { // else other tabs of the same secret may still be under way
		cb.binding.renew(now)
	}
	cb.binding.completed(now, a.admits(cb.previous))
	a.writeBinding(w, cb.binding)
	if cb.state.parked {
		http.SetCookie(w, a.site.cookie(purposeParked, "", -time.Second))
	}
	return nil
}

// isNoAnswer reports whether err is that of an API that is down. A firewall can refuse a
// single token for as often as somebody brings it in.
func isNoAnswer(err error) bool {
	apiErr, isAnswer := errors.AsType[*idx.APIError](err)
	return reasonOf(err) == ProviderDown && (!isAnswer || apiErr.Status == http.StatusTooManyRequests || apiErr.Status >= 500)
}

// exchange returns the user to whom token was issued, if the account may sign in.
func (a *Auth) exchange(ctx context.Context, token idx.Token) (*Identity, error) {
	calls := 2
	if a.accounts != nil {
		calls = 1
	}
	done, err := a.brake.login(ctx, calls)
	if err != nil {
		return nil, err
	}
	x, err := a.exchangeOnce(ctx, token, done)
	if err != nil {
		return nil, providerRefusal(err)
	}
	if err := mayEnter(x.profile); err != nil {
		return nil, err
	}
	return newIdentity(x.profile, &private{token: &token, checked: x.started, tokenExpires: x.expires}), nil
}

// exchanged is what LoginRadius said about a token.
type exchanged struct {
	started time.Time
	profile *idx.Profile
	expires time.Time // zero: unknown
}

// exchangeOnce asks once for all callbacks that bring in the same token at the same time:
// tabs that were restored, or a link that was clicked twice. It calls done when that has
// ended, which it does after a visitor who has left: his place in the brake is taken
// until then, or whoever keeps leaving would have any number of calls under way.
func (a *Auth) exchangeOnce(ctx context.Context, token idx.Token, done func()) (exchanged, error) {
	result := a.exchanging.DoChan(string(token), func() (v any, err error) {
		err = errors.New("exchange of the token did not end")              // stands after a panic
		if !a.reading.Do(ctx, exchangeTimeout, func(ctx context.Context) { // not one visitor's to cancel
			v, err = a.askForToken(ctx, token)
		}) {
			err = errors.New("too many tokens are being exchanged, or Auth is closed")
		}
		return v, err
	})
	select {
	case <-ctx.Done():
		go func() {
			<-result
			done()
		}()
		return exchanged{}, ctx.Err()
	case r := <-result:
		done()
		x, _ := r.Val.(exchanged)
		return x, r.Err
	}
}

func (a *Auth) askForToken(ctx context.Context, token idx.Token) (exchanged, error) {
	expires := a.askExpiry(ctx, token)
	x := exchanged{started: time.Now()}
	var err error
	x.profile, err = a.provider.Profile(ctx, token)
	a.brake.quietLogins.note(err)
	if err != nil {
		return exchanged{}, err
	}
	select {
	case x.expires = <-expires:
	case <-time.After(maxExpiryWait): // the login does not hang on it
	}
	return x, nil
}

// askExpiry asks until when token lives, if that matters: without an API secret the account
// can be read again until then, and an earlier refusal means that it was revoked. The zero
// time says that it is not known.
func (a *Auth) askExpiry(ctx context.Context, token idx.Token) <-chan time.Time {
	expires := make(chan time.Time, 1)
	began := a.accounts == nil && a.reading.Go(ctx, exchangeTimeout, func(closing context.Context) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		defer context.AfterFunc(closing, cancel)()
		t, _ := a.provider.Validate(ctx, token) // on failure unknown; the profile decides about the login
		expires <- t
	})
	if !began {
		expires <- time.Time{}
	}
	return expires
}

func mayEnter(p *idx.Profile) error {
	switch {
	case p.UID == "":
		return refuse(ProviderDown, errors.New("profile has no user id"))
	case !p.IsActive:
		return refuse(AccountDenied, errors.New("account is not active"))
	case p.IsDeleted:
		return refuse(AccountDenied, errors.New("account is deleted"))
	}
	return nil
}

func newIdentity(p *idx.Profile, private *private) *Identity {
	user := &Identity{Profile: *p, private: private}
	user.Raw = nil
	// Others may have the same answer.
	user.Emails, user.Roles = slices.Clone(p.Emails), slices.Clone(p.Roles)
	user.PreviousUIDs, user.CustomFields = slices.Clone(p.PreviousUIDs), maps.Clone(p.CustomFields)
	return user
}

// claimState makes a state good for one login, in whichever process.
func (a *Auth) claimState(ctx context.Context, cb *callback) error {
	var mark [8]byte
	rand.Read(mark[:])
	held, err := a.sessions.Claim(ctx, hashName("state", cb.query.Get("state")), mark[:], loginWindow+2*clockSkew)
	if err != nil {
		return err
	}
	if held != nil {
		return refuse(StateReused, nil)
	}
	return nil
}

// claimToken makes a token good for one browser. It is a bearer token without an
// audience: whoever got hold of a user's token could otherwise bring it in with a
// state of his own. It returns when the token was first seen: the hosted page sends
// the same one as long as its own session lives, so a known token is no fresh login.
func (a *Auth) claimToken(ctx context.Context, cb *callback, user *Identity) (firstSeen time.Time, err error) {
	now := time.Now()
	browser := cb.binding.fingerprint()
	mark := binary.BigEndian.AppendUint64(browser[:], uint64(now.UnixMilli()))
	held, err := a.sessions.Claim(ctx, hashName("token", string(cb.token)), mark, a.tokenLife(user, now))
	if err != nil {
		return time.Time{}, err
	}
	if held == nil {
		return now, nil
	}
	if len(held) != len(mark) || [16]byte(held[:16]) != browser {
		return time.Time{}, refuse(TokenReplayed, errors.New("the token was used in another browser"))
	}
	if cb.state.fresh {
		return time.Time{}, answeredInSilence()
	}
	// The store's word only: whatever it says, a login is not younger than this request.
	if seen := time.UnixMilli(int64(binary.BigEndian.Uint64(held[16:]))); seen.Before(now) {
		return seen, nil
	}
	return now, nil
}

// answeredInSilence refuses a login that was to be fresh and is not.
func answeredInSilence() error {
	return &refusal{reason: LoginTooOld, err: errors.New("the hosted page answered without asking again"),
		detail: "The sign-in service did not ask you to sign in again. Please sign out, then try once more."}
}

// tokenLife is how long a token must be remembered: until it expires, or, where that
// is unknown, as long as any token can live.
func (a *Auth) tokenLife(user *Identity, now time.Time) time.Duration {
	if left := user.private.tokenExpires.Sub(now); left > 0 {
		return min(left+clockSkew, bindingLife)
	}
	return bindingLife
}

func isMailAction(kind string) bool { return kind == "register" || kind == "forgotpassword" }
