package session

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// NearCache adjusts the cache of opened sessions in this process. The zero value is
// ready to use; package documentation says what may be relied on.
type NearCache struct {
	// Off makes each request ask the store: then what is revoked is refused at
	// once everywhere.
	Off bool

	// Lease is how long a session may be served from the cache after Redis was last
	// heard of, and so how late a revocation is seen at the worst. Shorter than a
	// restart of Redis, it makes restarts visible. Default 2.5 s; from 100 ms to 1 min.
	Lease time.Duration

	// MaxEntries bounds the number of sessions; it is rounded down a little, but to no
	// less than 8. Default 65,536.
	MaxEntries int

	// MaxBytes bounds what they take, as estimated from the length of their
	// records. Sessions of more than 1/256 of it, or of 256 KB if that is more, are
	// not kept. Default 64 MB.
	MaxBytes int
}

const (
	defaultLease   = 2500 * time.Millisecond
	minLease       = 100 * time.Millisecond
	maxLease       = time.Minute
	defaultEntries = 1 << 16
	defaultBytes   = 64 << 20

	// maxAge is how long an entry lives although nothing said that it has changed:
	// a backstop for what no argument covers.
	maxAge    = 60 * time.Second
	ageJitter = 15 * time.Second // so that what was filled together is not read again together

	// Unknown names are remembered apart and briefly: strangers make them up.
	unknownEntries = 1 << 12
	unknownAge     = 2 * time.Second
)

func (c NearCache) check() error {
	var errs []error
	if c.Lease != 0 && (c.Lease < minLease || c.Lease > maxLease) {
		errs = append(errs, fmt.Errorf("session: NearCache.Lease %v: want %v to %v, or Off", c.Lease, minLease, maxLease))
	}
	if c.MaxEntries < 0 || c.MaxBytes < 0 {
		errs = append(errs, fmt.Errorf("session: NearCache: MaxEntries %d, MaxBytes %d: want 0 (default) or more", c.MaxEntries, c.MaxBytes))
	}
	return errors.Join(errs...)
}

func (c NearCache) complete() NearCache {
	c.Lease = cmp.Or(c.Lease, defaultLease)
	c.MaxEntries = cmp.Or(c.MaxEntries, defaultEntries)
	c.MaxBytes = cmp.Or(c.MaxBytes, defaultBytes)
	return c
}

// near is the near cache: opened sessions, and names under which there is none. A
// nil *near is one that is switched off.
type near struct {
	start    time.Time // of its clock, which is monotonic
	sessions table
	unknown  table
	told     func(n *name) // is called by drop, if it is not nil
}

func newNear(cfg NearCache) *near {
	return &near{
		start:    time.Now(),
		sessions: newTable(cfg.MaxEntries, cfg.MaxBytes),
		unknown:  newTable(unknownEntries, maxStripes*minStripeBytes), // the entries are what bounds it
	}
}

// clock reads a time on the near cache's clock, in nanoseconds.
func (c *near) clock(t time.Time) int64 { return int64(t.Sub(c.start)) }

// get returns what is known about n: a session, or nil for "there is none".
func (c *near) get(n *name, now time.Time) (s *Session, known bool) {
	if c == nil {
		return nil, false
	}
	at := c.clock(now)
	if s = c.sessions.get(n); s != nil {
		return s, at < s.until && at < s.lease.until.Load()
	}
	s = c.unknown.get(n)
	return nil, s != nil && at < s.until && at < s.lease.until.Load()
}

// getAged returns the session n that has only grown too old, for when the store
// cannot be asked: its lease says that it has not changed.
func (c *near) getAged(n *name, now time.Time) *Session {
	if c == nil {
		return nil
	}
	s := c.sessions.get(n)
	if s == nil || now.UnixMilli() >= s.expires || c.clock(now) >= s.lease.until.Load() {
		return nil
	}
	return s
}

// drop forgets n, and what is being read about it.
func (c *near) drop(n *name) {
	if c != nil {
		c.sessions.drop(n)
		c.unknown.drop(n)
		if c.told != nil {
			c.told(n)
		}
	}
}

// dropTag forgets all sessions with a tag: a few too many, and never one too few.
func (c *near) dropTag(tag string) {
	if c != nil {
		c.sessions.dropTag(tag)
	}
}

// fill is what begin knew before the store was asked.
type fill struct {
	near  *near
	name  *name
	began int64

	sessions, unknown uint64 // generations
}

// begin is called before the store is asked about n.
func (c *near) begin(n *name) fill {
	if c == nil {
		return fill{}
	}
	return fill{c, n, c.clock(time.Now()), c.sessions.generation(n), c.unknown.generation(n)}
}

// remember keeps what the store said under lease: s, or nil for "no such session".
// It does not if the lease is nil, which is so for an answer that no stream covers,
// or if n was dropped since begin: then the answer may be older than the change
// that the drop tells of.
func (f fill) remember(s *Session, lease *lease, expires time.Time) {
	if f.near == nil || lease == nil {
		return
	}
	if s == nil {
		none := &Session{name: *f.name, lease: lease, until: f.began + int64(unknownAge)}
		f.near.unknown.put(none, f.unknown)
		return
	}
	age := maxAge - ageJitter*time.Duration(f.name.id()[6])/256
	s.lease, s.expires = lease, expires.UnixMilli()
	s.until = f.began + int64(min(age, time.Until(expires)))
	f.near.sessions.put(s, f.sessions)
}

