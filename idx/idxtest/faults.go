package idxtest

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"time"
)

// FaultKind is a way in which the API fails.
type FaultKind string

// The ways to fail. The first two are late, the next ones bad answers, and the last
// two good ones that careless clients cannot read.
const (
	SlowHeaders      FaultKind = "slow headers"       // nothing for Delay, then the right answer
	SlowBody         FaultKind = "slow body"          // half of the right answer, the rest after Delay
	RateLimitText    FaultKind = "429 text"           // as gateways say it
	RateLimitJSON    FaultKind = "429 JSON"           // as the API says it
	ServerError      FaultKind = "500"                // with the API's envelope, code 950
	BadGateway       FaultKind = "502 HTML"           //
	Unavailable      FaultKind = "503"                //
	Truncated        FaultKind = "truncated JSON"     //
	Oversized        FaultKind = "oversized body"     // two megabytes
	Reset            FaultKind = "connection reset"   //
	Redirect         FaultKind = "redirect elsewhere" // 307 to another host
	WrongContentType FaultKind = "wrong content type" // the right answer, called text/html
	UnknownFields    FaultKind = "unknown fields"     // the right answer and more
	WrongTypes       FaultKind = "wrong types"        // the right answer, odd in fields that nobody needs
)

// Fault makes calls of the API fail.
type Fault struct {
	Kind       FaultKind
	Path       string        // only requests whose path contains it, in any case; if empty, all of the API
	Times      int           // so often, then no more; 0: until [Server.ClearFault]
	Delay      time.Duration // of the slow kinds; it ends with the request
	RetryAfter time.Duration // sent with 429 and 503, if not 0
}

// SetFault lets the API fail from now on; it replaces an earlier fault.
func (s *Server) SetFault(f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = &f
}

// ClearFault ends the fault.
func (s *Server) ClearFault() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = nil
}

// takeFault returns the fault that r, whose path is in lower case, runs into.
func (s *Server) takeFault(r *http.Request) (Fault, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.fault
	isAPI := strings.HasPrefix(r.URL.Path, "/identity/") || strings.HasPrefix(r.URL.Path, "/api/")
	if f == nil || f.Path == "" && !isAPI || !strings.Contains(r.URL.Path, lowerASCII(f.Path)) {
		return Fault{}, false
	}
	taken := *f
	if f.Times == 1 {
		s.fault = nil
	}
	f.Times--
	return taken, true
}

// serve answers a request as the fault has it; next has the right answer.
func (f Fault) serve(w http.ResponseWriter, r *http.Request, next http.Handler) {
	if f.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(f.RetryAfter/time.Second)))
	}
	switch f.Kind {
	case SlowHeaders:
		wait(r, f.Delay)
		next.ServeHTTP(w, r)
	case RateLimitText:
		http.Error(w, "Too many requests", http.StatusTooManyRequests)
	case RateLimitJSON:
		writeError(w, &apiError{http.StatusTooManyRequests, 0, "Too many requests", "The limit of API calls is reached."}, false)
	case ServerError:
		writeError(w, errUnknown, false)
	case BadGateway:
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(http.StatusBadGateway)
		io.WriteString(w, "<html><body><h1>502 Bad Gateway</h1></body></html>")
	case Unavailable:
		http.Error(w, "Service unavailable", http.StatusServiceUnavailable)
	case Oversized:
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, `{"Uid":"`)
		chunk := strings.Repeat("a", 32<<10) // clients have read enough before the last of them
		for sent := 0; sent < 2<<20; sent += len(chunk) {
			if _, err := io.WriteString(w, chunk); err != nil {
				return
			}
		}
		io.WriteString(w, `"}`)
	case Reset:
		panic(http.ErrAbortHandler) // net/http cuts the connection
	case Redirect:
		http.Redirect(w, r, "http://127.0.0.1:1/elsewhere", http.StatusTemporaryRedirect)
	default:
		f.spoil(w, r, next)
	}
}

// spoil serves the right answer, changed.
func (f Fault) spoil(w http.ResponseWriter, r *http.Request, next http.Handler) {
	right := httptest.NewRecorder()
	next.ServeHTTP(right, r)
	body := right.Body.Bytes()
	for name, values := range right.Header() {
		w.Header()[name] = values
	}
	switch f.Kind {
	case WrongContentType:
		w.Header().Set("Content-Type", "text/html")
	case UnknownFields:
		body = withFields(body, map[string]any{"Novelty": map[string]any{"a": []int{1}}, "AnotherOne": 1.5})
	case WrongTypes:
		body = withFields(body, map[string]any{"Gender": 7, "Company": []string{"x"}, "NoOfLogins": "many", "CreatedDate": "yesterday", "Website": map[string]any{}})
	}
	w.WriteHeader(right.Code)
	half := len(body) / 2
	w.Write(body[:half])
	switch f.Kind {
	case Truncated:
		return
	case SlowBody:
		http.NewResponseController(w).Flush()
		wait(r, f.Delay)
	}
	w.Write(body[half:])
}

// withFields adds fields to a JSON object. Other bodies stay as they are.
func withFields(body []byte, fields map[string]any) []byte {
	var object map[string]any
	if json.Unmarshal(body, &object) != nil {
		return body
	}
	for name, value := range fields {
		object[name] = value
	}
	changed, err := json.Marshal(object)
	if err != nil {
		return body
	}
	return changed
}

// wait returns after d. If the request ends before that, it cuts the connection, so
// that nothing passes for a complete answer.
func wait(r *http.Request, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-r.Context().Done():
		panic(http.ErrAbortHandler)
	}
}
