package idxtest

import (
	"time"

	"github.com/idxauth/idxauth/idx"
)

// refreshLifetime is LoginRadius' default.
const refreshLifetime = 60 * 24 * time.Hour

// token is an access token and the refresh token that came with it.
type token struct {
	value          string
	uid            string
	issued         time.Time
	expires        time.Time
	lifetime       time.Duration
	dead           bool // invalidated
	remember       bool // "stay signed in" was ticked
	refresh        string
	refreshExpires time.Time
}

// tokenTable keeps dead and expired tokens too: the API tells them apart.
type tokenTable struct {
	all       []*token
	byValue   map[string]*token
	byRefresh map[string]*token
}

func newTokenTable() tokenTable {
	return tokenTable{byValue: make(map[string]*token), byRefresh: make(map[string]*token)}
}

// issue makes an access token for a, whatever the state of the account.
func (t *tenant) issue(a *account) *token {
	now := t.clock.now()
	tok := &token{
		uid:            a.UID,
		issued:         now,
		lifetime:       t.settings.TokenLifetime,
		expires:        now.Add(t.settings.TokenLifetime),
		refresh:        t.ids.guid("refresh token"),
		refreshExpires: now.Add(refreshLifetime),
	}
	if t.settings.TokenFormat == TokenJWE {
		tok.value = t.ids.jwe("access token")
	} else {
		tok.value = t.ids.guid("access token")
	}
	t.tokens.all = append(t.tokens.all, tok)
	t.tokens.byValue[tok.value] = tok
	t.tokens.byRefresh[tok.refresh] = tok
	a.logins++
	a.lastLogin = now
	return tok
}

// use returns the live token with the given value, extended if tokens slide.
func (t *tenant) use(value string) (*token, *apiError) {
	tok := t.tokens.byValue[value]
	if tok == nil || tok.dead {
		return nil, errTokenInvalid
	}
	now := t.clock.now()
	if !now.Before(tok.expires) {
		return nil, errTokenExpired
	}
	if t.settings.Sliding {
		tok.expires = now.Add(tok.lifetime)
	}
	return tok, nil
}

// invalidate ends tok. Without preventRefresh its refresh token lives on.
func (t *tenant) invalidate(tok *token, preventRefresh bool) {
	tok.dead = true
	if preventRefresh {
		delete(t.tokens.byRefresh, tok.refresh)
	}
}

// exchange consumes a refresh token and issues a new pair. The old access token
// stays alive.
func (t *tenant) exchange(refresh string) (*token, *apiError) {
	old := t.tokens.byRefresh[refresh]
	if old == nil || !t.clock.now().Before(old.refreshExpires) {
		return nil, errRefreshTokenInvalid
	}
	a, err := t.holder(old)
	if err != nil {
		return nil, err
	}
	delete(t.tokens.byRefresh, refresh)
	return t.issue(a), nil
}

// live returns the tokens of the account uid that still work.
func (t *tenant) live(uid string) []*token {
	var live []*token
	now := t.clock.now()
	for _, tok := range t.tokens.all {
		if tok.uid == uid && !tok.dead && now.Before(tok.expires) {
			live = append(live, tok)
		}
	}
	return live
}

// holder returns the account that tok was issued to.
func (t *tenant) holder(tok *token) (*account, *apiError) {
	a := t.users.byUID[lowerASCII(tok.uid)]
	if a == nil {
		return nil, errUserNotFound
	}
	return a, nil
}

// IssueToken returns a new access token of the user with the given e-mail
// address (or UID), as if that user had logged in to another app of the tenant.
// It panics if there is no such user, and asks nothing else about the account.
func (s *Server) IssueToken(email string) idx.Token {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.tenant.mustFind(email)
	tok := s.tenant.issue(a)
	s.tenant.report(idx.EventLogin, a)
	return idx.Token(tok.value)
}
