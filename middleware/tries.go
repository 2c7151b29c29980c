package middleware

import (
	"hash/maphash"
	"sync/atomic"
)

// tries counts, in this process, without a lock and without growing: names that fall on
// one place forget each other's count, and are then merely counted anew.
type tries struct {
	seed   maphash.Seed
	places [4096]atomic.Uint64 // upper 56 bits: of the name's hash; lower 8: the count
}

func newTries() *tries { return &tries{seed: maphash.MakeSeed()} }

// another reports whether there were fewer than limit tries of name, and counts one
// more if so.
func (t *tries) another(name string, limit uint8) bool {
	sum := maphash.String(t.seed, name)
	place := &t.places[sum%uint64(len(t.places))]
	for {
		old := place.Load()
		count := uint8(old)
		if old>>8 != sum>>8 {
			count = 0
		}
		if count >= limit {
			return false
		}
		if place.CompareAndSwap(old, sum>>8<<8|uint64(count+1)) {
			return true
		}
	}
}

// giveBack takes one try of name back.
func (t *tries) giveBack(name string) {
	sum := maphash.String(t.seed, name)
	place := &t.places[sum%uint64(len(t.places))]
	for {
		old := place.Load()
		if old>>8 != sum>>8 || uint8(old) == 0 || place.CompareAndSwap(old, old-1) {
			return
		}
	}
}
