package middleware

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/idxauth/idxauth/idx"
	"github.com/idxauth/idxauth/session"
)

// Reason is the stable code of a refusal: the same in the JSON body, on the page,
// in the log and in hooks.
type Reason string

// The reasons, with what an operator does about them. Those of rules made by
// [Check] and of refusals made by [Refuse] are the application's own.
const (
	LoginRequired  Reason = "login_required"  // nothing: a stranger
	SessionExpired Reason = "session_expired" // nothing: the cookie names a session that has expired or was ended

	StateMissing    Reason = "state_missing"     // if frequent: the hosted page's script cuts the return URL
	StateMismatch   Reason = "state_mismatch"    // single ones are old links; many from one address are attempts
	StateExpired    Reason = "state_expired"     // nothing: the visitor took more than 15 minutes
	StateReused     Reason = "state_reused"      // nothing: Back button; many are replays, or tokens that are tried out
	TokenMissing    Reason = "token_missing"     // if frequent: the hosted page returns without a token
	TokenMalformed  Reason = "token_malformed"   // attempts, or a proxy that rewrites queries
	TokenInvalid    Reason = "token_invalid"     // nothing: expired on the way; if always, AppName and APIKey are of two apps
	TokenReplayed   Reason = "token_replayed"    // look: a token came in through a second browser
	TooManyAttempts Reason = "too_many_attempts" // if frequent: cookies do not come back; compare BaseURL with the address bar

	TooManySessions Reason = "too_many_sessions" // [session.RefuseNew], and the user has as many as [session.Config].MaxPerUser allows
	AccountDenied   Reason = "account_denied"    // the account is blocked, locked, deleted or unverified in LoginRadius
	EmailUnverified Reason = "email_unverified"  // the user must follow the link in the mail
	RoleMissing     Reason = "role_missing"      // give the user the role in LoginRadius
	LoginTooOld     Reason = "login_too_old"     // nothing: the page wants a fresh login

	CrossSiteRequest  Reason = "cross_site_request"     // another site posted to the logout route
	LogoutUnconfirmed Reason = "logout_unconfirmed"     // the store did not answer; the logout is tried again for a minute
	WebhookUnsigned   Reason = "webhook_unsigned"       // attempts, or the secret was reset: see [idx.Config].WebhookSecrets
	WebhookMalformed  Reason = "webhook_malformed"      // look at what is in front: it was signed, and did not arrive whole
	WebhookTooLarge   Reason = "webhook_too_large"      // attempts
	WebhookTooOld     Reason = "webhook_too_old"        // attempts, if the clock is right
	ProviderDown      Reason = "provider_unavailable"   // wait, or look at LoginRadius' status page
	TooBusy           Reason = "too_busy"               // more logins at once than [Config].APIRate lets through, or an attack
	ProviderSettings  Reason = "provider_misconfigured" // AppName, APIKey or APISecret is wrong, or the plan lacks a feature
	StoreDown         Reason = "store_unavailable"      // look at Redis
	HookFailed        Reason = "hook_failed"            // a hook or a Check of the application returned an error
)

// Problem is one refusal or fault, for error pages and hooks.
type Problem struct {
	Reason     Reason
	Status     int           // HTTP status
	Title      string        // for visitors
	Detail     string        // for visitors
	Err        error         // for operators; nil if there is no more to say
	RequestID  string        // the same in the log line, which is left out if there are too many of the reason
	LoginPath  string        // where a login starts, perhaps with a query; "" if a login would not help
	LogoutPath string        // where the visitor can sign out to try another account; "" if that would not help
	RetryAfter time.Duration // 0 if waiting does not help
}

// wording is what visitors read. It never holds anything from the request or from
// an answer of the API.
type wording struct {
	status        int
	title, detail string
	retry         time.Duration
}

