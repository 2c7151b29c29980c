// Package idx builds the addresses of LoginRadius' hosted login page (IDX) and
// calls its API. Make one [Client] per app and share it between goroutines.
//
//	client, err := idx.New(idx.Config{AppName: "my-app", APIKey: "my-api-key"})
//	...
//	http.Redirect(w, r, client.URL(idx.ActionLogin, "https://www.example.com/callback"), http.StatusSeeOther)
//	...
//	profile, err := client.Profile(r.Context(), idx.Token(r.URL.Query().Get("token")))
//
// The hosted page returns an access token that anybody could have put into the
// address, so a callback needs a state of its own as well; package middleware
// has one.
//
// # Errors
//
// Every error of a call belongs to a class, which says what to do about it:
//
//   - [ErrTokenInvalid]: start a login.
//   - [ErrAccountDenied]: refuse; a login would not help.
//   - [ErrConfig]: an operator must act. A login would only make a loop.
//   - [ErrUnavailable], and [ErrRateLimited], which matches it too: keep what is
//     known about the user and try later.
//   - [ErrNoSecret]: the application has no secret for this.
//
// Ask for a class with [errors.Is]. The class does not follow the HTTP status:
// LoginRadius answers 403 for an invalid token, and so does any firewall on the
// way, for reasons of its own. [APIError] holds the details. The one error
// outside the classes is [context.Canceled]: the caller gave up, and nothing was
// learned.
//
// # Webhooks
//
// [Client.ParseWebhook] reads what LoginRadius reports about an account on its own,
// such as that it was blocked. It has errors of its own: [ErrWebhookSignature],
// [ErrWebhookMalformed], [ErrWebhookTooLarge], and [ErrNoSecret] as above.
//
// # Time and retries
//
// A call takes at most the timeout of [Config].HTTPClient (5 s by default), its
// retries included, and never longer than its context allows. Lost connections
// and the statuses 429, 502, 503 and 504 are tried again, twice at most, with
// growing pauses or after the time the answer's Retry-After names. A pause that
// would outlast the call is not begun: the error is returned at once. All calls
// of a client share a budget of one retry per ten calls and a small reserve, so
// that an outage is not met with three times the load.
//
// After five failed calls in a row, or if half of the calls of a minute fail, nothing
// is asked for two seconds, and then by one call until the API answers: meanwhile
// errors come at once. The same while a Retry-After lasts, up to a minute.
// [RetryAfter] says when to come back. What the API says about a token, an account
// or the settings is no failure, nor is one of [Client.Validate] or
// [Client.Invalidate], of which the latter is always tried.
//
// # Secrets
//
// An access token travels in the Authorization header and the API secret in a
// header of management calls, both only to the configured API: redirects are not
// followed. No error, and no Client, Config, [Token] or [Secret], shows them when
// it is printed, logged or marshalled, but for the few mistakes that [Token] names.
package idx
