package idx

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Client calls the API of one LoginRadius app. It is immutable and safe for
// concurrent use. Make one with [New].
type Client struct {
	app *app
}

// app is what New makes of a Config. Nothing in it changes, except the balance
// of the retry budget.
type app struct {
	name    string
	creds   *credentials
	hub     string // origin
	api     string // origin
	fields  string // the fields parameter; "" asks for everything
	http    *http.Client
	timeout time.Duration // of a call with its retries
	retries *retryBudget

	users, management *breaker // of calls in a user's name, in the application's
}

// credentials are two pointers away from a Client. Package fmt does not ask the
// methods of a Client in somebody's unexported field, and follows one pointer in
// it if the verb is a wrong one.
type credentials struct {
	key     string
	secret  string
	webhook []string // keys of signatures
}

// New checks cfg, without I/O, and reports all of its problems in one error.
func New(cfg Config) (*Client, error) {
	var errs []error
	check := func(field string, err error) {
		if err != nil {
			errs = append(errs, fmt.Errorf("idx: %s %w", field, err))
		}
	}
	check("AppName", checkAppName(cfg.AppName))
	check("APIKey", checkKey(cfg.APIKey))
	check("APIKey", checkPair(cfg.APIKey, cfg.APISecret))
	check("APISecret", checkSecret(cfg.APISecret))
	check("WebhookSecrets", checkWebhookSecrets(cfg.WebhookSecrets))
	hub, err := cfg.hub()
	check("HubURL", err)
	api, err := cfg.api()
	check("APIURL", err)
	fields, err := cfg.projection()
	check("Fields", err)
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}

	client, timeout := apiClient(cfg.HTTPClient)
	return &Client{app: &app{
		name:    cfg.AppName,
		creds:   &credentials{key: cfg.APIKey, secret: string(cfg.APISecret), webhook: cfg.webhookSecrets()},
		hub:     hub,
		api:     api,
		fields:  fields,
		http:    client,
		timeout: timeout,
		retries: newRetryBudget(),

		users: newBreaker(), management: newBreaker(),
	}}, nil
}

// Format implements [fmt.Formatter]: whatever the verb, only the app's name is
// printed.
func (c Client) Format(f fmt.State, verb rune) {
	if c.app == nil {
		io.WriteString(f, "idx.Client()")
		return
	}
	io.WriteString(f, "idx.Client("+c.app.name+")")
}

// HasSecret reports whether an API secret is configured, which Account and
// Roles need.
func (c *Client) HasSecret() bool { return c.app.creds.secret != "" }

// Profile returns the profile of the user to whom token was issued. The error
// is [ErrTokenInvalid] if the token has expired, was revoked or never existed,
// [ErrAccountDenied] if the account may not sign in, [ErrConfig] if the API does
// not accept the application, and [ErrRateLimited] or [ErrUnavailable] if no
// usable answer came in time.
//
// A nil error is not yet leave to sign in: the profile of a blocked or deleted
// account is returned like any other where the API returns it. Check IsActive
// and IsDeleted.
func (c *Client) Profile(ctx context.Context, token Token) (*Profile, error) {
	profile, err := c.app.profile(ctx, request{path: "/identity/v2/auth/account", token: token})
	if err != nil {
		return nil, fmt.Errorf("idx: profile: %w", err)
	}
	return profile, nil
}

// Validate returns when token expires. Errors as for Profile. Where the tenant
// has sliding expiration, the time moves with every use of the token.
func (c *Client) Validate(ctx context.Context, token Token) (expires time.Time, err error) {
	expires, err = c.app.validate(ctx, token)
	if err != nil {
		return time.Time{}, fmt.Errorf("idx: validate: %w", err)
	}
	return expires, nil
}

