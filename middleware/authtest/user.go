package authtest

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/idxauth/idxauth/idx"
	"github.com/idxauth/idxauth/middleware"
)

// User returns a user as handlers see one who has just signed in: active, with roles, a
// confirmed e-mail address, and a UID and a first name made from it. Change what the
// test is about.
func User(email string, roles ...string) *middleware.Identity {
	sum := sha256.Sum256([]byte(email))
	name, _, _ := strings.Cut(email, "@")
	if name != "" {
		name = strings.ToUpper(name[:1]) + name[1:]
	}
	now := time.Now()
	return &middleware.Identity{
		Profile: idx.Profile{
			UID: hex.EncodeToString(sum[:16]), Provider: "Email", FirstName: name,
			Email: email, Emails: []string{email}, EmailVerified: true,
			Roles: roles, IsActive: true, NoOfLogins: 1,
			CreatedAt: now, LastLoginAt: now,
		},
		AuthTime: now,
	}
}

// NewRequest is [httptest.NewRequest] with user signed in. What the handler expects in
// the session is put there with session.Put(r.Context(), ...), and what it puts there is
// read with session.Get.
func NewRequest(user *middleware.Identity, method, target string, body io.Reader) *http.Request {
	r := httptest.NewRequest(method, target, body)
	return r.WithContext(middleware.WithUser(r.Context(), user))
}
