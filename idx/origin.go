package idx

import (
	"errors"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// origin checks that raw is https://host or https://host:port, or the same with
// http on a loopback host, and returns it in lower case. Its errors do not show
// raw, which might have a password in it.
//
// Hosts and paths are appended to the result as text, so whatever could make
// that text parse differently is refused here.
func origin(raw string) (string, error) {
	u, err := url.Parse(raw)
	switch {
	case err != nil || !isVisible(raw):
		return "", errors.New("not a URL")
	case u.Scheme != "https" && u.Scheme != "http":
		return "", errors.New("want https://host")
	case u.User != nil:
		return "", errors.New("must not hold a user name or password")
	case u.Opaque != "" || u.Host == "":
		return "", errors.New("has no host")
	case u.Path != "":
		return "", errors.New("must end with the host, without a path or slash")
	case strings.ContainsAny(raw, "?#"):
		return "", errors.New("must not have a query or fragment")
	case !isHost(u):
		return "", errors.New("has no valid host or port")
	case u.Scheme == "http" && !isLoopback(u.Hostname()):
		return "", errors.New("http is for loopback hosts only: want https")
	}
	return u.Scheme + "://" + strings.ToLower(u.Host), nil
}

// isHost reports whether the host of u is a DNS name or an IP address without a
// zone, with nothing but a port behind it.
func isHost(u *url.URL) bool {
	host, rest := u.Hostname(), ""
	if port := u.Port(); port != "" {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return false
		}
		rest = ":" + port
	}
	if addr, err := netip.ParseAddr(host); err == nil && addr.Is6() {
		return addr.Zone() == "" && u.Host == "["+host+"]"+rest
	}
	return isDNSName(host) && u.Host == host+rest
}

func isDNSName(host string) bool {
	for label := range strings.SplitSeq(strings.ToLower(host), ".") {
		if !isDNSLabel(label) {
			return false
		}
	}
	return len(host) <= 253
}

// isDNSLabel reports whether s matches [a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?
// from end to end, without the trailing line break that $ would allow elsewhere.
func isDNSLabel(s string) bool {
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return s != "" && len(s) <= 63 && s[0] != '-' && s[len(s)-1] != '-'
}

func isLoopback(host string) bool {
	if addr, err := netip.ParseAddr(host); err == nil {
		return addr.IsLoopback()
	}
	return strings.EqualFold(host, "localhost")
}
