package site

import (
	"encoding/json"
	"net/http"
	"runtime"
	"syscall"
)

// Cost is what a process has used since its start.
type Cost struct {
	CPU     int64  `json:"cpu"`     // microseconds, in user and system mode
	Mallocs uint64 `json:"mallocs"` // heap objects; 0 where nobody counts them
}

func serveCost(w http.ResponseWriter, _ *http.Request) {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	json.NewEncoder(w).Encode(Cost{
		CPU:     (usage.Utime.Nano() + usage.Stime.Nano()) / 1000,
		Mallocs: m.Mallocs,
	})
}
