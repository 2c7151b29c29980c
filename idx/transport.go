package idx

import (
	"crypto/tls"
	"net"
	"net/http"
	"time"
)

// defaultTimeout bounds a call with all of its retries. A visitor waits for it.
const defaultTimeout = 5 * time.Second

// apiClient returns the client that makes the calls, and the time that one call
// may take. The client has no timeout of its own: http.Client counts it anew for
// every request, and a call can need three.
func apiClient(configured *http.Client) (*http.Client, time.Duration) {
	client := &http.Client{}
	if configured != nil {
		*client = *configured
	} else {
		client.Transport = defaultTransport()
	}
	timeout := client.Timeout
	if timeout <= 0 {
		timeout = defaultTimeout
	}
	client.Timeout = 0
	// On a redirect to another host, net/http drops the Authorization header but
	// keeps the one with the API secret, and tells the host our API key in the
	// Referer. The API has no reason to redirect.
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return client, timeout
}

// defaultTransport is http.DefaultTransport (with its proxies from the
// environment), but waits less: a lost connection must leave time for a retry.
func defaultTransport() *http.Transport {
	t := &http.Transport{Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true}
	// A program may have replaced the default transport by its own type.
	if std, ok := http.DefaultTransport.(*http.Transport); ok {
		t = std.Clone()
	}
	t.DialContext = (&net.Dialer{Timeout: time.Second, KeepAlive: 30 * time.Second}).DialContext
	t.TLSHandshakeTimeout = 2 * time.Second
	t.ResponseHeaderTimeout = 2 * time.Second
	t.IdleConnTimeout = 90 * time.Second
	t.MaxResponseHeaderBytes = 64 << 10
	// All calls go to one host: keep more than the standard two connections, and
	// bound how many an API that hangs can make us open.
	t.MaxIdleConnsPerHost = 16
	t.MaxConnsPerHost = 64
	if t.TLSClientConfig == nil {
		t.TLSClientConfig = &tls.Config{}
	}
	t.TLSClientConfig.MinVersion = max(t.TLSClientConfig.MinVersion, tls.VersionTLS12)
	return t
}
