package idx

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// APIError is the API's own account of a failure, for [errors.AsType]. It belongs
// to one of the classes [ErrTokenInvalid], [ErrAccountDenied], [ErrRateLimited],
// [ErrConfig] and [ErrUnavailable].
type APIError struct {
	Status     int           // HTTP status
	Code       int           // LoginRadius error code, 0 if the body had none
	Message    string        // the API's words, without what may be a secret: for logs, not for visitors
	RetryAfter time.Duration // 0 if the API named no delay; at most an hour
}

// Error returns status, code and message on one line.
func (e *APIError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "LoginRadius answered HTTP %d", e.Status)
	if text := http.StatusText(e.Status); text != "" {
		b.WriteString(" " + text)
	}
	if e.Code != 0 {
		fmt.Fprintf(&b, ", code %d", e.Code)
	}
	if e.Message != "" {
		b.WriteString(": " + printable(e.Message))
	}
	return b.String()
}

// Is reports whether target is the class of e: by Code first, then by Status,
// because an invalid token is answered with 403.
func (e *APIError) Is(target error) bool { return errors.Is(e.class(), target) }

func (e *APIError) class() error {
	if class, ok := codeClasses[e.Code]; ok {
		return class
	}
	switch e.Status {
	case http.StatusBadRequest, http.StatusUnauthorized, http.StatusNotFound, http.StatusMethodNotAllowed:
		return ErrConfig
	case http.StatusTooManyRequests:
		return ErrRateLimited
	}
	// Whatever else comes without a code that we know is no verdict about token or
	// account. That holds for 403 above all, the favourite answer of firewalls.
	return ErrUnavailable
}

// endsToken reports whether e says that the token is dead. The class
// ErrTokenInvalid is wider: it also holds tokens that live but need a visit to
// the hosted page.
func (e *APIError) endsToken() bool {
	switch e.Code {
	case 905, 906, 1055, 2024:
		return true
	}
	return false
}

// codeClasses are the classes of the error codes that say something about a
// token, an account, the application or the API. The codes of calls that this
// package does not make (passwords, registration) are judged by their status.
var codeClasses = map[int]error{
	905:  ErrTokenInvalid, // invalid
	906:  ErrTokenInvalid, // expired
	1055: ErrTokenInvalid, // session expired
	1060: ErrTokenInvalid, // missing
	1217: ErrTokenInvalid, // refresh token invalid
	2024: ErrTokenInvalid, // expired or invalid
	2005: ErrTokenInvalid, // authorization code expired
	2007: ErrTokenInvalid, // authorization code invalid
	2010: ErrTokenInvalid, // invalid_grant

	// Only the hosted page can ask for these, so the visitor must go there.
	1196: ErrTokenInvalid, // privacy policy not accepted
	1226: ErrTokenInvalid, // consent missing

	937:  ErrAccountDenied, // user id invalid
	938:  ErrAccountDenied, // no such user
	984:  ErrAccountDenied, // account id invalid
	991:  ErrAccountDenied, // blocked by an administrator
	1164: ErrAccountDenied, // blocked for suspicious activity
	1130: ErrAccountDenied, // login disabled
	1220: ErrAccountDenied, // login not allowed
	1132: ErrAccountDenied, // locked: captcha
	1148: ErrAccountDenied, // locked: security question
	1198: ErrAccountDenied, // locked for a time
	1264: ErrAccountDenied, // locked
	970:  ErrAccountDenied, // e-mail not verified
	1066: ErrAccountDenied, // phone not verified
	1162: ErrAccountDenied, // neither verified
	1338: ErrAccountDenied, // too many active sessions

	901:  ErrConfig, // API key unauthorised
	902:  ErrConfig, // API secret unauthorised
	920:  ErrConfig, // API key malformed
	921:  ErrConfig, // API secret malformed
	922:  ErrConfig, // API key missing
	923:  ErrConfig, // API secret missing
	908:  ErrConfig, // parameter malformed or missing
	909:  ErrConfig, // not in the plan
	971:  ErrConfig, // invalid request
	1143: ErrConfig, // secret lacks the permission
	1144: ErrConfig, // resource disabled
	1206: ErrConfig, // caller's IP address denied
	1207: ErrConfig, // request signature: 1207 to 1212
	1208: ErrConfig,
	1209: ErrConfig,
	1210: ErrConfig,
	1211: ErrConfig,
	1212: ErrConfig,
	1214: ErrConfig, // "dangerous" request
	1248: ErrConfig, // URL of a reset-pin e-mail not allowed
	1249: ErrConfig, // URL of a verification e-mail not allowed
	2006: ErrConfig, // redirect_uri mismatch
	2008: ErrConfig, // invalid_request
	2009: ErrConfig, // invalid_client
	2011: ErrConfig, // unauthorized_client
	2012: ErrConfig, // unsupported_grant_type
	2013: ErrConfig, // invalid_scope
	2014: ErrConfig, // redirect_uri_mismatch

	950: ErrUnavailable, // unknown failure
}

// parseAPIError makes an error of an answer other than 200. A body that is not
// the API's envelope (plain text, HTML, or an object that says two things at
// once) leaves Code 0, and the status decides.
func parseAPIError(resp *http.Response, body []byte, now time.Time) *APIError {
	e := &APIError{
		Status:     resp.StatusCode,
		RetryAfter: retryAfter(resp.Header.Get("Retry-After"), now),
	}
	if encoded(resp) {
		return e
	}
	obj, err := parseObject(body)
	if err != nil {
		return e
	}
	r := reader{obj: obj}
	code, message := r.integer("ErrorCode"), r.text("Message")
	if message == "" {
		message = r.text("Description")
	}
	if r.err != nil {
		return e
	}
	e.Code, e.Message = code, message
	return e
}

// maxRetryAfter bounds what an answer can make callers wait.
const maxRetryAfter = time.Hour

// retryAfter reads a Retry-After header, which is a number of seconds or a date
// (RFC 9110, 10.2.3).
func retryAfter(value string, now time.Time) time.Duration {
	var d time.Duration
	if seconds, err := strconv.ParseUint(value, 10, 64); err == nil || errors.Is(err, strconv.ErrRange) {
		d = time.Duration(min(seconds, uint64(maxRetryAfter/time.Second))) * time.Second
	} else if t, err := http.ParseTime(value); err == nil {
		d = t.Sub(now)
	}
	return min(max(d, 0), maxRetryAfter)
}

const maxMessageBytes = 300

// printable returns s on one line of bounded length, without characters that
// could forge log lines or move a terminal's cursor.
func printable(s string) string {
	cut := len(s) > maxMessageBytes
	if cut {
		s = s[:maxMessageBytes]
	}
	s = strings.Map(func(r rune) rune {
		if r == unicode.ReplacementChar || !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, s)
	s = strings.TrimSpace(s)
	if cut {
		s += "…"
	}
	return s
}
