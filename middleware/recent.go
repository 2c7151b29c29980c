package middleware

import (
	"hash/maphash"
	"sync/atomic"
	"time"
)

// recent remembers what was tried lately, in this process, without a lock and
// without growing: things that fall on one place forget each other, and are then
// merely tried once more.
type recent struct {
	seed   maphash.Seed
	places [4096]atomic.Uint64 // upper half: of the name's hash; lower half: Unix seconds
}

func newRecent() *recent { return &recent{seed: maphash.MakeSeed()} }

// seen reports whether name was noted within the last period.
func (t *recent) seen(name string, now time.Time, period time.Duration) bool {
	sum := maphash.String(t.seed, name)
	old := t.places[sum%uint64(len(t.places))].Load()
	return old>>32 == sum>>32 && uint64(uint32(now.Unix()))-old&0xffffffff < uint64(period/time.Second)
}

// first reports whether name was not tried within the last period, and notes that it
// is now.
func (t *recent) first(name string, now time.Time, period time.Duration) bool {
	sum := maphash.String(t.seed, name)
	place := &t.places[sum%uint64(len(t.places))]
	seconds := uint64(uint32(now.Unix()))
	for {
		old := place.Load()
		if old>>32 == sum>>32 && seconds-old&0xffffffff < uint64(period/time.Second) {
			return false
		}
		if place.CompareAndSwap(old, sum>>32<<32|seconds) {
			return true
		}
	}
}

// forget makes name one that was not tried.
func (t *recent) forget(name string) {
	sum := maphash.String(t.seed, name)
	place := &t.places[sum%uint64(len(t.places))]
	if old := place.Load(); old>>32 == sum>>32 {
		place.CompareAndSwap(old, 0)
	}
}
