package idxtest

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
)

// serveSSO has the calls with which scripts share the hub's session. The set calls
// are plain GETs with the public API key, as on the real hub: a stranger's page can
// plant a session of its own.
func (s *Server) serveSSO(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w.Header().Set("Cache-Control", "no-store")
	query := lowerKeys(r.URL.Query())
	switch r.PathValue("call") {
	case "login":
		answer := map[string]any{"token": nil, "isauthenticated": false}
		if tok := s.hubToken(r); tok != nil {
			answer = map[string]any{"token": tok.value, "isauthenticated": true}
		}
		writeJSON(w, answer)
	case "logout":
		clearHubCookie(w)
		writeJSON(w, map[string]any{"ok": true})
	case "settoken", "setcustomtoken":
		if err := checkKey(query.Get("apikey")); err != nil {
			writeError(w, err, false)
			return
		}
		writeJSON(w, map[string]any{"ok": true, "istokenvalid": s.plant(w, query)})
	case "setsafaritoken", "setcustomsafaritoken":
		if err := s.checkSafari(query, s.originOf(r)); err != nil {
			writeError(w, err, false)
			return
		}
		s.plant(w, query)
		w.Header()["Location"] = []string{query.Get("callback")}
		w.WriteHeader(http.StatusFound)
	default:
		http.NotFound(w, r)
	}
}

// checkSafari checks a call that goes on to its callback, which the tenant's list has
// to allow, as a return URL. own is the hub's origin.
func (s *Server) checkSafari(query url.Values, own string) *apiError {
	if err := checkKey(query.Get("apikey")); err != nil {
		return err
	}
	if back := query.Get("callback"); back == "" || !s.tenant.settings.allows(back, own) {
		return errParameter
	}
	return nil
}

// plant sets the hub's session to a token that works.
func (s *Server) plant(w http.ResponseWriter, query url.Values) bool {
	tok, err := s.tenant.use(query.Get("token"))
	if err != nil {
		return false
	}
	tok.remember = query.Get("isrememberme") == "true"
	setHubCookie(w, tok)
	return true
}

// hubToken returns the live token of the hub's session, or nil.
func (s *Server) hubToken(r *http.Request) *token {
	c, err := r.Cookie(hubCookie)
	if err != nil {
		return nil
	}
	tok, problem := s.tenant.use(c.Value)
	if problem != nil {
		return nil
	}
	return tok
}

// lowerKeys reads query parameters without regard to the case of their names.
func lowerKeys(query url.Values) url.Values {
	lower := make(url.Values, len(query))
	for name, values := range query {
		name = strings.ToLower(name)
		lower[name] = append(lower[name], values...)
	}
	return lower
}

func writeJSON(w http.ResponseWriter, answer any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	json.NewEncoder(w).Encode(answer)
}
