package session

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/alexedwards/scs/v2"
)

// maxTries is how often a change is replayed on a session that others changed
// meanwhile. In each round one of them succeeds, so it takes as many as there are
// writes of one session at once: a browser sends six requests, and each may write
// more than once.
const maxTries = 24

// Draft returns a context in which [Put] collects values for the session that
// Start will create with that context, before it exists.
func (m *Manager) Draft(ctx context.Context) context.Context {
	return NewContext(ctx, &Session{isDraft: true})
}

// NewSession is what [Manager.Start] needs to know.
type NewSession struct {
	UserID   string   // the user's stable id; names the index, cannot be changed later
	Data     string   // becomes the principal
	Replaces *Session // ended first, if not nil
	Device   Device   // for the user's list of sessions
}

// Start creates a session with a fresh token, and sets the cookie on w only if
// the store has it. Values put into a [Manager.Draft] context move in, and the
// context carries the session from then on; nothing of n.Replaces does. It costs
// one round trip, two with n.Replaces, and goes on if ctx ends. The error is
// [ErrTooManySessions] if the user has enough of them, see [Config].WhenFull; then
// n.Replaces has ended all the same, unless its end makes the place.
func (m *Manager) Start(ctx context.Context, w http.ResponseWriter, n NewSession) (*Session, error) {
	if n.UserID == "" {
		return nil, errors.New("session: start: no user id")
	}
	if n.Replaces != nil {
		if err := m.End(ctx, n.Replaces); err != nil {
			return nil, err
		}
	}
	c := carrierOf(ctx)
	if c == nil {
		return m.start(ctx, w, n, nil)
	}
	if s := c.current.Load(); s == nil || !s.isDraft {
		return m.start(ctx, w, n, nil)
	}
	return c.write(func(draft *Session) (*Session, error) {
		if !draft.isDraft { // somebody else started it
			return m.start(ctx, w, n, nil)
		}
		values, err := draft.decoded()
		if err != nil {
			return nil, err
		}
		return m.start(ctx, w, n, values)
	})
}

func (m *Manager) start(ctx context.Context, w http.ResponseWriter, n NewSession, values map[string]string) (*Session, error) {
	e := &errand{
		Context: context.WithoutCancel(ctx),
		manager: m,
		user:    userKey(m.cfg.Name, n.UserID),
	}
	created := time.Now().Unix()
	e.label = func(name *name) []byte {
		return sealDevice(m.cfg.Name, n.UserID, name, n.Device, created)
	}
	data, err := m.engine.Load(e, "")
	if err != nil {
		return nil, fmt.Errorf("session: start: %w", err)
	}
	m.engine.Put(data, identityKey, identity{created, n.UserID, n.Data})
	for key, value := range values {
		m.engine.Put(data, key, value)
	}
	token, deadline, err := m.engine.Commit(data)
	if err != nil {
		return nil, err
	}
	addCookie(w, func(w http.ResponseWriter) {
		m.engine.WriteSessionCookie(data, w, e.user.Tag+token, deadline)
	})
	return e.written, nil
}

// Update replaces the principal's data of s with what change makes of the stored
// one, if the session still exists, and returns the session as it is now. The
// error is ErrRevoked if it has ended. change may run several times and may return
// its argument to write nothing. If ctx carries s, it carries the result from then
// on; change must not use the values of that context.
//
// If s is [Session.Marked], Update is taken for the answer to that and clears the
// mark, even if the data stays as it is; a mark that was set since s was read stays.
func (m *Manager) Update(ctx context.Context, s *Session, change func(data string) (string, error)) (*Session, error) {
	seen := s.mark
	apply := func(data context.Context) error {
		id, ok := m.engine.Get(data, identityKey).(identity)
		if !ok {
			return errFormat // cannot be: every record has one
		}
		changed, err := change(id.data)
		if err != nil || changed == id.data && seen == 0 {
			return err
		}
		m.engine.Put(data, identityKey, identity{id.created, id.user, changed})
		return nil
	}
	c := carrierOf(ctx)
	if c == nil {
		return m.write(ctx, s, seen, apply)
	}
	if current := c.current.Load(); current == nil || current.manager != m || current.name != s.name {
		return m.write(ctx, s, seen, apply)
	}
	return c.write(func(current *Session) (*Session, error) {
		return m.write(ctx, current, seen, apply)
	})
}

// write applies change to the data of s and commits it, if it changed anything, and
// clears the mark that was seen (0: none); again to what the store has if somebody
// else was faster. It goes on if ctx ends: the visitor who leaves has still done what
// he did.
func (m *Manager) write(ctx context.Context, s *Session, seen uint8, change func(data context.Context) error) (*Session, error) {
	if s.manager != m {
		return nil, errors.New("session: session of another Manager")
	}
	ctx = context.WithoutCancel(ctx)
	for try := 1; ; try++ {
		written, err := m.tryWrite(ctx, s, seen, change)
		switch {
		case errors.Is(err, ErrNotFound):
			return nil, ErrRevoked
		case !errors.Is(err, ErrConflict) || try == maxTries:
			return written, err
		}
		s, err = m.read(ctx, &s.name, &s.key)
		if errors.Is(err, ErrNotFound) {
			return nil, ErrRevoked
		}
		if err != nil {
			return nil, err
		}
	}
}

func (m *Manager) tryWrite(ctx context.Context, s *Session, seen uint8, change func(data context.Context) error) (*Session, error) {
	e := &errand{Context: ctx, manager: m, read: s, seen: seen}
	data, err := m.engine.Load(e, "a token") // any: the errand says what is read
	if err != nil {
		return nil, fmt.Errorf("session: values: %w", err)
	}
	if err := change(data); err != nil {
		return nil, err
	}
	if m.engine.Status(data) == scs.Unmodified {
		return s, nil
	}
	if _, _, err := m.engine.Commit(data); err != nil {
		return nil, err
	}
	return e.written, nil
}

// End deletes s from the store, and goes on if ctx ends. It touches no cookie. A
// session that has ended already, or is [Detached], is no error.
func (m *Manager) End(ctx context.Context, s *Session) error {
	if s.manager == nil {
		return nil
	}
	user := userKey(m.cfg.Name, s.record.user)
	err := m.store.Delete(context.WithoutCancel(ctx), s.name.key(m.cfg.Name), user.ID)
	m.drop(&s.name)
	if err != nil {
		return unavailable("end", err)
	}
	return nil
}
