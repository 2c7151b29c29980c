package idxtest

import "time"

// clock is the real clock and an offset. It asks time.Now each time, so that a
// [testing/synctest] bubble in which the handler runs sets the time.
type clock struct{ offset time.Duration }

func (c clock) now() time.Time { return time.Now().Add(c.offset).UTC() }

// Advance moves the emulator's clock forward: tokens and links age by d.
func (s *Server) Advance(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tenant.clock.offset += d
}

// ExpireTokens ends the life of all access tokens that exist: the API answers
// 906 for them. Their refresh tokens stay valid.
func (s *Server) ExpireTokens() {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.tenant.clock.now()
	for _, tok := range s.tenant.tokens.byValue {
		if tok.expires.After(now) {
			tok.expires = now
		}
	}
}
