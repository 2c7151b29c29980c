package idx_test

import (
	"strings"
	"testing"

	"github.com/idxauth/idxauth/idx"
)

func TestNewAppName(t *testing.T) {
	label63 := strings.Repeat("a", 63)
	for _, name := range []string{"a", "0", "my-app", "a--b", "1password", label63} {
		if _, err := idx.New(idx.Config{AppName: name, APIKey: testKey}); err != nil {
			t.Errorf("New with AppName %q: %v", name, err)
		}
	}
	for _, name := range []string{
		"", "evil.example/", "evil.example#", "evil.example?", "a@evil.example/", "x/../..", "127.0.0.1/", "[::1]/",
		"a.b", "a_b", "-a", "a-", "-", "My-App", "A", " a", "a ", "a b", "a\n", "\na", "a\r\nb", "a\x00", "a\t",
		"ä", "\u212aelvin", "a%2f", `a\`, "a:80", label63 + "a",
	} {
		if _, err := idx.New(idx.Config{AppName: name, APIKey: testKey}); err == nil {
			t.Errorf("New accepts AppName %q", name)
		}
	}
}

func TestNewOrigins(t *testing.T) {
	tests := []struct{ in, want string }{
		{"https://login.example.com", "https://login.example.com"},
		{"https://login.example.com:8443", "https://login.example.com:8443"},
		{"HTTPS://Login.Example.COM", "https://login.example.com"},
		{"https://192.0.2.1", "https://192.0.2.1"},
		{"https://[2001:db8::1]:8443", "https://[2001:db8::1]:8443"},
		{"http://localhost:8080", "http://localhost:8080"},
		{"http://LOCALHOST", "http://localhost"},
		{"http://127.0.0.1:1", "http://127.0.0.1:1"},
		{"http://127.8.9.10", "http://127.8.9.10"},
		{"http://[::1]:65535", "http://[::1]:65535"},
	}
	for _, tt := range tests {
		client, err := idx.New(idx.Config{AppName: "my-app", APIKey: testKey, HubURL: tt.in, APIURL: tt.in})
		if err != nil {
			t.Errorf("New with HubURL and APIURL %q: %v", tt.in, err)
			continue
		}
		if got := client.HubOrigin(); got != tt.want {
			t.Errorf("HubOrigin with HubURL %q = %q, want %q", tt.in, got, tt.want)
		}
	}
	for _, in := range []string{
		" ", "login.example.com", "//login.example.com", "/", "https:", "https://", "https:///x", "https:login.example.com",
		"http://login.example.com", "http://192.0.2.1", "http://0.0.0.0", "http://[::]", "http://127.1",
		"http://localhost.evil.example", "http://evil.example#localhost", "http://localhost@evil.example",
		"http://127.0.0.1.evil.example", "http://localho\u017ft",
		"https://login.example.com/", "https://login.example.com/x", "https://login.example.com?", "https://login.example.com?x=1",
		"https://login.example.com#", "https://login.example.com#x", "https://user@login.example.com",
		"https://user:pass@login.example.com", "https://@login.example.com", "https://login.example.com:", "https://login.example.com:0",
		"https://login.example.com:65536", "https://login.example.com:x", "https://[fe80::1%25eth0]", "https://[::1", "https://[evil.example]",
		"https://a..b", "https://.a", "https://a.", "https://a_b", "https://a%2fb", "https://a%00b", "https://ä.example", "https://\u212aelvin.example",
		`https://a\b`, "https://a b", "https://a\n", "\thttps://a", "ftp://a", "javascript://a", "https://-a.example",
	} {
		if _, err := idx.New(idx.Config{AppName: "my-app", APIKey: testKey, HubURL: in}); err == nil {
			t.Errorf("New accepts HubURL %q", in)
		}
		if _, err := idx.New(idx.Config{AppName: "my-app", APIKey: testKey, APIURL: in}); err == nil {
			t.Errorf("New accepts APIURL %q", in)
		}
	}
}

func TestNewReportsAllProblems(t *testing.T) {
	_, err := idx.New(idx.Config{
		APISecret: "trout\nfish",
		HubURL:    "https://user:hunter2@login.example.com",
		APIURL:    "http://api.example.com",
		Fields:    []string{"Uid", "two keys"},
	})
	if err == nil {
		t.Fatal("New accepts it")
	}
	for _, field := range []string{"AppName", "APIKey", "APISecret", "HubURL", "APIURL", "Fields"} {
		if !strings.Contains(err.Error(), "idx: "+field) {
			t.Errorf("error does not name %s:\n%v", field, err)
		}
	}
	for _, secret := range []string{"hunter2", "trout"} {
		if strings.Contains(err.Error(), secret) {
			t.Errorf("error shows %q:\n%v", secret, err)
		}
	}
}

func TestNewKeyAndSecret(t *testing.T) {
	for _, value := range []string{" ", "a b", "a\n", "a\x7f", "schlüssel", "\x00"} {
		_, err := idx.New(idx.Config{AppName: "my-app", APIKey: value})
		if err == nil {
			t.Errorf("New accepts APIKey %q", value)
		}
		_, err = idx.New(idx.Config{AppName: "my-app", APIKey: testKey, APISecret: idx.Secret(value)})
		if err == nil {
			t.Errorf("New accepts APISecret %q", value)
		}
	}
	if mustNew(t, idx.Config{}).HasSecret() {
		t.Error("HasSecret without a secret = true")
	}
	if !mustNew(t, idx.Config{APISecret: testSecret}).HasSecret() {
		t.Error("HasSecret with a secret = false")
	}
}
