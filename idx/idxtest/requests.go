package idxtest

import (
	"net/http"
	"strings"
)

// Request is one request to the hub or the API, without any secret: credentials are
// named, not shown.
type Request struct {
	Method, Path string   // as they came
	Query        []string // names of the query parameters
	Status       int      // of the answer; 0 while there is none

	// Where credentials were: "query", "header", or "" if there were none.
	Key, Secret, Token string
}

// maxLogged bounds what a server remembers of requests and webhooks: an emulator that
// runs for days, or under load, must not grow without end.
const maxLogged = 10_000

type requestLog []*Request

// appendLogged appends entry to log, and drops the oldest one if the log is full.
func appendLogged[E any](log []*E, entry *E) []*E {
	if len(log) >= maxLogged {
		log[0] = nil // the array behind log stays for a while
		log = log[1:]
	}
	return append(log, entry)
}

// record notes a request, and returns how to note the status of its answer.
func (s *Server) record(r *http.Request) (status func(int)) {
	entry := &Request{Method: r.Method, Path: r.URL.Path}
	for pair := range strings.SplitSeq(r.URL.RawQuery, "&") {
		name, _, _ := strings.Cut(pair, "=")
		if name == "" {
			continue
		}
		entry.Query = append(entry.Query, name)
		switch lowerASCII(name) {
		case "apikey", "key":
			entry.Key = "query"
		case "apisecret", "secret":
			entry.Secret = "query"
		case "access_token", "token":
			entry.Token = "query"
		}
	}
	if r.Header.Get("X-LoginRadius-ApiKey") != "" {
		entry.Key = "header"
	}
	if r.Header.Get("X-LoginRadius-ApiSecret") != "" {
		entry.Secret = "header"
	}
	if r.Header.Get("Authorization") != "" {
		entry.Token = "header"
	}
	s.logMu.Lock()
	defer s.logMu.Unlock()
	s.log = appendLogged(s.log, entry)
	return func(status int) {
		s.logMu.Lock()
		defer s.logMu.Unlock()
		entry.Status = status
	}
}

// Requests returns the requests so far, oldest first: the last 10,000 of them.
func (s *Server) Requests() []Request {
	s.logMu.Lock()
	defer s.logMu.Unlock()
	all := make([]Request, len(s.log))
	for i, entry := range s.log {
		all[i] = *entry
	}
	return all
}

// Count returns how many requests there were of a method and a path, such as "GET
// /identity/v2/auth/account", in any case, among those that [Server.Requests] returns.
func (s *Server) Count(request string) int {
	n := 0
	for _, entry := range s.Requests() {
		if strings.EqualFold(entry.Method+" "+entry.Path, request) {
			n++
		}
	}
	return n
}

// statusWriter reports the status of an answer.
type statusWriter struct {
	http.ResponseWriter
	set  func(int)
	done bool
}

func (w *statusWriter) WriteHeader(status int) {
	if !w.done {
		w.done = true
		w.set(status)
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *statusWriter) Write(p []byte) (int, error) {
	if !w.done {
		w.WriteHeader(http.StatusOK)
	}
	return w.ResponseWriter.Write(p)
}

func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
