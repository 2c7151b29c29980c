package session

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/alexedwards/scs/v2"
)

// newEngine returns scs as we use it: it makes tokens and cookies and holds the
// data of a session while that is changed. Its LoadAndSave, its idle timeout and
// its stores are not used: together they make sessions immortal and bring ended
// ones back. It is built without scs.New, which starts a goroutine that nothing
// ends.
func newEngine(cfg Config) scs.SessionManager {
	name := "__Host-" + cfg.Name + "-session"
	if cfg.InsecureCookie {
		name = cfg.Name + "-session"
	}
	return scs.SessionManager{
		Lifetime: cfg.Absolute,
		Store:    adapter{},
		Codec:    codec{},
		Cookie: scs.SessionCookie{
			Name:     name,
			Path:     "/",
			HttpOnly: true,
			Secure:   !cfg.InsecureCookie,
			SameSite: http.SameSiteLaxMode,
			Persist:  cfg.Persist,
		},
	}
}

// identityKey is where the data of scs keeps what is ours. The application's keys
// are not empty.
const identityKey = ""

// identity is the part of a session that the application does not put there.
type identity struct {
	created int64
	user    string
	data    string
}

// codec turns the data of scs into a record and back.
type codec struct{}

func (codec) Encode(deadline time.Time, data map[string]any) ([]byte, error) {
	id, ok := data[identityKey].(identity)
	if !ok {
		return nil, errors.New("session: data without a user")
	}
	values := make(map[string]string, len(data)-1)
	for key, value := range data {
		if raw, ok := value.(string); ok {
			values[key] = raw
		}
	}
	r := record{
		created:  id.created,
		deadline: deadline.Unix(),
		user:     id.user,
		data:     id.data,
		values:   encodeValues(values),
	}
	return r.appendTo(nil)
}

func (codec) Decode(b []byte) (time.Time, map[string]any, error) {
	r, err := parseRecord(string(b))
	if err != nil {
		return time.Time{}, nil, err
	}
	values, err := parseValues(r.values)
	if err != nil {
		return time.Time{}, nil, err
	}
	data := make(map[string]any, len(values)+1)
	data[identityKey] = identity{r.created, r.user, r.data}
	for key, value := range values {
		data[key] = value
	}
	return time.Unix(r.deadline, 0), data, nil
}

type errandKey struct{}

// errand is the context of one write through scs: what its store interface has no
// room for. It hides the caller's values, so that scs never meets the data of
// another of its managers there; the store gets the caller's context itself.
type errand struct {
	context.Context
	manager *Manager
	read    *Session             // the session to change, as read; nil makes a new one
	seen    uint8                // the mark that the change is an answer to
	user    Key                  // of a new session: the index of its user
	label   func(n *name) []byte // of a new session
	written *Session             // the result
}

func (e *errand) Value(key any) any {
	if key == (errandKey{}) {
		return e
	}
	return nil
}

// adapter is the store that scs sees. scs overwrites; this creates only what is not
// there, and updates only what is still as it was read.
type adapter struct{}

var errNoErrand = errors.New("session: scs used without a Manager")

func (adapter) FindCtx(ctx context.Context, _ string) ([]byte, bool, error) {
	e, ok := ctx.Value(errandKey{}).(*errand)
	if !ok {
		return nil, false, errNoErrand
	}
	plain, err := e.read.record.appendTo(nil)
	return plain, err == nil, err
}

func (adapter) CommitCtx(ctx context.Context, token string, plain []byte, deadline time.Time) error {
	e, ok := ctx.Value(errandKey{}).(*errand)
	if !ok {
		return errNoErrand
	}
	if e.read == nil {
		return e.create(token, plain, deadline.Truncate(time.Second))
	}
	return e.update(plain)
}

// create writes a session that does not exist yet.
func (e *errand) create(token string, plain []byte, deadline time.Time) error {
	secret := secret(token)
	if !secret.isToken() {
		return errors.New("session: scs made a token of another form")
	}
	m := e.manager
	s := &Session{manager: m, name: secret.name(e.user.Tag), key: secret.recordKey()}
	if err := s.setRecord(string(plain), nil); err != nil {
		return err // refused by the open function: nothing was written
	}
	sealed, expires := s.seal(plain), m.expiry(time.Now(), deadline)
	s.touchAt = m.touchAt(expires, deadline)
	k := s.name.key(m.cfg.Name)
	r := Record{User: e.user.ID, Data: sealed, Expires: expires, Deadline: deadline, Label: e.label(&s.name)}
	ended, err := m.store.Create(e.Context, k, r, m.cfg.MaxPerUser, m.cfg.WhenFull)
	m.changed(e.user, ended...)
	if err != nil {
		if errors.Is(err, ErrTooManySessions) {
			return err
		}
		if !errors.Is(err, ErrConflict) {
			// The write may have arrived all the same. Nobody has the token, so
			// the record only counts against the user: try to remove it.
			m.work.Go(e.Context, backgroundTimeout, func(ctx context.Context) {
				m.store.Delete(ctx, k, e.user.ID)
			})
		}
		return unavailable("create", err)
	}
	e.written = s
	return nil
}

// update writes a session that must still be there as it was read.
func (e *errand) update(plain []byte) error {
	m, old, now := e.manager, e.read, time.Now()
	if !now.Before(old.Deadline()) {
		return ErrNotFound
	}
	s := &Session{manager: m, name: old.name, key: old.key, mark: old.mark}
	if s.mark == e.seen {
		s.mark = 0
	}
	if err := s.setRecord(string(plain), old); err != nil {
		return err
	}
	sealed, expires := s.seal(plain), m.expiry(now, old.Deadline())
	s.touchAt = m.touchAt(expires, old.Deadline())
	err := m.store.Update(e.Context, s.name.key(m.cfg.Name), old.version[:], sealed, e.seen, expires)
	m.drop(&s.name)
	if err != nil {
		return classify("update", err)
	}
	e.written = s
	return nil
}

// Find, Commit and Delete make adapter a scs.Store; scs prefers the methods with a
// context, and we never let it delete.
func (adapter) Find(string) ([]byte, bool, error)      { return nil, false, errNoErrand }
func (adapter) Commit(string, []byte, time.Time) error { return errNoErrand }
func (adapter) Delete(string) error                    { return errNoErrand }
