package idx

import "errors"

// Classes of failure, for [errors.Is]; the comments say what to do.
// ErrRateLimited matches ErrUnavailable as well, because callers owe both the
// same; ask for ErrRateLimited first where the difference matters.
var (
	ErrTokenInvalid        = errors.New("access token is invalid or expired")                                // start a login
	ErrAccountDenied       = errors.New("account is blocked, locked, unverified or gone")                    // refuse; a login would not help
	ErrRateLimited   error = &subclass{text: "LoginRadius limits the rate of calls", parent: ErrUnavailable} // keep the session, try later
	ErrConfig              = errors.New("LoginRadius refuses the application's settings")                    // an operator must act; never a login
	ErrUnavailable         = errors.New("LoginRadius is unavailable")                                        // keep the session, try later
	ErrNoSecret            = errors.New("an API secret is needed, and none is configured")                   // only Account, Roles and ParseWebhook; no call was made
)

// What [Client.ParseWebhook] refuses. Nothing of such a request is to be believed.
var (
	ErrWebhookSignature = errors.New("webhook was not signed with a known secret") // answer 401: a stranger, or the secret has changed
	ErrWebhookMalformed = errors.New("webhook is malformed")                       // answer 400
	ErrWebhookTooLarge  = errors.New("webhook is too large")                       // answer 413
)

// subclass is a class within another.
type subclass struct {
	text   string
	parent error
}

func (e *subclass) Error() string { return e.text }
func (e *subclass) Unwrap() error { return e.parent }

// connError is a call that got no whole answer. It can be matched as its cause can, but
// it does not hand it out: transports quote what they were to send.
type connError struct {
	text  string // of cause, without what must not be shown
	cause *error // a pointer, which fmt does not follow: some errors are texts themselves
}

func (e *connError) Error() string { return ErrUnavailable.Error() + ": " + e.text }
func (e *connError) Is(target error) bool {
	return target == ErrUnavailable || errors.Is(*e.cause, target)
}
func (e *connError) As(target any) bool { return errors.As(*e.cause, target) }
