package session

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// clientSettings is what matters here of the options of a client.
type clientSettings struct {
	known        bool
	readTimeout  time.Duration // 0: none
	honoursCtx   bool
	fromReplicas bool
	plainTo      string  // a host elsewhere that is spoken to without TLS
	password     *string // a pointer, which fmt does not follow; nil: none
}

func settingsOf(client redis.UniversalClient) clientSettings {
	switch c := client.(type) {
	case *redis.Client:
		o := c.Options()
		s := clientSettings{known: true, readTimeout: o.ReadTimeout, honoursCtx: o.ContextTimeoutEnabled, password: &o.Password}
		if o.TLSConfig == nil && o.Network != "unix" {
			s.plainTo = elsewhere(o.Addr)
		}
		return s
	case *redis.ClusterClient:
		o := c.Options()
		s := clientSettings{known: true, readTimeout: o.ReadTimeout, honoursCtx: o.ContextTimeoutEnabled, password: &o.Password}
		s.fromReplicas = o.ReadOnly || o.RouteByLatency || o.RouteRandomly
		if o.TLSConfig == nil {
			s.plainTo = elsewhere(o.Addrs...)
		}
		return s
	}
	return clientSettings{}
}

// discreet returns err without the password of Redis. Servers repeat a command that they
// do not know, with its arguments, and clients an answer that they cannot read.
func (s *redisStore) discreet(err error) error {
	if err == nil || err == redis.Nil || s.settings.password == nil {
		return err
	}
	password := *s.settings.password
	if password == "" || !strings.Contains(err.Error(), password) {
		return err
	}
	return &discreetError{strings.ReplaceAll(err.Error(), password, "[redacted]"), &err}
}

// discreetError can be matched as its cause can, but does not hand it out.
type discreetError struct {
	text  string
	cause *error // a pointer, which fmt does not follow: some errors are texts themselves
}

func (e *discreetError) Error() string        { return e.text }
func (e *discreetError) Is(target error) bool { return errors.Is(*e.cause, target) }
func (e *discreetError) As(target any) bool   { return errors.As(*e.cause, target) }

// elsewhere returns the first host of addrs that is not this machine.
func elsewhere(addrs ...string) string {
	for _, addr := range addrs {
		host, _, err := net.SplitHostPort(addr)
		if err != nil {
			continue // no address: go-redis' name for a client of Sentinel
		}
		ip, err := netip.ParseAddr(host)
		if host != "" && host != "localhost" && (err != nil || !ip.IsLoopback()) {
			return host
		}
	}
	return ""
}

// check tells [New] about the client.
func (s *redisStore) check(log *slog.Logger) error {
	var errs []error
	if strings.ContainsAny(s.prefix, "{}") {
		errs = append(errs, fmt.Errorf("session: Prefix %q holds a brace", s.prefix))
	}
	o := s.settings
	if o.fromReplicas {
		errs = append(errs, errors.New("session: the Redis client reads from replicas (ReadOnly, RouteByLatency or RouteRandomly), where revoked sessions live on"))
	}
	if o.known && (!o.honoursCtx || o.readTimeout <= 0 || o.readTimeout > time.Second) {
		log.Warn("session: the Redis client is set to wait for long while Redis hangs; session.ParseRedisURL returns better settings",
			"ReadTimeout", o.readTimeout, "ContextTimeoutEnabled", o.honoursCtx)
	}
	if o.plainTo != "" {
		log.Warn("session: Redis is spoken to without TLS: whoever is on the way can end sessions, and sees the password of Redis", "host", o.plainTo)
	}
	return errors.Join(errs...)
}

// inspect warns of a Redis that gives up sessions when its memory is full. If it
// does not tell, nothing can be said.
func (s *redisStore) inspect(ctx context.Context, log *slog.Logger) {
	info, err := within(ctx, s, func(ctx context.Context) (string, error) {
		return s.client.Info(ctx, "memory").Result()
	})
	if err != nil {
		return
	}
	fields := make(map[string]string)
	for line := range strings.Lines(info) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		fields[name] = value
	}
	policy := fields["maxmemory_policy"]
	if limit := fields["maxmemory"]; limit != "" && limit != "0" && policy != "" && policy != "noeviction" {
		log.Warn("session: Redis evicts sessions when its memory is full, which signs users out, lists of a user's sessions, which are then missed when all of them are to end, and marks of used logins, which can then be used again: set maxmemory-policy to noeviction",
			"maxmemory-policy", policy)
	}
}
