package middleware

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"
)

var deviceNames = []struct{ agent, brands, platform, want string }{
	{"Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:143.0) Gecko/20100101 Firefox/143.0", "", "", "Firefox on Windows"},
	{"Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0", "", "", "Firefox on Linux"},
	{"Mozilla/5.0 (Android 15; Mobile; rv:143.0) Gecko/143.0 Firefox/143.0", "", "", "Firefox on Android"},
	{"Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) FxiOS/143.0 Mobile/15E148 Safari/605.1.15", "", "", "Firefox on iPhone"},
	{"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Safari/605.1.15", "", "", "Safari on macOS"},
	{"Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Mobile/15E148 Safari/604.1", "", "", "Safari on iPhone"},
	{"Mozilla/5.0 (iPad; CPU OS 17_7 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/140.0.7339.101 Mobile/15E148 Safari/604.1", "", "", "Chrome on iPad"},
	{"Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148", "", "", "Unknown browser on iPhone"},
	{"Mozilla/5.0 (iPad; CPU OS 17_7 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Novelty/1 Mobile/15E148 Safari/604.1", "", "", "Unknown browser on iPad"},
	{"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36", "", "", "Chrome on Windows"},
	{"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36 Edg/140.0.0.0", "", "", "Edge on Windows"},
	{"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0.0.0 Safari/537.36 OPR/122.0.0.0", "", "", "Opera on Windows"},
	{"Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/28.0 Chrome/130.0.0.0 Mobile Safari/537.36", "", "", "Samsung Internet on Android"},
	{"Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36", "", "", "Chrome on ChromeOS"},

	// Hints win: Brave's agent is Chrome's.
	{"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36",
		`"Chromium";v="140", "Not=A?Brand";v="24", "Brave";v="140"`, `"Windows"`, "Brave on Windows"},
	{"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36",
		`"Not;A=Brand";v="99", "Google Chrome";v="140", "Chromium";v="140"`, `"Chrome OS"`, "Chrome on ChromeOS"},
	{"", `"Chromium";v="140", "Novelty";v="1"`, `"Fuchsia"`, "Chromium"},
	{"Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 Chrome/140.0.0.0 Mobile Safari/537.36", `"Novelty";v="1"`, `""`, "Chrome on Android"},

	{"curl/8.5.0", "", "", "curl"},
	{"Go-http-client/1.1", "", "", "a Go program"},
	{"", "", "", ""},
	{"<script>alert(1)</script>", `<b>`, `"<i>"`, ""},
	{strings.Repeat("x", 2000) + " Firefox/143.0", "", "", ""},
}

func TestDeviceName(t *testing.T) {
	for _, tt := range deviceNames {
		h := http.Header{"User-Agent": {tt.agent}, "Sec-Ch-Ua": {tt.brands}, "Sec-Ch-Ua-Platform": {tt.platform}}
		if got := deviceName(h); got != tt.want {
			t.Errorf("deviceName(%.120q, %q, %q) = %q, want %q", tt.agent, tt.brands, tt.platform, got, tt.want)
		}
	}
}

// FuzzDeviceName: whatever a client calls itself, the words are ours.
func FuzzDeviceName(f *testing.F) {
	for _, tt := range deviceNames {
		f.Add(tt.agent, tt.brands, tt.platform)
	}
	known := map[string]bool{"": true, "Unknown browser": true}
	for _, list := range [][]clue{agentBrowsers, hintBrowsers, agentSystems, hintSystems} {
		for _, c := range list {
			known[c.name] = true
		}
	}
	f.Fuzz(func(t *testing.T, agent, brands, platform string) {
		name := deviceName(http.Header{"User-Agent": {agent}, "Sec-Ch-Ua": {brands}, "Sec-Ch-Ua-Platform": {platform}})
		browser, system, _ := strings.Cut(name, " on ")
		if !known[browser] || !known[system] || len(name) > 40 {
			t.Errorf("deviceName(%q, %q, %q) = %q", agent, brands, platform, name)
		}
	})
}

func TestNetworkOf(t *testing.T) {
	for _, tt := range []struct{ remote, want string }{
		{"198.51.100.77:1234", "198.51.100.0/24"},
		{"[::ffff:198.51.100.77]:1234", "198.51.100.0/24"},
		{"[2001:db8:1:2:3:4:5:6]:1234", "2001:db8:1::/48"},
		{"127.0.0.1:1234", "local network"},
		{"[::1]:1234", "local network"},
		{"10.1.2.3:1234", "local network"},
		{"192.168.1.2:1234", "local network"},
		{"172.16.0.9:1234", "local network"},
		{"100.64.3.4:1234", "local network"},
		{"169.254.1.1:1234", "local network"},
		{"[fd00::1]:1234", "local network"},
		{"[fe80::1%eth0]:1234", "local network"},
		{"0.0.0.0:1234", ""},
		{"@", ""}, // a Unix socket
		{"", ""},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = tt.remote
		r.Header.Set("X-Forwarded-For", "203.0.113.5")
		r.Header.Set("Forwarded", "for=203.0.113.5")
		if got := new(Auth).networkOf(r); got != tt.want {
			t.Errorf("networkOf(%q) = %q, want %q", tt.remote, got, tt.want)
		}
	}
	a := &Auth{clientIP: func(r *http.Request) netip.Addr {
		addr, _ := netip.ParseAddr(r.Header.Get("X-Real-Ip"))
		return addr
	}}
	r := httptest.NewRequest("GET", "/", nil)
	if got := a.networkOf(r); got != "" {
		t.Errorf("unknown address: %q", got)
	}
	r.Header.Set("X-Real-Ip", "203.0.113.5")
	if got := a.networkOf(r); got != "203.0.113.0/24" {
		t.Errorf("from the function: %q", got)
	}
}

func TestAgo(t *testing.T) {
	now := time.Now()
	for _, tt := range []struct {
		before time.Duration
		want   string
	}{
		{-time.Hour, "just now"}, // another instance's clock
		{0, "just now"},
		{119 * time.Second, "just now"},
		{2 * time.Minute, "2 minutes ago"},
		{119 * time.Minute, "119 minutes ago"},
		{2 * time.Hour, "2 hours ago"},
		{47 * time.Hour, "47 hours ago"},
		{48 * time.Hour, "2 days ago"},
		{400 * 24 * time.Hour, "400 days ago"},
	} {
		if got := ago(now.Add(-tt.before), now); got != tt.want {
			t.Errorf("ago(%v) = %q, want %q", tt.before, got, tt.want)
		}
	}
	if got := ago(time.Time{}, now); got != "" {
		t.Errorf("of an unknown time: %q", got)
	}
}
