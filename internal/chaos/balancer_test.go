package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestBalancerRepeatsWhatWasNotBegun sends a webhook to an instance that closes the
// connection without a word.
func TestBalancerRepeatsWhatWasNotBegun(t *testing.T) {
	server := func(h http.HandlerFunc) *instance {
		s := httptest.NewServer(h)
		t.Cleanup(s.Close)
		return &instance{addr: s.Listener.Addr().String()}
	}
	for _, tt := range []struct {
		name         string
		down, killed bool
		want         bool // to be answered by the other instance
	}{
		{"stopped", true, false, true},
		{"killed", true, true, false},
		{"running", false, false, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ending := server(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
			ending.down.Store(tt.down)
			ending.killed.Store(tt.killed)
			b := newBalancer("app.example", []*instance{server(func(http.ResponseWriter, *http.Request) {}), ending})
			t.Cleanup(b.closeIdle)
			r, err := http.NewRequest(http.MethodPost, "http://app.example/auth/webhook", strings.NewReader("{}"))
			if err != nil {
				t.Fatal(err)
			}
			resp, err := b.RoundTrip(r) // its first turn is that of the second instance
			if err == nil {
				resp.Body.Close()
			}
			if isAnswered := err == nil; isAnswered != tt.want {
				t.Errorf("error %v, want an answer: %v", err, tt.want)
			}
		})
	}
}
