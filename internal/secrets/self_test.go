package secrets

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/idxauth/idxauth/internal/redistest"
)

// TestPlantedLeaksAreFound lets a secret out by each of the ways, in each of the forms:
// a search that cannot find anything would prove nothing.
func TestPlantedLeaksAreFound(t *testing.T) {
	const token = "3f9a1c57-8e2b-4d60-a7f4-6b0c9d5e1823"
	forms := map[string]string{
		"as it is":      token,
		"upper case":    strings.ToUpper(token),
		"the beginning": token[:14],
		"the middle":    token[9:23],
		"the end":       token[len(token)-13:],
		"base64":        base64.StdEncoding.EncodeToString([]byte(token)),
		"base64 later":  base64.RawURLEncoding.EncodeToString([]byte("x=" + token)),
		"base64 later2": base64.StdEncoding.EncodeToString([]byte("y" + token)),
		"hex":           hex.EncodeToString([]byte(token)),
		"%X":            fmt.Sprintf("%X", token),
		"%d of bytes":   fmt.Sprintf("%d", []byte(token)),
		"%q":            fmt.Sprintf("%q", token),
		"percent":       strings.ReplaceAll(url.QueryEscape(token), "-", "%2D"),
	}
	for name, form := range forms {
		r := newRecord()
		r.enter(accessToken, token)
		for _, s := range allSinks {
			r.keep(s, "somewhere", "before "+form+" after")
		}
		if found := len(r.leaks()); found != len(allSinks) {
			t.Errorf("%s: found in %d of %d sinks", name, found, len(allSinks))
		}
	}
}

// TestPlantedLeaksArrive lets a secret out at the far end of each way, where the product
// would, and looks whether it gets into the record.
func TestPlantedLeaksArrive(t *testing.T) {
	const token = "3f9a1c57-8e2b-4d60-a7f4-6b0c9d5e1823"
	plants := map[sink]func(r *record){
		logText: func(r *record) { r.logger().Debug("x", "t", token) },
		logServer: func(r *record) {
			log.New(writer{r, logServer}, "", 0).Print(token)
		},
		logRedis:  func(r *record) { redisLog{r}.Printf(t.Context(), "%s", token) },
		hookError: func(r *record) { r.keepError(hookError, "", fmt.Errorf("x: %w", errors.New(token))) },
		anError:   func(r *record) { r.keepError(anError, "", errors.Join(errors.New("x"), hidden{token})) },
		printed: func(r *record) {
			r.print("x", struct{ secret *string }{ptr(token)})
			r.print("x", &struct{ S string }{token})
		},
		answerHead: func(r *record) {
			(&app{record: r}).keepAnswer("/", http.Header{"Location": {"/x?token=" + token}}, "")
		},
		answerBody: func(r *record) { (&app{record: r}).keepAnswer("/", nil, "<p>"+token) },
		apiAddress: func(r *record) { askTap(r, "http://127.0.0.1:1/"+token, "") },
		apiHead:    func(r *record) { askTap(r, "http://127.0.0.1:1/", token) },
		redisSaid: func(r *record) {
			_, address := r.lockedRedis(t)
			r.monitor(t, address)
			client(t, address).Set(t.Context(), "x", "\x00"+token+"\xff", 0)
			redistest.Eventually(t, "MONITOR tells of it", func() bool { return len(r.leaks()) > 0 })
		},
		redisKept: func(r *record) {
			_, address := r.lockedRedis(t)
			client(t, address).Set(t.Context(), token, "x", 0)
			r.dump(t, client(t, address))
		},
		processSays: func(r *record) { (&follower{record: r}).Write([]byte(token)) },
	}
	for _, s := range allSinks {
		plant := plants[s]
		if s == logJSON { // with the other form
			plant = plants[logText]
		}
		r := newRecord()
		r.enter(accessToken, token)
		plant(r)
		arrived := false
		for _, l := range r.leaks() {
			arrived = arrived || l.sink == s
		}
		if !arrived {
			t.Errorf("a secret that came out of %q is not in the record", s)
		}
	}
}

// TestAllowedPlacesAreNarrow looks whether the table allows more than it says.
func TestAllowedPlacesAreNarrow(t *testing.T) {
	const hub = "http://hub.example"
	table := rules(hub)
	for _, e := range []struct {
		entry
		kind kind
	}{
		{entry{sink: answerHead, place: "Set-Cookie my-app-login", text: "x"}, sessionToken},
		{entry{sink: answerHead, place: "Set-Cookie my-app-session", text: "x"}, accessToken},
		{entry{sink: answerHead, place: "Location from /auth/login", text: "http://other.example/auth.aspx?action=login"}, loginState},
		{entry{sink: answerHead, place: "Location from /auth/login", text: hub + "/auth.aspx?action=login"}, accessToken},
		{entry{sink: answerHead, place: "Location from /auth/callback", text: "http://localhost/x"}, accessToken},
		{entry{sink: apiHead, place: "Authorization to /identity/v2/manage/account/x", text: "Bearer x"}, accessToken},
		{entry{sink: apiHead, place: "X-Loginradius-Apisecret to /identity/v2/auth/account", text: "x"}, apiSecret},
		{entry{sink: apiAddress, place: "/identity/v2/auth/account", text: "x"}, accessToken},
		{entry{sink: logText, text: "x"}, userID},
		{entry{sink: redisKept, text: "x"}, profileData},
	} {
		if isAllowed(table, e.entry, e.kind) {
			t.Errorf("%s %q may hold the %s", e.sink, e.place, e.kind)
		}
	}
}

type hidden struct{ text string }

func (hidden) Error() string { return "nothing to see" }

func ptr(s string) *string { return &s }

func askTap(r *record, address, token string) {
	api := &tap{record: r}
	api.answer(func(*http.Request, string) (*http.Response, error) { return says(200, nil, "{}") })
	req, err := http.NewRequest("GET", address, nil)
	if err != nil {
		panic(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	api.RoundTrip(req)
}