var wordings = map[Reason]wording{
	LoginRequired:     {401, "Please sign in", "This page is for signed-in users.", 0},
	SessionExpired:    {401, "Please sign in again", "Your session has ended.", 0},
	StateMissing:      {400, "Sign-in was interrupted", "The way back from the sign-in page was incomplete.", 0},
	StateMismatch:     {400, "Sign-in was interrupted", "This sign-in was not started in this browser.", 0},
	StateExpired:      {400, "Sign-in took too long", "Please start again.", 0},
	StateReused:       {400, "Sign-in was already used", "Please start again.", 0},
	TokenMissing:      {400, "Sign-in was interrupted", "The sign-in page sent no proof of who you are.", 0},
	TokenMalformed:    {400, "Sign-in was interrupted", "The sign-in page sent something unreadable.", 0},
	TokenInvalid:      {400, "Sign-in has expired", "Please start again.", 0},
	TokenReplayed:     {400, "Sign-in was already used", "Please sign in again.", 0},
	TooManyAttempts:   {400, "Sign-in does not work in this browser", "It was tried several times. Please allow cookies for this site, or delete them and try again.", 0},
	TooManySessions:   {403, "Signed in on too many devices", "Sign out on one of the others, then try again.", 0},
	AccountDenied:     {403, "This account cannot sign in", "It is blocked, locked, or not yet confirmed.", 0},
	EmailUnverified:   {403, "Please confirm your e-mail address", "Follow the link in the mail that you were sent, then try again.", 0},
	RoleMissing:       {403, "This page is not for you", "Your account lacks the role for it.", 0},
	LoginTooOld:       {401, "Please sign in again", "This page asks for a recent sign-in.", 0},
	CrossSiteRequest:  {403, "Request refused", "It came from another site.", 0},
	LogoutUnconfirmed: {503, "Signing out is not finished", "This browser has forgotten your session. The server could not confirm that it has ended, and keeps trying for a minute. Sign out once more to leave the sign-in page too.", 5 * time.Second},
	WebhookUnsigned:   {401, "Not signed", "The signature is not that of a known secret.", 0},
	WebhookMalformed:  {400, "Malformed", "This is not a webhook.", 0},
	WebhookTooLarge:   {413, "Too large", "This is not a webhook.", 0},
	WebhookTooOld:     {400, "Too old", "The event is too long ago, or lies in the future.", 0},
	ProviderDown:      {503, "Sign-in is unavailable", "The sign-in service does not answer. Please try again in a moment.", 5 * time.Second},
	TooBusy:           {503, "Please try again in a moment", "Too many people are signing in just now.", 2 * time.Second},
	ProviderSettings:  {500, "Sign-in is not set up correctly", "Please tell the operator of this site.", 0},
	StoreDown:         {503, "Please try again in a moment", "It cannot be checked right now who is signed in.", 2 * time.Second},
	HookFailed:        {500, "Something went wrong", "Please try again later.", 0},
}

// refusal is an error that says which problem to serve.
type refusal struct {
	reason Reason
	detail string // overrides the wording's
	err    error
	retry  time.Duration
}

func (e *refusal) Error() string {
	if e.err != nil {
		return string(e.reason) + ": " + e.err.Error()
	}
	return string(e.reason)
}

func (e *refusal) Unwrap() error { return e.err }

// Refuse returns an error with which [Hooks].OnLogin and rules made by [Check] refuse a
// user: a 403 page with a reason code and a sentence of the application's.
func Refuse(reason Reason, detail string) error {
	return &refusal{reason: reason, detail: detail}
}

func refuse(reason Reason, err error) error { return &refusal{reason: reason, err: err} }

// providerRefusal turns an error of the provider into one of the three classes of
// trouble: start a login, deny, or admit that the answer is not known.
func providerRefusal(err error) error {
	switch {
	case errors.Is(err, idx.ErrTokenInvalid):
		return refuse(TokenInvalid, err)
	case errors.Is(err, idx.ErrAccountDenied):
		return refuse(AccountDenied, err)
	case errors.Is(err, idx.ErrConfig):
		return refuse(ProviderSettings, err)
	default:
		return &refusal{reason: ProviderDown, err: err, retry: retryAfter(err)}
	}
}

// retryAfter is [idx.RetryAfter] as far as it is obeyed: the API is tried again after a
// minute.
func retryAfter(err error) time.Duration { return min(idx.RetryAfter(err), time.Minute) }

// reasonOf returns the reason in err; errors of the store carry none of their own.
func reasonOf(err error) Reason {
	if e, ok := errors.AsType[*refusal](err); ok {
		return e.reason
	}
	switch {
	case errors.Is(err, session.ErrNoCookie):
		return LoginRequired
	case errors.Is(err, session.ErrNotFound), errors.Is(err, session.ErrRevoked):
		return SessionExpired
	case errors.Is(err, session.ErrTooManySessions):
		return TooManySessions
	default:
		return StoreDown
	}
}

