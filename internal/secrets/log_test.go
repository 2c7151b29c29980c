package secrets

import (
	"log"
	"log/slog"
	"testing"
)

// captureDefaultLog leads what goes to the loggers of the standard library into the
// record, until the test ends.
func (r *record) captureDefaultLog(t *testing.T) {
	before, out := slog.Default(), log.Writer()
	slog.SetDefault(r.logger()) // and package log with it
	t.Cleanup(func() {
		slog.SetDefault(before)
		log.SetOutput(out)
	})
}
