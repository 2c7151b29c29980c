package session_test

import (
	"context"
	"sync"
	"time"

	"github.com/idxauth/idxauth/session"
)

// recorder is a store that notes its calls, fails when told to, and can let a test
// do something in the middle of one.
type recorder struct {
	session.Store

	mu      sync.Mutex
	calls   []string
	failing string // the method that fails; "" is all
	err     error
	before  func(method string)
}

func (r *recorder) take() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	calls := r.calls
	r.calls = nil
	return calls
}

func (r *recorder) fail(method string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failing, r.err = method, err
}

// hook lets do run before each call, until the next hook.
func (r *recorder) hook(do func(method string)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.before = do
}

func (r *recorder) note(method string) error {
	r.mu.Lock()
	r.calls = append(r.calls, method)
	before, err := r.before, r.err
	if r.failing != "" && r.failing != method {
		err = nil
	}
	r.mu.Unlock()
	if before != nil {
		before(method)
	}
	return err
}

func (r *recorder) Load(ctx context.Context, k session.Key) (session.Record, error) {
	if err := r.note("Load"); err != nil {
		return session.Record{}, err
	}
	return r.Store.Load(ctx, k)
}

func (r *recorder) Create(ctx context.Context, k session.Key, rec session.Record, max int, full session.WhenFull) ([]string, error) {
	if err := r.note("Create"); err != nil {
		return nil, err
	}
	return r.Store.Create(ctx, k, rec, max, full)
}

func (r *recorder) Update(ctx context.Context, k session.Key, old, data []byte, seen uint8, expires time.Time) error {
	if err := r.note("Update"); err != nil {
		return err
	}
	return r.Store.Update(ctx, k, old, data, seen, expires)
}

func (r *recorder) Touch(ctx context.Context, k session.Key, expires time.Time) error {
	if err := r.note("Touch"); err != nil {
		return err
	}
	return r.Store.Touch(ctx, k, expires)
}

func (r *recorder) Delete(ctx context.Context, k session.Key, user string) error {
	if err := r.note("Delete"); err != nil {
		return err
	}
	return r.Store.Delete(ctx, k, user)
}

func (r *recorder) List(ctx context.Context, k session.Key) ([]session.Entry, error) {
	if err := r.note("List"); err != nil {
		return nil, err
	}
	return r.Store.List(ctx, k)
}

func (r *recorder) DeleteUser(ctx context.Context, k session.Key, keep string) ([]string, error) {
	if err := r.note("DeleteUser"); err != nil {
		return nil, err
	}
	return r.Store.DeleteUser(ctx, k, keep)
}

func (r *recorder) Claim(ctx context.Context, space, name string, value []byte, ttl time.Duration) ([]byte, error) {
	if err := r.note("Claim"); err != nil {
		return nil, err
	}
	return r.Store.Claim(ctx, space, name, value, ttl)
}

func (r *recorder) Swap(ctx context.Context, space, name string, old, value []byte, ttl time.Duration) (bool, error) {
	if err := r.note("Swap"); err != nil {
		return false, err
	}
	return r.Store.Swap(ctx, space, name, old, value, ttl)
}

func (r *recorder) Ping(ctx context.Context) error {
	if err := r.note("Ping"); err != nil {
		return err
	}
	return r.Store.Ping(ctx)
}

func (r *recorder) DeleteListed(ctx context.Context, user session.Key, id string) error {
	if err := r.note("DeleteListed"); err != nil {
		return err
	}
	return r.Store.DeleteListed(ctx, user, id)
}

func (r *recorder) Mark(ctx context.Context, user session.Key) ([]string, error) {
	if err := r.note("Mark"); err != nil {
		return nil, err
	}
	return r.Store.Mark(ctx, user)
}
