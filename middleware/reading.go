package middleware

import (
	"context"
	"errors"
	"time"

	"github.com/idxauth/idxauth/idx"
)

// reading is what LoginRadius said about an account.
type reading struct {
	started time.Time
	profile *idx.Profile // nil if there is a verdict
	verdict Reason       // AccountDenied, TokenInvalid, or "" for none
	cause   error        // of the verdict
	turn    uint64       // when this process began to look for it, see Auth.turns
}

// readAccount returns a reading of the account that is newer than the copy in hand: one
// for all sessions of the account that need it, on all instances. For a session that is
// marked, what the store or LoginRadius said before it came may be older than the mark.
// What the store says after that is not: marking removes it.
func (a *Auth) readAccount(ctx context.Context, user *Identity, isMarked bool) (reading, error) {
	place := a.shareOf(user)
	if isMarked && !place.isUser {
		return a.readNow(ctx, user)
	}
	came := a.turns.Add(1)
	for ctx.Err() == nil {
		isOurs := false
		v, err, _ := a.readings.Do(place.name, func() (any, error) {
			isOurs = true
			turn := a.turns.Add(1)
			r, err := a.readShared(ctx, user, place, isMarked)
			r.turn = turn
			return r, err
		})
		if err != nil {
			return reading{}, err
		}
		r, _ := v.(reading)
		isNewer := r.started.After(user.private.checked)
		if isMarked {
			isNewer = r.turn > came // whatever the clocks say
		}
		if isOurs || isNewer {
			return r, nil
		}
	}
	return reading{}, refuse(ProviderDown, ctx.Err())
}

// readNow asks LoginRadius. A verdict about the account or its token is no error.
func (a *Auth) readNow(ctx context.Context, user *Identity) (reading, error) {
	if err := a.brake.reread(ctx); err != nil {
		return reading{}, err
	}
	r := reading{started: time.Now().Truncate(time.Millisecond)} // as sessions keep it
	profile, err := a.askProvider(ctx, user)
	if err == nil && profile.UID != user.UID {
		err = refuse(AccountDenied, errors.New("the account has another user id than the session"))
	}
	if err == nil {
		err = mayEnter(profile)
	}
	switch reason := reasonOf(err); {
	case err == nil:
		r.profile = profile
	case reason == AccountDenied, reason == TokenInvalid:
		r.verdict, r.cause = reason, err
	default:
		return reading{}, err
	}
	return r, nil
}

func (a *Auth) askProvider(ctx context.Context, user *Identity) (*idx.Profile, error) {
	var profile *idx.Profile
	var err error
	if a.accounts != nil {
		profile, err = a.accounts.Account(ctx, user.UID)
	} else {
		profile, err = a.provider.Profile(ctx, user.AccessToken())
	}
	a.brake.quietRereads.note(err)
	if err != nil {
		return nil, providerRefusal(err)
	}
	return profile, nil
}
