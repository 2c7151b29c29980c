package session

import (
	"context"
	"errors"
)

// Causes of the end of a context of [Follow], beside [ErrRevoked].
var (
	// ErrExpired means that the session has reached its idle or its absolute limit.
	ErrExpired = errors.New("session: reached its limit")

	// ErrClosed means that the [Manager] was closed, which says nothing about the
	// session.
	ErrClosed = errors.New("session: manager closed")
)

// Follow returns a context that ends when the session that ctx carries does, on
// whichever instance it is ended: for answers that take long, such as server-sent
// events, WebSockets and long polls. [context.Cause] is [ErrRevoked], [ErrExpired] or
// [ErrClosed]. Call stop when the answer is done; the end of ctx does it, too.
//
//	ctx, stop := session.Follow(r.Context())
//	defer stop()
//
// A session that is ended is heard of within milliseconds through the stream of the
// near cache, and within [NearCache].Lease at the worst. Where there is none
// ([NearCache].Off, or Redis refuses), the store is asked every 2 s, and at once about
// what this Manager itself has ended. While the store does not answer, nothing ends but
// what reaches its deadline: that a session is gone cannot be known then.
//
// An open stream does not count as use: a page that nobody looks at ends with the idle
// limit, as if it were not open. A handler that hears from its user, on a WebSocket for
// example, says so by another [Manager.Load] of its request, which asks nobody as a rule.
//
// It costs no command for a session that the near cache has, and no goroutine: all
// that are followed share one. If ctx carries no session, or a [Detached] one, the
// context ends with ctx and stop only.
func Follow(ctx context.Context) (live context.Context, stop context.CancelFunc) {
	live, end := context.WithCancelCause(ctx)
	s := FromContext(ctx)
	if s == nil || s.manager == nil {
		return live, func() { end(nil) }
	}
	f := &follower{end: end}
	all := &s.manager.followers
	all.add(s, f)
	forget := context.AfterFunc(live, func() { all.remove(s.name, f) })
	return live, func() {
		forget()
		all.remove(s.name, f)
		end(nil)
	}
}
