package idx

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"
)

const (
	// maxBodyBytes bounds a whole answer after decompression. A full profile has
	// some ten kilobytes.
	maxBodyBytes = 1 << 20

	// maxErrorBytes bounds what is read of an answer that reports an error.
	maxErrorBytes = 8 << 10
)

var errTooLong = fmt.Errorf("%w: answer is longer than %d bytes", ErrUnavailable, maxBodyBytes)

// request is one call of the API. All of them are GET requests, and all can be
// repeated.
type request struct {
	path       string     // escaped
	query      url.Values // without the API key
	token      Token      // of calls in a user's name
	management bool       // a call in the application's name
	aside      bool       // nobody is kept out if it fails, so nobody must be by its failures
	insistent  bool       // one aside that is made even if the API seems to be down
}

// get makes the call, unless the API seems to be down, and returns its answer: one JSON
// object of status 200.
func (a *app) get(ctx context.Context, req request) (object, error) {
	if !req.management && !req.token.wellFormed() {
		return object{}, fmt.Errorf("%w: not the form of a token", ErrTokenInvalid)
	}
	if req.aside {
		if err := a.breakerOf(req).check(); err != nil && !req.insistent {
			return object{}, err
		}
		return a.tryAgain(ctx, req)
	}
	done, err := a.breakerOf(req).allow()
	if err != nil {
		return object{}, err
	}
	result := errOneCall // stands after a panic in the caller's transport
	defer func() { done(result) }()
	start := time.Now()
	obj, err := a.tryAgain(ctx, req)
	result = outcome(ctx, err, time.Since(start))
	return obj, err
}

// tryAgain tries as often as retry.go, ctx and the client's timeout allow.
func (a *app) tryAgain(ctx context.Context, req request) (object, error) {
	ctx, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	a.retries.earn()
	for attempt := 0; ; attempt++ {
		obj, err := a.try(ctx, req)
		if err == nil {
			return obj, nil
		}
		a.hold(req, err)
		pause, again := retryPause(err, attempt)
		if !again || !fits(ctx, pause) || !a.retries.spend() {
			return object{}, err
		}
		if !sleep(ctx, pause) {
			return object{}, a.connError(ctx, req, ctx.Err())
		}
	}
}

// try makes one attempt at the call.
func (a *app) try(ctx context.Context, req request) (object, error) {
	httpReq, err := a.httpRequest(ctx, req)
	if err != nil {
		return object{}, a.connError(ctx, req, err)
	}
	resp, err := a.http.Do(alone(httpReq))
	if err != nil {
		return object{}, a.connError(ctx, req, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return object{}, a.apiError(ctx, req, resp)
	}
	if encoded(resp) {
		return object{}, fmt.Errorf("%w: answer has a content encoding that was not asked for", ErrUnavailable)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBodyBytes+1))
	if err != nil {
		return object{}, a.connError(ctx, req, err)
	}
	if len(body) > maxBodyBytes {
		return object{}, errTooLong
	}
	obj, err := parseObject(body)
	if err != nil {
		// Whoever sent that may have more to say on the same connection, where it
		// would pass for the answer to somebody else's request.
		a.http.CloseIdleConnections()
		return object{}, fmt.Errorf("%w: answer is %w", ErrUnavailable, err)
	}
	return obj, nil
}

func (a *app) httpRequest(ctx context.Context, req request) (*http.Request, error) {
	query := url.Values{"apikey": {a.creds.key}}
	for name, values := range req.query {
		query[name] = values
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, a.api+req.path+"?"+query.Encode(), nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Accept", "application/json")
	r.Header.Set("User-Agent", "idxauth")
	if req.management {
		r.Header.Set("X-LoginRadius-ApiKey", a.creds.key)
		r.Header.Set("X-LoginRadius-ApiSecret", a.creds.secret)
	} else {
		r.Header.Set("Authorization", "Bearer "+string(req.token))
	}
	return r, nil
}

// encoded reports whether the body of resp is compressed. If the transport has
// asked for gzip by itself, it has removed the header together with the gzip.
func encoded(resp *http.Response) bool {
	for _, coding := range resp.Header.Values("Content-Encoding") {
		if coding != "" && !strings.EqualFold(coding, "identity") {
			return true
		}
	}
	return false
}

// apiError makes an error of an answer other than 200.
func (a *app) apiError(ctx context.Context, req request, resp *http.Response) error {
	var body []byte
	// Other answers say nothing that is needed, and the body of a 101 is the
	// connection itself, which no context closes.
	if resp.StatusCode >= 400 {
		var err error
		body, err = io.ReadAll(io.LimitReader(resp.Body, maxErrorBytes))
		if err != nil && ctx.Err() != nil {
			return a.connError(ctx, req, err)
		}
	}
	// If the body broke off, it is no envelope, and the status has to do.
	e := parseAPIError(resp, body, time.Now())
	e.Message = printable(a.scrub(req, e.Message))
	return e
}

// connError makes an error of a call that got no whole answer.
func (a *app) connError(ctx context.Context, req request, err error) error {
	switch cause := ctx.Err(); {
	case errors.Is(cause, context.Canceled):
		return cause // by the caller: no failure of the API, so of no class
	case cause != nil:
		err = cause
	}
	// A *url.Error prints the address.
	for {
		urlErr, ok := errors.AsType[*url.Error](err)
		if !ok {
			break
		}
		err = urlErr.Err
	}
	return &connError{text: printable(a.scrub(req, err.Error())), cause: &err}
}

var (
	queryInText = regexp.MustCompile(`\?[^\s"']+`)
	mailInText  = regexp.MustCompile(`[^\s"'<>(),;:]+@[^\s"'<>(),;:]+`)
	longInText  = regexp.MustCompile(`[A-Za-z0-9+/=_%~-]{20,}|[0-9]{9,}`)
)

// pieceOfCredential is how many characters of one in a row are taken out of texts.
const pieceOfCredential = 8

// scrub removes from text, which others wrote, the credentials of req and pieces of
// them, the queries of addresses, and who it is about. What is encoded nobody can tell
// from anything else, so all words go that are too long to be words.
func (a *app) scrub(req request, text string) string {
	for _, credential := range []string{string(req.token), a.creds.secret, a.creds.key} {
		text = withoutPieces(text, credential)
	}
	text = queryInText.ReplaceAllString(text, "?…")
	text = mailInText.ReplaceAllString(text, "…@…")
	return longInText.ReplaceAllString(text, "…")
}

// withoutPieces returns text without what it has in common with a credential, in upper
// or lower case.
func withoutPieces(text, credential string) string {
	if credential == "" {
		return text
	}
	if len(credential) < pieceOfCredential {
		return strings.ReplaceAll(text, credential, redacted)
	}
	credential = strings.ToLower(credential)
	pieces := make(map[string]bool)
	for i := range len(credential) - pieceOfCredential + 1 {
		pieces[credential[i:i+pieceOfCredential]] = true
	}
	var b strings.Builder
	kept := 0
	for i := 0; i+pieceOfCredential <= len(text); i++ {
		end := i
		for end+pieceOfCredential <= len(text) && pieces[strings.ToLower(text[end:end+pieceOfCredential])] {
			end++
		}
		if end > i {
			b.WriteString(text[kept:i] + redacted)
			kept = end + pieceOfCredential - 1
			i = kept - 1
		}
	}
	return b.String() + text[kept:]
}