func (a *Auth) problem(err error) Problem {
	p := Problem{Reason: reasonOf(err), Err: err, RequestID: rand.Text()[:12]}
	words, ok := wordings[p.Reason]
	if !ok { // the application's own reason
		words = wording{status: http.StatusForbidden, title: "This is not for you", detail: "Your account may not do this."}
	}
	p.Status, p.Title, p.Detail, p.RetryAfter = words.status, words.title, words.detail, words.retry
	if e, ok := errors.AsType[*refusal](err); ok {
		if e.detail != "" {
			p.Detail = e.detail
		}
		if e.retry > 0 {
			p.RetryAfter = e.retry
		}
		if e.err == nil {
			p.Err = nil
		}
	}
	switch {
	case p.Status < 403:
		p.LoginPath = a.site.mount + "/" + routeLogin
		if p.Reason == LoginTooOld {
			p.LoginPath += "?fresh=" + freshAsked // the plain one can be silent, and would not help
		}
	case p.Status == 403 && p.Reason != CrossSiteRequest, p.Reason == LogoutUnconfirmed:
		p.LogoutPath = a.site.mount + "/" + routeLogout
	}
	return p
}

// serveProblem answers a request that goes no further: a page for people, JSON for
// programs, one line for the log.
func (a *Auth) serveProblem(w http.ResponseWriter, r *http.Request, err error) {
	a.answerProblem(w, r, a.problem(err))
}

func (a *Auth) answerProblem(w http.ResponseWriter, r *http.Request, p Problem) {
	a.report(r, p)
	h := w.Header()
	h["Cache-Control"] = noStore
	h.Set("Referrer-Policy", "no-referrer")
	addVary(h)
	if p.RetryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(int((p.RetryAfter+time.Second-1)/time.Second)))
	}
	switch {
	case !wantsPage(r):
		writeJSONProblem(w, p)
	case a.errorPage != nil:
		page := &statusWriter{ResponseWriter: w, status: p.Status}
		a.errorPage(page, r, p)
		if !page.wrote { // or net/http would say 200
			page.WriteHeader(p.Status)
		}
	default:
		a.servePage(w, r, p.Status, problemPage(r, p))
	}
}

// report writes the one log line of a refusal, unless there are too many of its reason,
// and calls the hook. The address is logged without its query, which can hold a token.
func (a *Auth) report(r *http.Request, p Problem) {
	level := slog.LevelWarn
	switch {
	case errors.Is(p.Err, context.Canceled) && r.Context().Err() != nil:
		// The visitor has left: nobody's fault.
		a.log.DebugContext(r.Context(), "idxauth: visitor left", "path", r.URL.Path)
		return
	case p.Status >= 500:
		level = slog.LevelError
	case p.Reason == LoginRequired || p.Reason == SessionExpired:
		level = slog.LevelDebug // everyday
	}
	ctx := r.Context()
	a.log.limited(ctx, level, "idxauth: request refused", p.Reason,
		slog.Int("status", p.Status), slog.String("request_id", p.RequestID),
		slog.String("method", r.Method), slog.String("path", r.URL.Path),
		slog.Any("error", p.Err))
	a.runHook(ctx, p)
}

func (a *Auth) runHook(ctx context.Context, p Problem) {
	if p.Status >= 500 {
		if a.hooks.OnError != nil {
			a.hooks.OnError(ctx, p)
		}
		return
	}
	if a.hooks.OnDenied != nil {
		a.hooks.OnDenied(ctx, p)
	}
}

// writeJSONProblem follows RFC 9457. Its own members are code, login and request_id.
func writeJSONProblem(w http.ResponseWriter, p Problem) {
	body, err := json.Marshal(struct {
		Type      string `json:"type"`
		Title     string `json:"title"`
		Status    int    `json:"status"`
		Detail    string `json:"detail"`
		Code      Reason `json:"code"`
		Login     string `json:"login,omitempty"`
		RequestID string `json:"request_id"`
	}{"about:blank", p.Title, p.Status, p.Detail, p.Reason, p.LoginPath, p.RequestID})
	if err != nil {
		panic(err) // strings and numbers always encode
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(p.Status)
	w.Write(append(bytes.TrimSpace(body), '\n'))
}

// statusWriter gives an error page its status where the page writes none.
type statusWriter struct {
	http.ResponseWriter
	status int
	wrote  bool
}

func (w *statusWriter) WriteHeader(status int) {
	w.wrote = w.wrote || status >= 200 // 1xx are followed by the answer
	w.ResponseWriter.WriteHeader(status)
}

func (w *statusWriter) Write(p []byte) (int, error) {
	if !w.wrote {
		w.WriteHeader(w.status)
	}
	return w.ResponseWriter.Write(p)
}

func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
