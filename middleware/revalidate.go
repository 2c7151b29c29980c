package middleware

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/idxauth/idxauth/session"
)

const (
	rereadTimeout = 10 * time.Second
	rereadEvery   = 30 * time.Second // at most, in the background, for one session in one process, while it fails
	rereadPause   = 3 * time.Second  // after a failure that nobody could get round
	maxReading    = 1024             // accounts and tokens at a time: LoginRadius answers 50 calls a second
)

// errOverdue is, until the account has been read again, the error of a session whose
// copy nobody used for long.
var errOverdue = fmt.Errorf("%w: the account has to be read again first", session.ErrNotFound)

// usable returns s if the copy of the account in it may be used. A copy that is due may,
// while it is renewed in the background; one that is overdue may not, nor one of which a
// webhook said that it is wrong.
func (a *Auth) usable(ctx context.Context, s *session.Session) (*session.Session, error) {
	user, ok := s.Principal().(*Identity)
	if !ok {
		return nil, session.ErrNotFound
	}
	isFresh := a.revalidate < 0 || time.Since(user.private.checked) < a.revalidate
	isMarked := s.Marked()
	hasFailed := !user.private.failedAt.IsZero()
	if isFresh && !isMarked && !hasFailed {
		return s, nil // nearly always
	}
	if !a.canReread(user) {
		if a.requireLiveToken {
			return nil, fmt.Errorf("%w: the access token has expired", session.ErrNotFound)
		}
		return s, nil
	}
	if a.bridges(user) && (!isMarked || hasFailed) { // nobody waits twice for an API that is down
		a.rereadLater(ctx, s)
		return s, nil
	}
	return nil, errOverdue
}

// usableOrLater is for pages that wait for no API: an overdue copy is renewed in the
// background, for the next of them. One that is only marked does until then.
func (a *Auth) usableOrLater(ctx context.Context, s *session.Session) (*session.Session, error) {
	usable, err := a.usable(ctx, s)
	if !errors.Is(err, errOverdue) {
		return usable, err
	}
	a.rereadLater(ctx, s)
	if user, ok := s.Principal().(*Identity); ok && a.bridges(user) {
		return s, nil
	}
	return nil, err
}

// current is for pages that need to know: an overdue copy is renewed first.
func (a *Auth) current(ctx context.Context, s *session.Session) (*session.Session, error) {
	if usable, err := a.usable(ctx, s); !errors.Is(err, errOverdue) {
		return usable, err
	}
	// Nobody waits for an API that has just failed to answer for this session.
	if a.rereadFailed.seen(s.ID(), time.Now(), rereadPause) {
		return nil, refuse(ProviderDown, errors.New("the account could not be read a moment ago"))
	}
	if err := a.knownToFail(s); err != nil {
		return nil, err
	}
	fresh, err := a.reread(ctx, s, false)
	if err == nil || isStranger(err) || ctx.Err() != nil {
		return fresh, err
	}
	if fresh != nil {
		if user, ok := fresh.Principal().(*Identity); ok && a.bridges(user) {
			return fresh, nil // the first failure: from now on for StaleFor
		}
	}
	// Neither is a call that was not made, nor, as a rule, what the store could not keep: the
	// next one finds the reading there. One for a mark is left there only with a secret.
	isLost := s.Marked() && a.accounts == nil
	if !wasNotAsked(err) && (reasonOf(err) != StoreDown || isLost) {
		a.rereadFailed.first(s.ID(), time.Now(), rereadPause)
	}
	return nil, err
}

// bridges reports whether a copy that is due may be used until there is a newer one.
// StaleFor is for an API that fails, so it counts from the first failure. Until one is
// known it bounds what a single request gets to see after a long absence.
//
// The failure is noted in the session and not in this process: one that is restarted,
// or a neighbour, does not begin to count anew.
func (a *Auth) bridges(user *Identity) bool {
	if failed := user.private.failedAt; !failed.IsZero() {
		return time.Since(failed) < a.staleFor
	}
	return a.revalidate < 0 || time.Since(user.private.checked) < a.revalidate+a.staleFor
}

// canReread reports whether the account can still be read: with an API secret
// always, else until the access token expires.
func (a *Auth) canReread(user *Identity) bool {
	expires := user.private.tokenExpires
	return a.accounts != nil || expires.IsZero() || time.Now().Before(expires)
}

