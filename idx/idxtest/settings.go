package idxtest

import (
	"net/http"
	"time"
)

// Settings are the knobs of the tenant: what an operator configures, and what
// LoginRadius does not document. Change them with [Server.Set].
type Settings struct {
	// Headless answers with a redirect (302) where a browser would run the
	// page's script. True in NewServer, false in Start.
	Headless bool

	// Verification says what a user has to do about the e-mail address;
	// VerificationOptional at first.
	Verification Verification

	// LoginAfterVerification signs the user in who follows the link in a
	// verification mail; otherwise the page shows a message and the form. True
	// at first.
	LoginAfterVerification bool

	// Whitelist says how a return URL is compared with Whitelisted;
	// WhitelistOff at first.
	Whitelist Whitelist

	// Whitelisted are the entries: hosts, with or without scheme and port, or
	// beginnings of URLs for WhitelistPrefix. At first http://localhost and
	// http://127.0.0.1, as in a fresh tenant.
	Whitelisted []string

	// IgnoreReturnURL makes the hub go to the profile page instead of a return
	// URL that is not whitelisted. Otherwise it refuses with status 400.
	IgnoreReturnURL bool

	// LogoutInvalidates ends the access token when the user leaves the hub.
	LogoutInvalidates bool

	// LogoutAppends adds action_completed=logout to the return URL of a logout.
	LogoutAppends bool

	// BlockedProfile is the answer to a profile call for a blocked user with a
	// live token; BlockedCode991 at first.
	BlockedProfile BlockedProfile

	// TokenFormat is the form of new access tokens; TokenGUID at first.
	TokenFormat TokenFormat

	// RefreshToken makes Validate tell the refresh token; otherwise it is null.
	// True at first.
	RefreshToken bool

	// Sliding extends an access token to its full lifetime each time it is used.
	Sliding bool

	// TokenLifetime is the lifetime of new access tokens; 15 minutes at first.
	TokenLifetime time.Duration

	// SessionLimit is the number of live access tokens that a user may have; a
	// login beyond it fails with 1338. 0 means no limit.
	SessionLimit int

	// WebhookURL receives a webhook for each event in the tenant, as the package
	// comment lists them; if empty, none is sent. At LoginRadius it has to be https.
	WebhookURL string

	// WebhookTransport carries the webhooks; if nil, one without proxies that trusts
	// the system's certificates. Redirects are not followed.
	WebhookTransport http.RoundTripper

	// WebhookFault spoils the webhooks of all events while it is set.
	WebhookFault WebhookFault
}

// Verification is the tenant's policy for e-mail addresses.
type Verification string

const (
	// VerificationNone sends no mail; addresses stay unverified.
	VerificationNone Verification = "none"
	// VerificationOptional sends a mail and lets the user in at once.
	VerificationOptional Verification = "optional"
	// VerificationRequired lets nobody in before the link in the mail was used:
	// registration ends with action_completed=register and no token, a login
	// with error 970.
	VerificationRequired Verification = "required"
)

// Whitelist is a way to compare a return URL with the tenant's list.
type Whitelist string

const (
	WhitelistOff      Whitelist = "off"       // every return URL is followed, even javascript:
	WhitelistHost     Whitelist = "host"      // host name only; any scheme of the web, any port
	WhitelistHostPort Whitelist = "host+port" // host name and port
	WhitelistPrefix   Whitelist = "prefix"    // the return URL begins with the entry
)

// BlockedProfile is a way to answer a profile call for a blocked user.
type BlockedProfile string

const (
	BlockedCode991  BlockedProfile = "991"      // error 991, account blocked
	BlockedInactive BlockedProfile = "inactive" // the profile, with IsActive false
	BlockedCode938  BlockedProfile = "938"      // error 938, no such user
)

// TokenFormat is the form of an access token.
type TokenFormat string

const (
	TokenGUID TokenFormat = "guid" // 36 characters
	TokenJWE  TokenFormat = "jwe"  // an encrypted JWT, opaque to everyone else: more than 700 characters
)

func defaultSettings() Settings {
	return Settings{
		Verification:           VerificationOptional,
		LoginAfterVerification: true,
		Whitelist:              WhitelistOff,
		Whitelisted:            []string{"http://localhost", "http://127.0.0.1"},
		BlockedProfile:         BlockedCode991,
		TokenFormat:            TokenGUID,
		RefreshToken:           true,
		TokenLifetime:          15 * time.Minute,
	}
}

// Set changes the settings, for all requests from now on. change must not call
// methods of s.
func (s *Server) Set(change func(*Settings)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.tenant.settings)
}
