package idx

import (
	"errors"
	"net/http"
	"regexp"
	"slices"
	"strings"
)

// Config describes one LoginRadius app. The zero value of a field means the
// default named there; AppName and APIKey have none.
type Config struct {
	// AppName is the first label of the hub's host: my-app for
	// https://my-app.hub.loginradius.com. One DNS label in lower case; required
	// even if HubURL replaces that host.
	AppName string

	// APIKey identifies the app to the API. It is public.
	APIKey string

	// APISecret opens the management API ([Client.Account], [Client.Roles]) and
	// is the key to webhooks, unless WebhookSecrets names others.
	// Optional. It is sent in a header and only on management calls. See [Secret]
	// for the one way to print it by mistake.
	APISecret Secret

	// WebhookSecrets are the secrets with which LoginRadius signs webhooks
	// ([Client.ParseWebhook]); if empty, APISecret alone. A subscription can name
	// another secret of the app, and for some minutes after a secret was reset the
	// old one still signs: list all that may sign. None may be empty.
	WebhookSecrets []Secret

	// HubURL is the origin of the hosted page where a custom domain or a test
	// server replaces https://{AppName}.hub.loginradius.com. https, or http on a
	// loopback host (localhost, 127.0.0.0/8, ::1); no path, not even a slash.
	HubURL string

	// APIURL is the origin of the API; if empty, https://api.loginradius.com.
	// The same rules as for HubURL.
	APIURL string

	// Fields are the profile keys asked for, as the API spells them; if nil,
	// [DefaultFields]. The keys that decide who gets in (Uid, IsActive,
	// IsDeleted, IsLoginLocked, EmailVerified, Roles) are always added.
	// []string{"*"} asks for the whole profile.
	Fields []string

	// HTTPClient makes the API calls; if nil, one with a timeout of 5 s. New
	// copies it and lets the copy follow no redirects, so that credentials
	// never reach another host. Its Timeout bounds a call together with its
	// retries; 0 means 5 s here. A connection of HTTP/1 is used for one call, so
	// that nothing behind an answer passes for the answer to somebody else's; do
	// not wrap its transport in one that copies requests, where the API speaks
	// HTTP/1. Connections of HTTP/2 are used again.
	HTTPClient *http.Client
}

const defaultAPIURL = "https://api.loginradius.com"

// hub returns the origin of the hosted page.
func (cfg Config) hub() (string, error) {
	if cfg.HubURL == "" {
		return "https://" + cfg.AppName + ".hub.loginradius.com", nil
	}
	return origin(cfg.HubURL)
}

// api returns the origin of the API.
func (cfg Config) api() (string, error) {
	if cfg.APIURL == "" {
		return defaultAPIURL, nil
	}
	return origin(cfg.APIURL)
}

// decidingFields are asked for whatever Config.Fields says: without them nobody
// could tell who the user is and whether to let them in.
var decidingFields = []string{"Uid", "IsActive", "IsDeleted", "IsLoginLocked", "EmailVerified", "Roles"}

// projection returns the value of the API's fields parameter, or "" for the
// whole profile.
func (cfg Config) projection() (string, error) {
	fields := cfg.Fields
	if fields == nil {
		fields = DefaultFields
	}
	if slices.Contains(fields, "*") {
		return "", nil
	}
	var list []string
	for _, field := range slices.Concat(decidingFields, fields) {
		if !isVisible(field) {
			return "", errors.New("hold something that is no profile key")
		}
		if !slices.ContainsFunc(list, func(s string) bool { return strings.EqualFold(s, field) }) {
			list = append(list, field)
		}
	}
	return strings.Join(list, ","), nil
}

// No check shows the value: it may be a secret that was pasted into the wrong field.

func checkKey(key string) error {
	switch {
	case key == "":
		return errors.New("is empty: copy it from the LoginRadius console")
	case !isVisible(key):
		return errors.New("has spaces, control characters or non-ASCII characters")
	}
	return nil
}

// checkPair keeps a secret out of the query of every call.
func checkPair(key string, secret Secret) error {
	if key != "" && key == string(secret) {
		return errors.New("is the API secret: want the key beside it")
	}
	return nil
}

func checkSecret(secret Secret) error {
	if secret != "" && !isVisible(string(secret)) {
		return errors.New("has spaces, control characters or non-ASCII characters")
	}
	return nil
}

func checkWebhookSecrets(secrets []Secret) error {
	for _, secret := range secrets {
		if secret == "" {
			return errors.New("has an empty one: everybody could sign with it")
		}
		if err := checkSecret(secret); err != nil {
			return err
		}
	}
	return nil
}

// webhookSecrets returns the keys that may sign webhooks, none if there is no secret.
func (cfg Config) webhookSecrets() []string {
	secrets := cfg.WebhookSecrets
	if len(secrets) == 0 && cfg.APISecret != "" {
		secrets = []Secret{cfg.APISecret}
	}
	var keys []string
	for _, secret := range secrets {
		keys = append(keys, string(secret))
	}
	return keys
}

// credential is the form of LoginRadius' keys and secrets. It is that of a DNS label
// too: as AppName, a secret would stand in every address and every cookie's name.
var credential = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

func checkAppName(name string) error {
	switch {
	case !isDNSLabel(name):
		return errors.New("is not one DNS label in lower case, such as my-app")
	case credential.MatchString(name):
		return errors.New("has the form of a key or a secret: want a name such as my-app")
	}
	return nil
}

// isVisible reports whether s is not empty and has only visible ASCII characters.
func isVisible(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return s != ""
}