// Refresh reads the user's account again, now, for handlers that know it has
// changed: one call to the API. [User] returns the new copy from then on. The error
// matches [session.ErrNotFound] if the session has ended, by now or because the account
// may not be used any more; with any other, the old copy stays. Where [WithUser] has
// signed somebody in, it returns that user.
func (a *Auth) Refresh(ctx context.Context) (*Identity, error) {
	s := session.FromContext(ctx)
	if s != nil && s.Manager() == nil {
		return User(ctx), nil
	}
	if s == nil || s.Manager() != a.sessions {
		return nil, errors.New("middleware: Refresh: no session in the context: wrap the handler with RequireLogin")
	}
	// Not shared with others who ask at the same time, as reread is: theirs would be
	// the context that gets the new copy.
	ctx, cancel := context.WithTimeout(ctx, rereadTimeout)
	defer cancel()
	s, err := a.rereadOnce(ctx, s, true)
	if err != nil {
		return nil, err
	}
	user, _ := s.Principal().(*Identity)
	return user, nil
}

// rereadLater renews the copy while requests go on with the old one. If that fails, it is
// not tried again at once; but if LoginRadius was not asked it is, or those who were not
// its first callers after an outage would go on with copies from before.
func (a *Auth) rereadLater(ctx context.Context, s *session.Session) {
	if a.knownToFail(s) != nil {
		return
	}
	pause := rereadEvery
	if a.revalidate > 0 {
		pause = min(pause, a.revalidate)
	}
	if !a.rereadTried.first(s.ID(), time.Now(), pause) {
		return
	}
	began := a.work.Go(ctx, rereadTimeout, func(ctx context.Context) {
		_, err := a.reread(ctx, s, false)
		if err == nil || wasNotAsked(err) { // a neighbour's reading can be due soon
			a.rereadTried.forget(s.ID())
		}
		if err != nil && !isStranger(err) && !errors.Is(err, context.Canceled) {
			a.log.limited(ctx, slog.LevelWarn, "idxauth: account not read again; its last copy stays in use", reasonOf(err), slog.Any("error", err))
		}
	})
	if !began { // too many others: the next request tries
		a.rereadTried.forget(s.ID())
	}
}

// knownToFail returns the error of a reading that would find out nothing: the API is left
// alone just now, and that reading has failed is noted in s already.
func (a *Auth) knownToFail(s *session.Session) error {
	if user, ok := s.Principal().(*Identity); ok && !user.private.failedAt.IsZero() {
		return a.brake.quietRereads.check()
	}
	return nil
}

// reread reads the account of s, once for all that ask at the same time, and brings
// the session up to date or ends it. With an error that leaves the copy as it was, it
// returns the session in which that is noted. If now is set, what others have read lately
// does not do.
func (a *Auth) reread(ctx context.Context, s *session.Session, now bool) (*session.Session, error) {
	name := s.ID()
	if s.Marked() {
		name += " marked" // a reading that began before the mark does not do
	}
	if now {
		name += " now"
	}
	type renewed struct {
		session *session.Session
		turn    uint64
	}
	came := a.turns.Add(1)
	for {
		isOurs := false
		result := a.rereads.DoChan(name, func() (any, error) {
			isOurs = true
			turn := a.turns.Add(1)
			fresh, err := a.rereadAndNote(ctx, s, now)
			return renewed{fresh, turn}, err
		})
		select {
		case <-ctx.Done():
			return nil, refuse(ProviderDown, ctx.Err())
		case r := <-result:
			x, _ := r.Val.(renewed)
			// One that was under way already may have begun between two marks.
			if r.Err != nil || isOurs || !s.Marked() || x.turn > came {
				return x.session, r.Err
			}
		}
	}
}

// rereadAndNote is rereadOnce, with a failure noted in the session. It is not one caller's
// to cancel, and Close waits for it.
func (a *Auth) rereadAndNote(ctx context.Context, s *session.Session, now bool) (fresh *session.Session, err error) {
	err = refuse(ProviderDown, errors.New("reading of the account did not end")) // stands after a panic
	if !a.reading.Do(ctx, rereadTimeout, func(ctx context.Context) {
		if fresh, err = a.rereadOnce(ctx, s, now); !now && a.isOutage(s, err) && !errors.Is(ctx.Err(), context.Canceled) {
			fresh, err = a.noteFailure(ctx, s, err)
		}
	}) {
		err = refuse(ProviderDown, errors.New("too many accounts are being read, or Auth is closed"))
	}
	return fresh, err
}

// isOutage reports whether err is to count for StaleFor. That our own rate is used up
// does for a copy that is not used without a reading; others have time until the next try.
func (a *Auth) isOutage(s *session.Session, err error) bool {
	switch reasonOf(err) {
	case ProviderDown, ProviderSettings:
		return err != nil
	case TooBusy:
		user, ok := s.Principal().(*Identity)
		return ok && (s.Marked() || !a.bridges(user))
	}
	return false
}

