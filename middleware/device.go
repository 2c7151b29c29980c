package middleware

import (
	"net/http"
	"net/netip"
	"strings"
)

// What a request says about the device it comes from, for its user to recognise it by.
// Nothing is decided by it: headers say what their sender likes.

// deviceName returns words such as "Firefox on Windows", or "" if nothing is recognised.
// All of them are ours, so a name is short and harmless wherever it is shown.
func deviceName(h http.Header) string {
	agent := bounded(h.Get("User-Agent"))
	browser := hintedBrowser(bounded(h.Get("Sec-CH-UA")))
	if browser == "" {
		browser = firstIn(agent, agentBrowsers)
	}
	if browser == "Safari" && !strings.Contains(agent, "Version/") {
		browser = "" // any program that shows pages on Apple's systems
	}
	// A hint names the platform and not the device; the agent tells an iPad from an iPhone.
	system := hintedSystem(bounded(h.Get("Sec-CH-UA-Platform")))
	if system == "" {
		system = firstIn(agent, agentSystems)
	}
	switch {
	case browser == "" && system == "":
		return ""
	case browser == "":
		return "Unknown browser on " + system
	case system == "":
		return browser
	}
	return browser + " on " + system
}

// bounded cuts what is searched. Real ones have some 200 bytes.
func bounded(value string) string { return value[:min(len(value), 1024)] }

// clue is what stands in a header, and what it says.
type clue struct{ text, name string }

// In both lists the first one found counts, because most browsers also say that they are
// others, and Android says that it is Linux.
var (
	agentBrowsers = []clue{
		{"Edg/", "Edge"}, {"EdgA/", "Edge"}, {"EdgiOS/", "Edge"}, {"OPR/", "Opera"}, {"OPiOS/", "Opera"},
		{"SamsungBrowser/", "Samsung Internet"}, {"Vivaldi/", "Vivaldi"}, {"YaBrowser/", "Yandex Browser"},
		{"DuckDuckGo/", "DuckDuckGo"}, {"Ddg/", "DuckDuckGo"}, {"FxiOS/", "Firefox"}, {"Firefox/", "Firefox"},
		{"CriOS/", "Chrome"}, {"HeadlessChrome/", "Chrome"}, {"Chromium/", "Chromium"}, {"Chrome/", "Chrome"},
		{"Safari/", "Safari"}, {"curl/", "curl"}, {"Go-http-client/", "a Go program"}, {"python-requests/", "a Python program"},
	}
	agentSystems = []clue{
		{"iPhone", "iPhone"}, {"iPad", "iPad"}, {"Android", "Android"}, {"CrOS", "ChromeOS"}, {"Windows", "Windows"},
		{"Macintosh", "macOS"}, {"Linux", "Linux"}, {"FreeBSD", "FreeBSD"}, {"OpenBSD", "OpenBSD"},
	}

	// Client hints quote the names (W3C UA Client Hints, 3.1), among made-up ones.
	hintBrowsers = []clue{
		{`"Microsoft Edge"`, "Edge"}, {`"Opera"`, "Opera"}, {`"Brave"`, "Brave"}, {`"Vivaldi"`, "Vivaldi"},
		{`"Samsung Internet"`, "Samsung Internet"}, {`"YaBrowser"`, "Yandex Browser"}, {`"DuckDuckGo"`, "DuckDuckGo"},
		{`"Google Chrome"`, "Chrome"}, {`"HeadlessChrome"`, "Chrome"}, {`"Chromium"`, "Chromium"},
	}
	hintSystems = []clue{
		{`"Windows"`, "Windows"}, {`"macOS"`, "macOS"}, {`"Linux"`, "Linux"}, {`"Android"`, "Android"},
		{`"Chrome OS"`, "ChromeOS"}, {`"Chromium OS"`, "ChromeOS"},
	}
)

func hintedBrowser(hint string) string { return firstIn(hint, hintBrowsers) }
func hintedSystem(hint string) string  { return firstIn(hint, hintSystems) }

func firstIn(value string, clues []clue) string {
	for _, s := range clues {
		if strings.Contains(value, s.text) {
			return s.name
		}
	}
	return ""
}

const localNetwork = "local network"

// networkOf returns where the request comes from, coarsely: enough to tell home from
// elsewhere, and not whose line it is.
func (a *Auth) networkOf(r *http.Request) string {
	if a.clientIP != nil {
		return coarse(a.clientIP(r))
	}
	// The connection's own address. Forwarded headers are anybody's.
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return ""
	}
	return coarse(peer.Addr())
}

// sharedRange is what carriers and clusters use inside (RFC 6598).
var sharedRange = netip.MustParsePrefix("100.64.0.0/10")

// coarse returns the /24 of an IPv4 address, the /48 of an IPv6 one.
func coarse(addr netip.Addr) string {
	addr = addr.Unmap().WithZone("")
	bits := 48
	if addr.Is4() {
		bits = 24
	}
	switch {
	case !addr.IsValid() || addr.IsUnspecified():
		return ""
	case addr.IsPrivate(), addr.IsLoopback(), addr.IsLinkLocalUnicast(), sharedRange.Contains(addr):
		return localNetwork
	}
	return netip.PrefixFrom(addr, bits).Masked().String()
}
