package session

import (
	"bytes"
	"cmp"
	"context"
	"slices"
	"strings"
	"sync"
	"time"
)

// minSweep is the number of records below which a memory store keeps dead ones.
const minSweep = 256

// NewMemory returns a store in this process's memory, for tests and for programs
// whose users may be signed out by a restart. It keeps to [time.Now], so it works
// in a testing/synctest bubble, and has no goroutine: what has expired goes when it
// is met, or when the store has doubled.
func NewMemory() Store {
	return &memory{
		records: make(map[Key]*Record),
		users:   make(map[Key]map[string]bool),
		claims:  make(map[claimName]claim),
		told:    make(map[*listener]bool),
	}
}

type memory struct {
	mu      sync.Mutex
	records map[Key]*Record
	users   map[Key]map[string]bool // index of a user (Key.ID is Record.User) -> Key.ID of records
	claims  map[claimName]claim
	told    map[*listener]bool
	sweepAt int
}

// listener is told of the records of one namespace that are gone.
type listener struct {
	space string
	gone  func(n *name)
}

type claimName struct{ space, name string }

type claim struct {
	value   []byte
	expires time.Time
}

func (m *memory) Load(ctx context.Context, k Key) (Record, error) {
	if err := ctx.Err(); err != nil {
		return Record{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.live(k)
	if r == nil {
		return Record{}, ErrNotFound
	}
	return *r, nil
}

func (m *memory) Create(ctx context.Context, k Key, r Record, max int, full WhenFull) (ended []string, err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if isPast(r.Expires) || r.Expires.After(r.Deadline) {
		return nil, errExpiry
	}
	if len(r.Label) > maxLabel {
		return nil, errLabel
	}
	if held := m.live(k); held != nil {
		if bytes.Equal(held.Data, r.Data) {
			return nil, nil
		}
		return nil, ErrConflict
	}
	m.sweep()
	user := Key{k.Space, k.Tag, r.User}
	if max > 0 {
		entries := m.list(user)
		if full == RefuseNew && len(entries) >= max {
			return nil, ErrTooManySessions
		}
		for _, e := range entries[:len(entries)-min(max-1, len(entries))] {
			m.remove(Key{k.Space, k.Tag, e.ID})
			ended = append(ended, e.ID)
		}
	}
	r.Data, r.Label, r.Mark = bytes.Clone(r.Data), bytes.Clone(r.Label), 0
	m.records[k] = &r
	if m.users[user] == nil {
		m.users[user] = make(map[string]bool)
	}
	m.users[user][k.ID] = true
	return ended, nil
}

func (m *memory) Update(ctx context.Context, k Key, old, data []byte, seen uint8, expires time.Time) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.live(k)
	if r == nil {
		return ErrNotFound
	}
	if isPast(expires) {
		return errExpiry
	}
	if bytes.Equal(r.Data, data) {
		return nil
	}
	if !bytes.HasPrefix(r.Data, old) {
		return ErrConflict
	}
	r.Data, r.Expires = bytes.Clone(data), expires // Load handed out the old slice
	if r.Mark == seen {
		r.Mark = 0
	}
	return nil
}

func (m *memory) Touch(ctx context.Context, k Key, expires time.Time) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.live(k)
	if r == nil {
		return ErrNotFound
	}
	if isPast(expires) {
		return errExpiry
	}
	if expires.After(r.Expires) {
		r.Expires = expires
	}
	return nil
}

func (m *memory) Delete(ctx context.Context, k Key, _ string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.remove(k)
	return nil
}

func (m *memory) List(ctx context.Context, user Key) ([]Entry, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.list(user), nil
}

func (m *memory) DeleteListed(ctx context.Context, user Key, id string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.users[user][id] {
		m.remove(Key{user.Space, user.Tag, id})
	}
	return nil
}

func (m *memory) DeleteUser(ctx context.Context, user Key, keep string) (ids []string, err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, e := range m.list(user) {
		if e.ID != keep {
			m.remove(Key{user.Space, user.Tag, e.ID})
			ids = append(ids, e.ID)
		}
	}
	return ids, nil
}

func (m *memory) Mark(ctx context.Context, user Key) (ids []string, err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, e := range m.list(user) {
		r := m.records[Key{user.Space, user.Tag, e.ID}]
		r.Mark = r.Mark%maxMark + 1
		ids = append(ids, e.ID)
	}
	return ids, nil
}

func (m *memory) Claim(ctx context.Context, space, name string, value []byte, ttl time.Duration) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if ttl < time.Millisecond {
		return nil, errExpiry
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	n := claimName{space, name}
	if c, ok := m.claims[n]; ok && !isPast(c.expires) {
		return append([]byte{}, c.value...), nil
	}
	m.sweep()
	m.claims[n] = claim{bytes.Clone(value), time.Now().Add(ttl)}
	return nil, nil
}

func (m *memory) Swap(ctx context.Context, space, name string, old, value []byte, ttl time.Duration) (bool, error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	if value != nil && ttl < time.Millisecond {
		return false, errExpiry
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	n := claimName{space, name}
	if old != nil {
		if c, ok := m.claims[n]; !ok || isPast(c.expires) || !bytes.Equal(c.value, old) {
			return false, nil
		}
	}
	if value == nil {
		delete(m.claims, n)
	} else {
		m.claims[n] = claim{bytes.Clone(value), time.Now().Add(ttl)}
	}
	return true, nil
}

func (m *memory) Ping(ctx context.Context) error { return ctx.Err() }

// live returns the record under k, or nil, and drops it if it has expired.
func (m *memory) live(k Key) *Record {
	r := m.records[k]
	if r != nil && isPast(r.Expires) {
		m.remove(k)
		return nil
	}
	return r
}

// remove drops a record and its entry in the index.
func (m *memory) remove(k Key) {
	r := m.records[k]
	if r == nil {
		return
	}
	delete(m.records, k)
	user := Key{k.Space, k.Tag, r.User}
	delete(m.users[user], k.ID)
	if len(m.users[user]) == 0 {
		delete(m.users, user)
	}
	for l := range m.told {
		if l.space == k.Space {
			l.gone(nameOf(k))
		}
	}
}

func (m *memory) announce(space string, gone func(n *name)) (stop func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	l := &listener{space, gone}
	m.told[l] = true
	return func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		delete(m.told, l)
	}
}

// list returns the live sessions of a user, oldest deadline first.
func (m *memory) list(user Key) []Entry {
	var entries []Entry
	for id := range m.users[user] {
		if r := m.live(Key{user.Space, user.Tag, id}); r != nil {
			entries = append(entries, Entry{ID: id, Label: r.Label, Expires: r.Expires, Deadline: r.Deadline})
		}
	}
	slices.SortFunc(entries, func(a, b Entry) int {
		return cmp.Or(a.Deadline.Compare(b.Deadline), strings.Compare(a.ID, b.ID))
	})
	return entries
}

// sweep drops everything that has expired, each time the store has doubled since
// the last time: a constant cost per write, and never more than half of it dead.
func (m *memory) sweep() {
	if len(m.records)+len(m.claims) < max(m.sweepAt, minSweep) {
		return
	}
	for k := range m.records {
		m.live(k)
	}
	for n, c := range m.claims {
		if isPast(c.expires) {
			delete(m.claims, n)
		}
	}
	m.sweepAt = 2 * (len(m.records) + len(m.claims))
}

func isPast(t time.Time) bool { return !time.Now().Before(t) }
