package idx

import (
	"crypto/tls"
	"net/http"
	"net/http/httptrace"
)

// alone returns r as the only request of its connection, unless that speaks HTTP/2, where
// each answer names its request. On a connection of HTTP/1 that is used again, bytes behind
// an answer pass for the answer to the next request, if that comes before net/http has
// looked: one login would be somebody else's. A transport that copies its requests, as some
// wrappers do, goes on using such connections.
func alone(r *http.Request) *http.Request {
	var own *http.Request
	own = r.WithContext(httptrace.WithClientTrace(r.Context(), &httptrace.ClientTrace{
		GotConn: func(info httptrace.GotConnInfo) { // before anything is sent
			conn, ok := info.Conn.(interface{ ConnectionState() tls.ConnectionState })
			if !ok || conn.ConnectionState().NegotiatedProtocol != "h2" {
				own.Close = true
			}
		},
	}))
	return own
}
