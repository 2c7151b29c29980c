package main

import (
	"cmp"
	"slices"
)

// faults returns all of them, in the order in which they are tried: those of one world
// after the other.
func faults() []*fault {
	all := slices.Concat(redisFaults, apiFaults, timeFaults, appFaults, deafFaults)
	slices.SortStableFunc(all, func(a, b *fault) int {
		return cmp.Compare(slices.Index(settings, a.on), slices.Index(settings, b.on))
	})
	return all
}

var settings = []setting{onOne, onTrio, onCluster}
