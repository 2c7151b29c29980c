package middleware

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

const (
	logEvery = time.Second // between two lines of one kind

	// maxLogKinds bounds the memory, as an application can make up reasons. What comes
	// later shares the limit of one kind.
	maxLogKinds = 256
)

// limitedLog keeps a fault that every request meets from filling the disk: of lines
// that tell the same, it writes one a second, with the number of those left out since
// the one before. What is below slog.LevelWarn is not limited: it is for those who want
// to see everything.
type limitedLog struct {
	*slog.Logger

	mu    sync.Mutex
	kinds map[string]*logKind
}

// logKind is what is known of the lines of one kind.
type logKind struct {
	last    time.Time
	dropped int
}

func newLimitedLog(logger *slog.Logger) *limitedLog {
	return &limitedLog{Logger: logger, kinds: make(map[string]*logKind)}
}

// limited writes a line of a kind named by message and reason, unless there was one a
// moment ago.
func (l *limitedLog) limited(ctx context.Context, level slog.Level, message string, reason Reason, attrs ...slog.Attr) {
	if !l.Enabled(ctx, level) {
		return
	}
	if level >= slog.LevelWarn {
		dropped, ok := l.take(message+"\x00"+string(reason), time.Now())
		if !ok {
			return
		}
		if dropped > 0 {
			attrs = append(attrs, slog.Int("suppressed", dropped))
		}
	}
	if reason != "" {
		attrs = append([]slog.Attr{slog.String("reason", string(reason))}, attrs...)
	}
	l.LogAttrs(ctx, level, message, attrs...)
}

// take reports whether a line of kind may be written, and how many were not since the
// last one.
func (l *limitedLog) take(kind string, now time.Time) (dropped int, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	k := l.kinds[kind]
	if k == nil && len(l.kinds) >= maxLogKinds {
		kind = ""
		k = l.kinds[kind]
	}
	if k == nil {
		k = new(logKind)
		l.kinds[kind] = k
	}
	if !k.last.IsZero() && now.Sub(k.last) < logEvery {
		k.dropped++
		return 0, false
	}
	dropped = k.dropped
	k.last, k.dropped = now, 0
	return dropped, true
}
