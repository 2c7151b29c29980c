package middleware

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"time"
)

const (
	// readLease is how long an account is left to the one who has begun to read it. It is
	// longer than any reading takes: only one who was killed leaves it behind.
	readLease = rereadTimeout + 2*time.Second

	// maxLeaseWait is how long the others wait before they read for themselves: longer
	// than a call of the API takes at most.
	maxLeaseWait = 6 * time.Second

	minReadPoll = 20 * time.Millisecond
	maxReadPoll = 200 * time.Millisecond
)

// What the store has under the name of an account begins with one of these.
const (
	shareLease   = 1 // somebody reads it just now; followed by a number of his own
	shareReading = 2 // what the last reading said; sealed
	shareFailure = 3 // the last reading has failed just now
)

// share is where the sessions of an account leave readings for each other.
type share struct {
	name   string
	sealer *stateSealer // nil: there is no secret that all of them have, and nobody else
	isUser bool         // of all sessions of the user, so that marking them removes it
}

// shareOf returns where the readings of user's account are: of the account where they are
// made in the application's name, else of the token, whose end is no verdict about others.
func (a *Auth) shareOf(user *Identity) share {
	if a.accounts != nil {
		return share{name: a.sessions.UserClaim(user.UID), sealer: a.accountSealer, isUser: true}
	}
	token := string(user.AccessToken())
	// Of the user too: the account of a token can be merged into another.
	return share{name: hashName("account of", token+"\x00"+user.UID), sealer: newStateSealer(string(a.states.realm), token, "")}
}

// readShared takes a reading from a neighbour, waits for the one who makes it, or makes
// it and leaves it for the others.
func (a *Auth) readShared(ctx context.Context, user *Identity, place share, isMarked bool) (reading, error) {
	lease := append(make([]byte, 0, 17), shareLease)
	lease = append(lease, rand.Text()[:16]...)
	var patience time.Time // with the lease that was seen last
	var seen []byte
	for pause := minReadPoll; ; pause = min(2*pause, maxReadPoll) {
		held, err := a.sessions.Claim(ctx, place.name, lease, readLease)
		if err != nil {
			return reading{}, err
		}
		if held == nil {
			return a.readAndShare(ctx, user, place, lease)
		}
		kind := byte(0)
		if len(held) > 0 {
			kind = held[0]
		}
		if kind == shareReading {
			if r, ok := place.open(held, user.UID); ok && (isMarked || a.isNews(r, user)) {
				return r, nil
			}
		}
		if kind == shareFailure {
			return reading{}, refuse(ProviderDown, errors.New("the account could not be read a moment ago"))
		}
		if kind == shareLease && !bytes.Equal(held, seen) { // of somebody who may have pushed another aside
			seen, patience = held, time.Now().Add(maxLeaseWait)
		}
		if kind == shareLease && time.Now().Before(patience) {
			if !sleep(ctx, pause) {
				return reading{}, refuse(ProviderDown, ctx.Err())
			}
			continue
		}
		// Too old, of no use, or of one who was killed.
		taken, err := a.sessions.Swap(ctx, place.name, held, lease, readLease)
		if err != nil {
			return reading{}, err
		}
		if taken {
			return a.readAndShare(ctx, user, place, lease)
		}
	}
}

// isNews reports whether a neighbour's reading is newer than the copy in hand. A verdict
// has to be so whatever the clocks say: the session may be of a login after it.
func (a *Auth) isNews(r reading, user *Identity) bool {
	known := user.private.checked
	if r.verdict != "" {
		known = known.Add(min(clockSkew, a.sharedFor/2))
	}
	return r.started.After(known)
}

// readAndShare reads the account and leaves the result where the lease was. If the lease
// is gone, somebody has marked the sessions meanwhile, or has not waited: then nobody
// else gets to see it.
func (a *Auth) readAndShare(ctx context.Context, user *Identity, place share, lease []byte) (r reading, err error) {
	var left []byte
	var life time.Duration
	defer func() { // after a panic too
		a.sessions.Swap(ctx, place.name, lease, left, life)
	}()
	r, err = a.readNow(ctx, user)
	switch {
	case err == nil:
		// No older than what a session may go by.
		life = a.sharedFor - time.Since(r.started)
		if place.sealer != nil && life >= time.Millisecond {
			left = place.seal(r)
		}
	case reasonOf(err) != TooBusy && !wasNotAsked(err) && !errors.Is(ctx.Err(), context.Canceled):
		left, life = []byte{shareFailure}, rereadPause
	}
	return r, err
}

const sharedVersion = 1

var sharedVerdicts = [...]Reason{"", AccountDenied, TokenInvalid} // append only

// seal returns r for the store, where nobody else can read it.
func (p share) seal(r reading) []byte {
	plain := []byte{sharedVersion, 0}
	for i, verdict := range sharedVerdicts {
		if r.verdict == verdict {
			plain[1] = byte(i)
		}
	}
	plain = binary.BigEndian.AppendUint64(plain, uint64(r.started.UnixNano()))
	if r.profile != nil {
		plain = append(plain, encodeIdentity(&Identity{Profile: *r.profile, private: new(private)})...)
	}
	return append([]byte{shareReading}, p.sealer.encrypt("reading of "+p.name, plain)...)
}

// open is the reverse of seal. What it cannot read, it takes for nothing.
func (p share) open(held []byte, uid string) (reading, bool) {
	if p.sealer == nil || len(held) == 0 || held[0] != shareReading {
		return reading{}, false
	}
	plain, ok := p.sealer.decrypt("reading of "+p.name, held[1:])
	if !ok || len(plain) < 10 || plain[0] != sharedVersion || int(plain[1]) >= len(sharedVerdicts) {
		return reading{}, false
	}
	r := reading{
		started: time.Unix(0, int64(binary.BigEndian.Uint64(plain[2:]))),
		verdict: sharedVerdicts[plain[1]],
	}
	if r.verdict != "" {
		r.cause = errors.New("as another session of the account was told")
		return r, true
	}
	user, err := decodeIdentity(uid, string(plain[10:]))
	if err != nil {
		return reading{}, false
	}
	r.profile = &user.Profile
	return r, true
}

// sleep waits for d and reports false if ctx ends first.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
