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
	user    []byte
	data    []byte
}

// codec turns the data of scs into a record and back.
type codec struct{}

func (codec) Encode(deadline time.Time, data map[string]any) ([]byte, error) {
	id, ok := data[identityKey].(identity)
	if !ok {
		return nil, errors.New("session: data without a user")
	}
	values := make(map[string][]byte, len(data)-1)
	for key, value := range data {
		if raw, ok := value.([]byte); ok {
			values[key] = raw
		}
	}
	r := record{
		created:  id.created,
		deadline: deadline.UnixMilli(),
		user:     id.user,
		data:     id.data,
		values:   appendValues(nil, values),
	}
	return r.appendTo(nil)
}

func (codec) Decode(b []byte) (time.Time, map[string]any, error) {
	r, err := parseRecord(b)
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
	return time.UnixMilli(r.deadline), data, nil
}

type errandKey struct{}

// errand is the context of one write through scs: what its store interface has no
// room for. It hides the caller's values, so that scs never meets the data of
// another of its managers there; the store gets the caller's context itself.
type errand struct {
	context.Context
	manager *Manager
	read    *Session // the session to change, as read; nil makes a new one
	user    Key      // of a new session: the index of its user
	written *Session // the result
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
	return e.read.plain, true, nil
}

func (adapter) CommitCtx(ctx context.Context, token string, plain []byte, deadline time.Time) error {
	e, ok := ctx.Value(errandKey{}).(*errand)
	if !ok {
		return errNoErrand
	}
	if e.read == nil {
		return e.create(token, plain, deadline.Truncate(time.Millisecond))
	}
	return e.update(plain)
}

// create writes a session that does not exist yet.
func (e *errand) create(token string, plain []byte, deadline time.Time) error {
	secret, ok := parseToken(token)
	if !ok {
		return errors.New("session: scs made a token of another form")
	}
	m, now := e.manager, time.Now()
	k := secret.key(e.user.Space, e.user.Tag)
	s := &Session{
		manager: m,
		key:     k,
		secret:  secret,
		sealed:  secret.seal(k, plain),
		expires: m.expiry(now, deadline),
	}
	if err := s.setRecord(plain, nil); err != nil {
		return err // refused by the open function: nothing was written
	}
	r := Record{User: e.user.ID, Data: s.sealed, Expires: s.expires, Deadline: deadline}
	if err := m.store.Create(e.Context, k, r, m.cfg.MaxPerUser); err != nil {
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
	s := &Session{
		manager: m,
		key:     old.key,
		secret:  old.secret,
		sealed:  old.secret.seal(old.key, plain),
		expires: m.expiry(now, old.Deadline()),
	}
	if err := s.setRecord(plain, old); err != nil {
		return err
	}
	if err := m.store.Update(e.Context, s.key, old.sealed, s.sealed, s.expires); err != nil {
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
