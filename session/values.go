package session

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
)

// ErrNoSession is the error of the value functions if nobody is signed in: their
// context carries no session.
var ErrNoSession = errors.New("session: no session in the context: wrap the handler in RequireLogin, or in LoadUser and expect strangers")

// Get returns the application's value under key; ok is false if there is none. It
// asks no store: the values came with the session.
//
// Values are kept as JSON. So T is a type that encoding/json can encode and decode
// again: 64-bit integers, []byte, time.Time (without its monotonic clock), maps
// and structs of such (exported fields only) come back as they were. Get with
// another T than that of [Put] works as far as json does; any number read into an
// interface is a float64.
func Get[T any](ctx context.Context, key string) (value T, ok bool, err error) {
	s, err := currentOf(ctx)
	if err != nil {
		return value, false, err
	}
	values, err := s.decoded()
	if err != nil {
		return value, false, err
	}
	raw, ok := values[key]
	if !ok {
		return value, false, nil
	}
	return decodeValue[T](key, raw)
}

// Put stores a value in the session of ctx, in the store too before it returns:
// one round trip. The error is [ErrRevoked] if the session has ended meanwhile,
// and [ErrUnavailable] if the store cannot say; then the value may or may not be
// there. Other requests of the session that change other keys at the same time
// lose nothing.
//
// The keys and values of one session may have about 60 KB together. Each costs
// Redis memory and every request its transport: keep ids there, not documents.
func Put(ctx context.Context, key string, value any) error {
	if key == "" {
		return errors.New("session: put: the key is empty")
	}
	raw, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("session: put %q: %w", key, err)
	}
	return change(ctx, func(values valueMap) error {
		values.put(key, string(raw))
		return nil
	})
}

// Pop returns the value under key and removes it, in the store too. Of several
// requests that pop one value at the same time, one gets it. If Redis did not answer
// in time, the value may be gone although nobody got it.
func Pop[T any](ctx context.Context, key string) (value T, ok bool, err error) {
	err = change(ctx, func(values valueMap) (err error) {
		var zero T
		value, ok = zero, false // of an earlier try
		raw, found := values.get(key)
		if !found {
			return nil
		}
		if value, ok, err = decodeValue[T](key, raw); err == nil {
			values.remove(key)
		}
		return err
	})
	if err != nil {
		var zero T
		return zero, false, err
	}
	return value, ok, nil
}

// Remove deletes the value under key, in the store too. A missing one is no error
// and no write.
func Remove(ctx context.Context, key string) error {
	return change(ctx, func(values valueMap) error {
		if _, found := values.get(key); found {
			values.remove(key)
		}
		return nil
	})
}

func decodeValue[T any](key, raw string) (value T, ok bool, err error) {
	if err := json.Unmarshal([]byte(raw), &value); err != nil {
		var zero T
		return zero, false, fmt.Errorf("session: value %q: %w", key, err)
	}
	return value, true, nil
}

// currentOf returns the session or draft that ctx carries.
func currentOf(ctx context.Context) (*Session, error) {
	if c := carrierOf(ctx); c != nil {
		if s := c.current.Load(); s != nil {
			return s, nil
		}
	}
	return nil, ErrNoSession
}

// valueMap is the values of a session while they are changed.
type valueMap interface {
	get(key string) (raw string, ok bool)
	put(key, raw string)
	remove(key string)
}

// change applies fn to the values of the session or draft that ctx carries. fn may
// run several times.
func change(ctx context.Context, fn func(valueMap) error) error {
	c := carrierOf(ctx)
	if c == nil {
		return ErrNoSession
	}
	_, err := c.write(func(s *Session) (*Session, error) {
		if s == nil {
			return nil, ErrNoSession
		}
		return s.change(ctx, fn)
	})
	return err
}

func (s *Session) change(ctx context.Context, fn func(valueMap) error) (*Session, error) {
	if s.manager == nil {
		return s.changeInMemory(fn)
	}
	return s.manager.write(ctx, s, 0, func(data context.Context) error {
		return fn(storedValues{s.manager, data})
	})
}

// changeInMemory changes a detached session or a draft.
func (s *Session) changeInMemory(fn func(valueMap) error) (*Session, error) {
	values, err := s.decoded()
	if err != nil {
		return nil, err
	}
	values = maps.Clone(values)
	if err := fn(plainValues(values)); err != nil {
		return nil, err
	}
	// Refused here, where the caller sees it, and not when the session starts.
	r := record{values: encodeValues(values)}
	if _, err := r.appendTo(nil); err != nil {
		return nil, err
	}
	return s.withValues(values), nil
}

// storedValues is the data of scs.
type storedValues struct {
	manager *Manager
	data    context.Context
}

func (v storedValues) get(key string) (string, bool) {
	raw, ok := v.manager.engine.Get(v.data, key).(string)
	return raw, ok
}
func (v storedValues) put(key, raw string) { v.manager.engine.Put(v.data, key, raw) }
func (v storedValues) remove(key string)   { v.manager.engine.Remove(v.data, key) }

type plainValues map[string]string

func (v plainValues) get(key string) (string, bool) { raw, ok := v[key]; return raw, ok }
func (v plainValues) put(key, raw string)           { v[key] = raw }
func (v plainValues) remove(key string)             { delete(v, key) }
