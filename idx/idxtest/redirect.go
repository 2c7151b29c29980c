package idxtest

import (
	"errors"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"
)

// What the default script of the hosted page does with its own address
// (LoginRadius/hosted-page, default-auth-before-script.js), to the letter.
// Where it is careless, so is this: applications have to live with it.

var errMalformedEscape = errors.New("malformed percent-encoding")

// parseQuery parses a query string as the script does:
//
//	location.search.replace("?", ""), split at "&", each part split at "=",
//	elements 0 and 1 through decodeURIComponent
//
// Hence "+" stays "+", what follows a second "=" is lost, the last of two equal
// keys wins, and a part without "=" has the value "undefined". On a malformed
// escape the script dies, which is the error.
func parseQuery(raw string) (map[string]string, error) {
	query := make(map[string]string)
	for part := range strings.SplitSeq(raw, "&") {
		fields := append(strings.Split(part, "="), "undefined")
		key, err := decodeURIComponent(fields[0])
		if err != nil {
			return nil, err
		}
		value, err := decodeURIComponent(fields[1])
		if err != nil {
			return nil, err
		}
		query[key] = value
	}
	return query, nil
}

func decodeURIComponent(s string) (string, error) {
	decoded, err := url.PathUnescape(s) // unlike QueryUnescape, it leaves "+" alone
	if err != nil || !utf8.ValidString(decoded) {
		return "", errMalformedEscape
	}
	return decoded, nil
}

// appendPair returns the address to which the script sends the browser: plain
// concatenation, without regard to a fragment or to parameters already there.
func appendPair(returnURL, name, value string) string {
	separator := "?"
	if strings.Contains(returnURL, "?") {
		separator = "&"
	}
	return returnURL + separator + name + "=" + value
}

// verificationPage returns the address that a verification mail links to, less
// vtype and vtoken, made from that of the page on which the user registered.
// The action is cut out as text, so it stays unless it comes first.
func verificationPage(pageURL string) string {
	return strings.Replace(pageURL, "action=register&", "", 1)
}

// resetPage is the same for a mail about a forgotten password. The script's
// helper decodes the whole address and keeps what precedes the second "?": the
// query of the return URL, and with it the application's state, is lost.
func resetPage(pageURL string) string {
	page := strings.Replace(pageURL, "action=forgotpassword&", "", 1)
	if decoded, err := decodeURIComponent(page); err == nil {
		page = decoded
	}
	before, after, _ := strings.Cut(page, "?")
	after, _, _ = strings.Cut(after, "?")
	if after == "" {
		return before
	}
	return before + "?" + after
}

// allows reports whether the tenant lets the hub send a browser to returnURL.
// own is the hub's own origin, which needs no entry.
func (set *Settings) allows(returnURL, own string) bool {
	if set.Whitelist == WhitelistOff || returnURL == own || strings.HasPrefix(returnURL, own+"/") {
		return true
	}
	if set.Whitelist == WhitelistPrefix {
		return slices.ContainsFunc(set.Whitelisted, func(entry string) bool { return entry != "" && strings.HasPrefix(returnURL, entry) })
	}
	target, err := url.Parse(returnURL)
	if err != nil || target.Host == "" || target.Scheme != "http" && target.Scheme != "https" {
		return false
	}
	return slices.ContainsFunc(set.Whitelisted, func(entry string) bool { return sameHost(entry, target, set.Whitelist) })
}

// sameHost compares the host of an entry, such as localhost or
// https://app.example:8443, with that of target.
func sameHost(entry string, target *url.URL, mode Whitelist) bool {
	if !strings.Contains(entry, "://") {
		entry = target.Scheme + "://" + entry
	}
	e, err := url.Parse(entry)
	if err != nil || !strings.EqualFold(e.Hostname(), target.Hostname()) {
		return false
	}
	return mode == WhitelistHost || portOf(e) == portOf(target)
}

func portOf(u *url.URL) string {
	switch {
	case u.Port() != "":
		return u.Port()
	case u.Scheme == "https":
		return "443"
	}
	return "80"
}
