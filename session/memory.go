package session

import (
	"bytes"
	"context"
	"slices"
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
	}
}

type memory struct {
	mu      sync.Mutex
	records map[Key]*Record
	users   map[Key]map[string]bool // index of a user (Key.ID is Record.User) -> Key.ID of records
	claims  map[claimName]claim
	sweepAt int
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

func (m *memory) Create(ctx context.Context, k Key, r Record, max int) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if isPast(r.Expires) || r.Expires.After(r.Deadline) {
		return errExpiry
	}
	if held := m.live(k); held != nil {
		if bytes.Equal(held.Data, r.Data) {
			return nil
		}
		return ErrConflict
	}
	m.sweep()
	r.Data = bytes.Clone(r.Data)
	m.records[k] = &r
	user := Key{k.Space, k.Tag, r.User}
	if m.users[user] == nil {
		m.users[user] = make(map[string]bool)
	}
	m.users[user][k.ID] = true
	if max > 0 {
		entries := m.list(user)
		for _, e := range entries[:len(entries)-min(max, len(entries))] {
			m.remove(Key{k.Space, k.Tag, e.ID})
		}
	}
	return nil
}

func (m *memory) Update(ctx context.Context, k Key, old, data []byte, expires time.Time) error {
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
	if !bytes.HasPrefix(r.Data, old) && !bytes.Equal(r.Data, data) {
		return ErrConflict
	}
	r.Data, r.Expires = bytes.Clone(data), expires // Load handed out the old slice
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
	r.Expires = expires
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

func (m *memory) List(ctx context.Context, k Key) ([]Entry, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.list(k), nil
}

func (m *memory) DeleteUser(ctx context.Context, k Key, keep string) (ids []string, err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, e := range m.list(k) {
		if e.ID != keep {
			m.remove(Key{k.Space, k.Tag, e.ID})
			ids = append(ids, e.ID)
		}
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
}

// list returns the live sessions of a user, oldest deadline first.
func (m *memory) list(user Key) []Entry {
	var entries []Entry
	for id := range m.users[user] {
		if r := m.live(Key{user.Space, user.Tag, id}); r != nil {
			entries = append(entries, Entry{ID: id, Expires: r.Expires, Deadline: r.Deadline})
		}
	}
	slices.SortFunc(entries, func(a, b Entry) int { return a.Deadline.Compare(b.Deadline) })
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