// Invalidate ends token at the API and keeps it from being refreshed. A token
// that is already invalid is no error.
func (c *Client) Invalidate(ctx context.Context, token Token) error {
	if err := c.app.invalidate(ctx, token); err != nil {
		return fmt.Errorf("idx: invalidate: %w", err)
	}
	return nil
}

// Account returns the profile of the account uid through the management API,
// whatever the state of its tokens. It is [ErrNoSecret] without an API secret
// and [ErrAccountDenied] if there is no such account; otherwise the errors are
// those of Profile, and as there, IsActive and IsDeleted are the caller's to
// check. No call is made for a uid that could name something else in the API's
// paths, such as "../x"; it counts as no such account.
func (c *Client) Account(ctx context.Context, uid string) (*Profile, error) {
	profile, err := c.app.account(ctx, uid)
	if err != nil {
		return nil, fmt.Errorf("idx: account: %w", err)
	}
	return profile, nil
}

// Roles returns the roles of the account uid through the management API, nil if
// it has none. Errors as for Account.
func (c *Client) Roles(ctx context.Context, uid string) ([]string, error) {
	roles, err := c.app.roles(ctx, uid)
	if err != nil {
		return nil, fmt.Errorf("idx: roles: %w", err)
	}
	return roles, nil
}

// profile makes a call that answers with a profile.
func (a *app) profile(ctx context.Context, req request) (*Profile, error) {
	if a.fields != "" {
		req.query = url.Values{"fields": {a.fields}}
	}
	obj, err := a.get(ctx, req)
	if err != nil {
		return nil, err
	}
	return decodeProfile(obj)
}

func (a *app) account(ctx context.Context, uid string) (*Profile, error) {
	path, err := a.accountPath(uid)
	if err != nil {
		return nil, err
	}
	return a.profile(ctx, request{path: path, management: true})
}

func (a *app) validate(ctx context.Context, token Token) (time.Time, error) {
	obj, err := a.get(ctx, request{path: "/identity/v2/auth/access_token/Validate", token: token, aside: true})
	if err != nil {
		return time.Time{}, err
	}
	r := reader{obj: obj}
	expires := r.time("expires_in")
	if r.err == nil && expires.IsZero() {
		r.fail("expires_in is not a date")
	}
	return expires, r.failure(ErrUnavailable)
}

func (a *app) invalidate(ctx context.Context, token Token) error {
	if !token.wellFormed() {
		return nil // no token, so nothing to end
	}
	obj, err := a.get(ctx, request{
		path:      "/identity/v2/auth/access_token/InValidate",
		query:     url.Values{"preventRefresh": {"true"}},
		token:     token,
		insistent: true, // of whoever signs out
		aside:     true,
	})
	if apiErr, ok := errors.AsType[*APIError](err); ok && apiErr.endsToken() {
		return nil
	}
	if err != nil {
		return err
	}
	r := reader{obj: obj}
	if posted := r.flag("IsPosted", true); r.err == nil && !posted {
		r.fail("IsPosted is false")
	}
	return r.failure(ErrUnavailable)
}

func (a *app) roles(ctx context.Context, uid string) ([]string, error) {
	path, err := a.accountPath(uid)
	if err != nil {
		return nil, err
	}
	obj, err := a.get(ctx, request{path: path + "/role", management: true})
	if err != nil {
		return nil, err
	}
	r := reader{obj: obj}
	return r.roles("Roles"), r.failure(ErrUnavailable)
}

// accountPath returns the management API's path of the account uid.
func (a *app) accountPath(uid string) (string, error) {
	switch {
	case a.creds.secret == "":
		return "", ErrNoSecret
	// Escaping alone keeps a request from reaching another endpoint only if
	// nothing behind the API's door decodes the path once more.
	case !isID(uid) || uid == "." || uid == ".." || strings.ContainsAny(uid, `/\?#%;`):
		return "", fmt.Errorf("%w: uid is not one", ErrAccountDenied)
	}
	return "/identity/v2/manage/account/" + url.PathEscape(uid), nil
}
