package idxtest

import (
	"crypto/subtle"
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"
)

// routeAPI says which calls there are. auth calls need the API key and, most of them,
// an access token; manage calls need key and secret.
func (s *Server) routeAPI(mux *http.ServeMux) {
	const auth, manage, old = "/identity/v2/auth", "/identity/v2/manage/account", "/api/v2/access_token"
	for pattern, call := range map[string]apiCall{
		"GET " + auth + "/account":                 withToken(getAccount),
		"PUT " + auth + "/account":                 withToken(putAccount),
		"GET " + auth + "/access_token":            withToken(tokenInfo),
		"GET " + auth + "/access_token/validate":   withToken(validate),
		"GET " + auth + "/access_token/invalidate": withToken(invalidate),
		"GET " + auth + "/access_token/refresh":    refreshByBearer,
		"GET " + auth + "/email":                   email,
		"POST " + auth + "/login":                  apiLogin,
		"POST " + auth + "/register":               apiRegister,
		"POST " + auth + "/password":               apiForgot,
		"PUT " + auth + "/password/reset":          apiReset,
		"GET /identity/v2/serverinfo":              serverInfo,

		"GET " + manage:                                           withSecret(findAccount),
		"POST " + manage:                                          withSecret(createAccount),
		"GET " + manage + "/{uid}":                                withSecret(accountByUID),
		"DELETE " + manage + "/{uid}":                             withSecret(deleteAccount),
		"GET " + manage + "/{uid}/role":                           withSecret(roles),
		"GET " + manage + "/access_token":                         withSecret(impersonate),
		"GET " + manage + "/access_token/refresh":                 withSecret(refresh),
		"GET " + manage + "/access_token/refresh/revoke":          withSecret(revokeRefresh),
		"DELETE " + manage + "/{uid}/access_token/refresh/revoke": withSecret(revokeAllRefresh),

		"GET " + old + "/validate":      withSecret(oldValidate),
		"GET " + old + "/invalidate":    withSecret(oldInvalidate),
		"GET " + old + "/activesession": withSecret(activeSessions),
	} {
		mux.HandleFunc(pattern, s.call(call))
	}
}

// apiCall answers one call, with the server locked.
type apiCall func(c *callContext) (answer any, err *apiError)

type callContext struct {
	*tenant
	r     *http.Request
	query url.Values // names in lower case
	body  map[string]any
	hub   string // origin
	token *token
}

// call checks the API key, which every call needs, and writes the answer.
func (s *Server) call(call apiCall) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		legacy := strings.HasPrefix(r.URL.Path, "/api/")
		c := &callContext{tenant: s.tenant, r: r, query: lowerKeys(r.URL.Query()), hub: s.originOf(r)}
		if r.Body != nil && r.Method != http.MethodGet {
			// A body that is no JSON has none of the fields that a call asks for.
			json.NewDecoder(http.MaxBytesReader(w, r.Body, 64<<10)).Decode(&c.body)
		}
		answer, err := s.locked(c, call)
		if err != nil {
			writeError(w, err, legacy)
			return
		}
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		w.Write(answer)
	}
}

// locked makes a call and encodes its answer while the server is locked. Reading and
// writing, which a slow client can draw out, are done outside.
func (s *Server) locked(c *callContext, call apiCall) ([]byte, *apiError) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := first(c.r.Header.Get("X-LoginRadius-ApiKey"), c.query.Get("apikey"), c.query.Get("key"))
	if err := checkKey(key); err != nil {
		return nil, err
	}
	answer, err := call(c)
	if err != nil {
		return nil, err
	}
	body, encodeErr := json.Marshal(answer)
	if encodeErr != nil {
		panic(encodeErr) // our own maps and strings
	}
	return body, nil
}

func writeError(w http.ResponseWriter, err *apiError, legacy bool) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(err.status)
	json.NewEncoder(w).Encode(err.envelope(legacy))
}

var guidForm = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)

func checkKey(key string) *apiError {
	switch {
	case key == "":
		return errKeyMissing
	case !guidForm.MatchString(key):
		return errKeyMalformed
	case key != apiKey:
		return errKeyUnknown
	}
	return nil
}

// withSecret is a call of the application, with its secret.
func withSecret(call apiCall) apiCall {
	return func(c *callContext) (any, *apiError) {
		secret := first(c.r.Header.Get("X-LoginRadius-ApiSecret"), c.query.Get("apisecret"), c.query.Get("secret"))
		switch {
		case secret == "":
			return nil, errSecretMissing
		case !guidForm.MatchString(secret):
			return nil, errSecretMalformed
		case subtle.ConstantTimeCompare([]byte(secret), []byte(apiSecret)) != 1:
			return nil, errSecretUnknown
		}
		return call(c)
	}
}

// withToken is a call in the name of a user.
func withToken(call apiCall) apiCall {
	return func(c *callContext) (any, *apiError) {
		value := first(c.bearer(), c.query.Get("access_token"), c.text("access_token"))
		if value == "" {
			return nil, errTokenMissing
		}
		var err *apiError
		if c.token, err = c.use(value); err != nil {
			return nil, err
		}
		return call(c)
	}
}

// bearer returns the credential of the Authorization header; a raw token without
// "Bearer" works as well.
func (c *callContext) bearer() string {
	value := c.r.Header.Get("Authorization")
	if rest, ok := strings.CutPrefix(value, "Bearer"); ok {
		return strings.TrimSpace(rest)
	}
	return value
}

// text returns a field of the JSON body, or "".
func (c *callContext) text(name string) string {
	value, _ := c.body[name].(string)
	return value
}

func first(values ...string) string {
	for _, value := range values {
		if value != "" {
			return value
		}
	}
	return ""
}

func tokenObject(tok *token, withRefresh bool) map[string]any {
	object := map[string]any{"access_token": tok.value, "refresh_token": nil, "expires_in": tok.expires.Format(time.RFC3339Nano)}
	if withRefresh {
		object["refresh_token"] = tok.refresh
	}
	return object
}

func posted(done bool) map[string]any { return map[string]any{"IsPosted": done} }