// lease says how long answers that came under it may be trusted: as long as the
// stream of changes was heard of lately. It is over for good when that stream was
// interrupted and another one has begun.
type lease struct {
	until atomic.Int64 // on the near cache's clock; 0: over
}

// table is a set-associative hash table: a name can be in one of a few slots that
// follow from its id, which is a hash already. Reading takes no lock.
type table struct {
	stripes []stripe
	sets    uint32 // of each stripe
	bytes   int    // that each stripe may have
}

const (
	ways       = 8 // slots of a set
	maxStripes = 256

	// minStripeBytes is room for the largest record and some more.
	minStripeBytes = 256 << 10

	// sessionSize is what an entry takes beside its record.
	sessionSize = 256
)

// stripe is a part of a table with a lock of its own, for writers.
type stripe struct {
	mu         sync.Mutex
	slots      atomic.Pointer[[]slot] // made by the first put
	generation atomic.Uint64          // counts drops
	bytes      int
	hand       int      // where the search for something to give up goes on
	_          [24]byte // to a cache line
}

type slot struct {
	session atomic.Pointer[Session]
	used    atomic.Bool // since the hand came by
}

func newTable(entries, bytes int) table {
	stripes := 1
	for stripes < maxStripes && stripes*2*ways <= entries && bytes/(stripes*2) >= minStripeBytes {
		stripes *= 2
	}
	return table{
		stripes: make([]stripe, stripes),
		sets:    uint32(max(1, entries/ways/stripes)),
		bytes:   bytes / stripes,
	}
}

func (t *table) stripe(n *name) *stripe { return &t.stripes[int(n.id()[0])%len(t.stripes)] }

func (t *table) generation(n *name) uint64 { return t.stripe(n).generation.Load() }

// set returns the slots in which n can be.
func (t *table) set(slots []slot, n *name) []slot {
	first := binary.LittleEndian.Uint32(n.id()[1:]) % t.sets * ways
	return slots[first : first+ways]
}

// get returns the entry called n, fresh or not.
func (t *table) get(n *name) *Session {
	slots := t.stripe(n).slots.Load()
	if slots == nil {
		return nil
	}
	set := t.set(*slots, n)
	for i := range set {
		s := set[i].session.Load()
		if s == nil || s.name != *n {
			continue
		}
		if !set[i].used.Load() {
			set[i].used.Store(true)
		}
		return s
	}
	return nil
}

// put enters s, unless a name of its stripe was dropped since generation was read.
func (t *table) put(s *Session, generation uint64) {
	p := t.stripe(&s.name)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.generation.Load() != generation || s.size() > t.bytes {
		return
	}
	slots := p.slots.Load()
	if slots == nil {
		made := make([]slot, t.sets*ways)
		slots = &made
		p.slots.Store(slots)
	}
	place := victim(t.set(*slots, &s.name), &s.name)
	p.clear(place)
	place.session.Store(s)
	p.bytes += s.size()
	for p.bytes > t.bytes {
		p.giveUp(*slots, s)
	}
}

// victim returns the slot of set that an entry called n should have: its own, an
// empty one, or that of an entry not used lately.
func victim(set []slot, n *name) *slot {
	var empty *slot
	for i := range set {
		s := set[i].session.Load()
		if s == nil {
			empty = &set[i]
		} else if s.name == *n {
			return &set[i]
		}
	}
	if empty != nil {
		return empty
	}
	for i := range set {
		if !set[i].used.Swap(false) {
			return &set[i]
		}
	}
	return &set[n.id()[5]%ways]
}

// giveUp drops one entry other than keep, of those not used lately if there are any.
func (p *stripe) giveUp(slots []slot, keep *Session) {
	for {
		p.hand = (p.hand + 1) % len(slots)
		place := &slots[p.hand]
		s := place.session.Load()
		if s != nil && s != keep && !place.used.Swap(false) {
			p.clear(place)
			return
		}
	}
}

// drop removes n, and keeps out whatever was read about it before.
func (t *table) drop(n *name) {
	p := t.stripe(n)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.generation.Add(1)
	slots := p.slots.Load()
	if slots == nil {
		return
	}
	set := t.set(*slots, n)
	for i := range set {
		if s := set[i].session.Load(); s != nil && s.name == *n {
			p.clear(&set[i])
		}
	}
}

func (t *table) dropTag(tag string) {
	for i := range t.stripes {
		p := &t.stripes[i]
		p.mu.Lock()
		p.generation.Add(1)
		if slots := p.slots.Load(); slots != nil {
			for i := range *slots {
				if s := (*slots)[i].session.Load(); s != nil && string(s.name[:tagLen]) == tag {
					p.clear(&(*slots)[i])
				}
			}
		}
		p.mu.Unlock()
	}
}

func (p *stripe) clear(place *slot) {
	if s := place.session.Load(); s != nil {
		p.bytes -= s.size()
		place.session.Store(nil)
	}
	place.used.Store(false)
}

// size estimates what s takes: its record, the principal made of it, and itself.
func (s *Session) size() int {
	return sessionSize + 3*(len(s.record.user)+len(s.record.data)+len(s.record.values))
}
