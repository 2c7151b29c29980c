package session

import (
	"crypto/tls"
	"errors"
	"net"
	"net/url"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// ParseRedisURL reads the address of one node, of a cluster or of a master guarded
// by Sentinel, and returns options for [redis.NewUniversalClient] with time limits
// that suit a login.
//
//	redis://[user:password@]host[:port][/db]                         one node
//	redis://[user:password@]host:port,host:port                      a cluster
//	redis://[user:password@]host:port?addr=host:port&addr=host:port  the same
//	redis+sentinel://[user:password@]host:port,host:port/master[/db] Sentinel
//
// With rediss:// or rediss+sentinel:// connections use TLS. Ports default to 6379,
// of sentinels to 26379. For a cluster with one configuration endpoint set
// IsClusterMode on the result, for sentinels with a password SentinelPassword.
//
// The limits: dial 500 ms, read and write 250 ms, 250 ms for a place in the pool,
// one retry, context deadlines honoured. No error quotes the address, which may hold a
// password.
func ParseRedisURL(address string) (*redis.UniversalOptions, error) {
	scheme, rest, ok := strings.Cut(address, "://")
	if !ok {
		return nil, errors.New("session: Redis address: want redis://host:port")
	}
	kind, sentinel := strings.CutSuffix(scheme, "+sentinel")
	if kind != "redis" && kind != "rediss" {
		return nil, errors.New("session: Redis address: want redis://, rediss://, redis+sentinel:// or rediss+sentinel://")
	}
	authority, path := cutAuthority(rest)
	o := promptOptions()
	if at := strings.LastIndexByte(authority, '@'); at >= 0 {
		if err := setUser(o, authority[:at]); err != nil {
			return nil, err
		}
		authority = authority[at+1:]
	}
	// The hosts are a list, which net/url does not know; it reads only the rest.
	u, err := url.Parse(path)
	if err != nil || u.Fragment != "" {
		return nil, errors.New("session: Redis address: malformed path or query (are special characters of the password percent-encoded?)")
	}
	hosts, err := hostList(authority, u)
	if err != nil {
		return nil, err
	}
	port := "6379"
	if sentinel {
		port = "26379"
	}
	for _, host := range hosts {
		addr, err := withPort(host, port)
		if err != nil {
			return nil, err
		}
		o.Addrs = append(o.Addrs, addr)
	}
	if kind == "rediss" {
		o.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12}
		if len(o.Addrs) == 1 && !sentinel {
			o.TLSConfig.ServerName, _, _ = net.SplitHostPort(o.Addrs[0])
		}
	}
	if err := setPath(o, strings.Trim(u.Path, "/"), sentinel); err != nil {
		return nil, err
	}
	if !sentinel && o.DB != 0 && len(o.Addrs) > 1 {
		return nil, errors.New("session: Redis address: a cluster has no databases")
	}
	return o, nil
}

// promptOptions returns settings under which nobody waits long for Redis. Retries
// are safe: each operation of the store may be repeated. No idle connections are kept
// ready (MinIdleConns): while Redis is away, go-redis goes on dialling for them, and
// after PoolSize failures in its life it tries only once a second.
func promptOptions() *redis.UniversalOptions {
	places := max(16, 4*runtime.GOMAXPROCS(0))
	return &redis.UniversalOptions{
		DialTimeout:           500 * time.Millisecond,
		DialerRetries:         1,
		ReadTimeout:           250 * time.Millisecond,
		WriteTimeout:          250 * time.Millisecond,
		PoolTimeout:           250 * time.Millisecond,
		ContextTimeoutEnabled: true,
		MaxRetries:            1,
		PoolSize:              places,
		MaxActiveConns:        places,
		PipelinePoolSize:      -1, // sessions are read by pipelines: one pool for all
	}
}

// cutAuthority splits user:password@hosts from the path and query behind it. A
// password may hold anything but "/", "?" and "#".
func cutAuthority(s string) (authority, rest string) {
	if i := strings.IndexAny(s, "/?#"); i >= 0 {
		return s[:i], s[i:]
	}
	return s, ""
}

func setUser(o *redis.UniversalOptions, info string) error {
	user, password, _ := strings.Cut(info, ":")
	var err1, err2 error
	o.Username, err1 = url.PathUnescape(user)
	o.Password, err2 = url.PathUnescape(password)
	if err1 != nil || err2 != nil {
		return errors.New("session: Redis address: user or password is not percent-encoded")
	}
	return nil
}

// hostList returns the addresses between the commas and those of the query.
func hostList(authority string, u *url.URL) ([]string, error) {
	hosts := strings.Split(authority, ",")
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return nil, errors.New("session: Redis address: malformed query")
	}
	for name, values := range query {
		if name != "addr" {
			return nil, errors.New("session: Redis address: only addr= is understood in its query; set other options on the result")
		}
		hosts = append(hosts, values...)
	}
	return hosts, nil
}

func withPort(host, port string) (string, error) {
	if name, p, err := net.SplitHostPort(host); err == nil {
		if n, err := strconv.ParseUint(p, 10, 16); err == nil && n > 0 && name != "" {
			return host, nil
		}
	} else if name := strings.Trim(host, "[]"); name != "" && !strings.ContainsAny(host, "@ ") &&
		(!strings.Contains(host, ":") || net.ParseIP(name) != nil) {
		return net.JoinHostPort(name, port), nil
	}
	return "", errors.New("session: Redis address: want host:port, separated by commas")
}

// setPath reads the database, and in front of it the name of a guarded master.
func setPath(o *redis.UniversalOptions, path string, sentinel bool) error {
	db := path
	if sentinel {
		o.MasterName, db, _ = strings.Cut(path, "/")
		if o.MasterName == "" {
			return errors.New("session: Redis address: want the master's name, such as redis+sentinel://host:26379/mymaster")
		}
	}
	if db == "" {
		return nil
	}
	n, err := strconv.ParseUint(db, 10, 16)
	if err != nil {
		return errors.New("session: Redis address: want a number as database")
	}
	o.DB = int(n)
	return nil
}