// noteFailure notes in s that its copy has begun to outlive its time because of
// trouble, which it returns. What cannot be noted must not count for ever, so then it
// returns that error and no session.
func (a *Auth) noteFailure(ctx context.Context, s *session.Session, trouble error) (*session.Session, error) {
	user, ok := s.Principal().(*Identity)
	if !ok {
		return nil, session.ErrNotFound
	}
	isMarked := s.Marked()
	s, err := a.change(ctx, s, func(old *Identity) *Identity {
		isRenewed := !old.private.checked.Equal(user.private.checked) // meanwhile, by another reading
		if !old.private.failedAt.IsZero() || isRenewed && !isMarked {
			return old
		}
		user, private := *old, *old.private
		private.failedAt = time.Now()
		user.private = &private
		return &user
	})
	if err != nil {
		return nil, err
	}
	return s, trouble
}

func (a *Auth) rereadOnce(ctx context.Context, s *session.Session, now bool) (*session.Session, error) {
	user, ok := s.Principal().(*Identity)
	if !ok {
		return nil, session.ErrNotFound
	}
	var r reading
	var err error
	if now {
		r, err = a.readNow(ctx, user)
	} else {
		r, err = a.readAccount(ctx, user, s.Marked())
	}
	switch {
	case err != nil:
		return nil, err
	case r.verdict == "":
		return a.renew(ctx, s, user.private.checked, r)
	case r.verdict == TokenInvalid && a.accounts == nil && a.tokenHasExpired(user):
		return a.markExpired(ctx, s)
	}
	a.log.InfoContext(ctx, "idxauth: session ended by LoginRadius", "reason", r.verdict, "session", s.ID(), "error", r.cause)
	if err := a.sessions.End(ctx, s); err != nil {
		return nil, err
	}
	return nil, fmt.Errorf("%w: %w", session.ErrNotFound, r.cause)
}

// tokenHasExpired tells a token that ran out from one that was revoked before its
// time. Where the expiry is unknown, it ran out.
func (a *Auth) tokenHasExpired(user *Identity) bool {
	expires := user.private.tokenExpires
	return expires.IsZero() || time.Now().After(expires.Add(-clockSkew))
}

// renew writes the new copy into the session, and tells the application if it differs. Of
// readings that overlap, the one that started last counts: a webhook may have come between.
// known is the date of the copy that was to be renewed: a clock that is behind the one it
// is from keeps nothing from being renewed.
func (a *Auth) renew(ctx context.Context, s *session.Session, known time.Time, r reading) (*session.Session, error) {
	var before *Identity // what was replaced, which another process may have written
	s, err := a.change(ctx, s, func(old *Identity) *Identity {
		if old.private.checked.After(r.started) && !old.private.checked.Equal(known) {
			before = nil
			return old
		}
		before = old
		private := *old.private
		private.checked = r.started
		if failed := private.failedAt; !failed.After(r.started) || failed.After(time.Now()) {
			private.failedAt = time.Time{}
		} // else it stays: what has failed meanwhile can have been the reading for a change
		user := newIdentity(r.profile, &private)
		user.AuthTime = old.AuthTime
		return user
	})
	if err != nil || before == nil || a.hooks.OnRefresh == nil {
		return s, err
	}
	after, ok := s.Principal().(*Identity)
	if !ok || sameProfile(before, after) {
		return s, nil
	}
	if current := session.FromContext(ctx); current == nil || current.ID() != s.ID() {
		ctx = a.withSession(ctx, s)
	}
	a.hooks.OnRefresh(ctx, before, after)
	return session.FromContext(ctx), nil // with what the hook has put there
}

// markExpired notes that the token has run out, so that nobody asks again.
func (a *Auth) markExpired(ctx context.Context, s *session.Session) (*session.Session, error) {
	s, err := a.change(ctx, s, func(old *Identity) *Identity {
		user, private := *old, *old.private
		private.tokenExpires = time.Now()
		user.private = &private
		return &user
	})
	if err == nil && a.requireLiveToken {
		return nil, fmt.Errorf("%w: the access token has expired", session.ErrNotFound)
	}
	return s, err
}

func (a *Auth) change(ctx context.Context, s *session.Session, change func(*Identity) *Identity) (*session.Session, error) {
	s, err := a.sessions.Update(ctx, s, func(data string) (string, error) {
		old, err := decodeIdentity(s.UserID(), data)
		if err != nil {
			return "", err
		}
		return encodeIdentity(change(old)), nil
	})
	if errors.Is(err, session.ErrRevoked) {
		return nil, fmt.Errorf("%w: %w", session.ErrNotFound, err)
	}
	return s, err
}
