package session

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Errors of stores and of [Manager]. "There is no session" and "the store cannot
// say" are never mixed: match with [errors.Is].
var (
	// ErrNotFound means that there is no live session: it never existed, has
	// expired, was ended, or its record cannot be opened.
	ErrNotFound = errors.New("session: not found")

	// ErrRevoked means that a write was refused because the session has ended
	// meanwhile; nothing was brought back. Of a context of [Follow] it is the cause
	// if the session was ended before its time.
	ErrRevoked = errors.New("session: ended meanwhile")

	// ErrTooManySessions means that a login was refused because the user has as many
	// sessions as [Config].MaxPerUser allows, and WhenFull is [RefuseNew].
	ErrTooManySessions = errors.New("session: too many sessions of this user")

	// ErrConflict means that a record was changed by somebody else since it was
	// read, or, for Create, that the key is taken.
	ErrConflict = errors.New("session: record changed meanwhile")

	// ErrUnavailable means that the store did not answer in time or refused: who
	// is signed in cannot be known. Neither let in nor sign out.
	ErrUnavailable = errors.New("session: store unavailable")

	// ErrNoCookie is the [ErrNotFound] of a request without a usable session
	// cookie: none, several of the name, or none that we could have set.
	ErrNoCookie = fmt.Errorf("%w: no session cookie", ErrNotFound)
)

// Made once, because strangers get them on every request.
var (
	errTwoCookies = fmt.Errorf("%w: several of the name", ErrNoCookie)
	errExpiry     = fmt.Errorf("%w: expiry in the past or beyond the deadline", ErrNotFound)
)

// Key names one session record. Its parts hold no secret.
type Key struct {
	Space string // namespace of the application, in front of everything it stores
	Tag   string // two characters from a hash of the user id; on Redis Cluster the slot
	ID    string // 16 bytes of a hash of the session token
}

// Record is what a store keeps under a [Key]. Data is sealed: stores never see
// who it is.
type Record struct {
	User     string    // 16 bytes of a hash of the user id: names the user's index beside the record
	Data     []byte    // opaque to the store
	Label    []byte    // opaque, too: for lists, at most 255 bytes, never changed
	Expires  time.Time // when the store drops the record, if it is not touched; whole milliseconds
	Deadline time.Time // the absolute limit, a whole second: nothing extends the record past it

	// Mark is not 0 if the user's account has changed and has not been read again
	// since. Each [Store].Mark makes another number of it, up to 15 and then from 1
	// again, so that an answer to one change is not taken for an answer to the next.
	Mark uint8
}

// Entry is one session in a user's index.
type Entry struct {
	ID       string // [Key].ID
	Label    []byte
	Expires  time.Time
	Deadline time.Time
}

// A Store keeps sealed session records and is safe for concurrent use. Package
// sessiontest has the suite that an implementation must pass.
//
// A record and its entry in the index of its user change in one atomic step. An
// error that is none of the named ones means that the store cannot say. A store
// answers within a time of its own, about half a second, whatever the context
// allows: [Manager] sets no limit, and takes the end of the request off the context
// of writes. It may repeat a write whose answer it missed, hence the rules for the
// same data. Byte slices belong to nobody: neither side changes one that it has
// handed over or been given.
type Store interface {
	// Load returns Data, Mark and Expires of the record under k, or ErrNotFound if
	// there is none, or it has expired. One round trip, no write. A record whose expiry
	// somebody has taken off ends all the same: within a minute of when it would have.
	Load(ctx context.Context, k Key) (Record, error)

	// Create writes r under k, without a mark, and enters it into its user's index,
	// or returns ErrConflict if k is taken by other data. If the user then has more
	// than max sessions, full says what happens: those with the earliest deadlines
	// are deleted, or r is not written and the error is ErrTooManySessions. Max 0
	// means no limit. It refuses an r that has expired, or that expires after its
	// deadline, and a label that is too long. It returns the ids of the sessions that
	// it has deleted.
	Create(ctx context.Context, k Key, r Record, max int, full WhenFull) (ended []string, err error)

	// Update replaces the data under k, which begins with old, by data, and its
	// expiry. The label stays; the mark goes if it is the one that was seen, and
	// stays if it is another: 0 leaves any. Update never creates: ErrNotFound if the
	// record is gone, ErrConflict if it neither begins with old nor is data; if it is
	// data already, nothing changes. It refuses an expiry in the past. The first 12
	// bytes of data are different in each version of a record.
	Update(ctx context.Context, k Key, old, data []byte, seen uint8, expires time.Time) error

	// Touch extends the expiry of the record under k and changes nothing else, or
	// returns ErrNotFound. It shortens nothing: a touch may be late. It refuses an
	// expiry in the past.
	Touch(ctx context.Context, k Key, expires time.Time) error

	// Delete removes the record under k and its entry in the index of user. A
	// missing record is no error. An empty user leaves the index alone: its entry
	// goes when the index is next listed.
	Delete(ctx context.Context, k Key, user string) error

	// The methods for all sessions of a user are given the key of the user's index,
	// whose ID is [Record].User. They may take several steps for more than some
	// hundred sessions, so that nobody else waits for long. What was there from the
	// beginning of the call to its end is met, once; what came or went meanwhile is
	// met or not.

	// List returns the live sessions of user, earliest deadline first, and drops dead
	// entries from the index.
	List(ctx context.Context, user Key) ([]Entry, error)

	// DeleteListed removes the session with this id, if it is in the index of user:
	// that of somebody else stays. A missing one is no error.
	DeleteListed(ctx context.Context, user Key, id string) error

	// DeleteUser removes all sessions of user, except the one with the id keep (""
	// keeps none, and nothing about the user), and returns their ids, with an error
	// those that are gone by then. A session that was created before the call does
	// not survive it.
	DeleteUser(ctx context.Context, user Key, keep string) (ids []string, err error)

	// Mark marks all live sessions of user, see [Record].Mark, and returns their ids.
	// It creates nothing and changes no expiry.
	Mark(ctx context.Context, user Key) (ids []string, err error)

	// Claim writes value under name for ttl unless something is there already, and
	// returns what was there, not nil even if it is empty: nil if the claim is
	// ours. Of several at once, one is ours.
	Claim(ctx context.Context, space, name string, value []byte, ttl time.Duration) (held []byte, err error)

	// Swap replaces what was claimed under name, if that is old, by value for ttl, and
	// reports whether it did. Old nil stands for whatever is there, even nothing; value
	// nil removes it.
	Swap(ctx context.Context, space, name string, old, value []byte, ttl time.Duration) (swapped bool, err error)

	// Ping asks whether the store answers.
	Ping(ctx context.Context) error
}
