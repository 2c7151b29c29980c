package idxtest

import (
	"net/url"
	"slices"
	"strings"
	"time"
)

// Lifetimes of the links in mails (LoginRadius, "loginradius-tokens").
const (
	verificationLife = 72 * time.Hour
	resetLife        = 24 * time.Hour
)

// Mail is one that LoginRadius would have sent.
type Mail struct {
	To, Subject string
	Link        string // absolute
	At          time.Time
}

// Mails returns the mails so far, oldest first. A person finds them at /_mail.
func (s *Server) Mails() []Mail {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.tenant.mails)
}

// link is what stands behind a vtoken.
type link struct {
	uid     string
	vtype   string
	expires time.Time
}

const (
	vtypeVerify = "emailverification"
	vtypeReset  = "reset"
)

// sendMail sends a mail with a link to page, an address of the hub as its script has
// left it.
func (t *tenant) sendMail(a *account, subject, page, vtype string, life time.Duration) {
	vtoken := strings.ReplaceAll(t.ids.guid("vtoken"), "-", "")
	t.links[vtoken] = &link{uid: a.UID, vtype: vtype, expires: t.clock.now().Add(life)}
	separator := "?"
	if strings.Contains(page, "?") {
		separator = "&"
	}
	t.mails = append(t.mails, Mail{
		To: a.Email, Subject: subject, At: t.clock.now(),
		Link: page + separator + "vtype=" + vtype + "&vtoken=" + url.QueryEscape(vtoken),
	})
}

// follow uses up a link and returns whose it is.
func (t *tenant) follow(vtoken, vtype string) (*account, *apiError) {
	a, err := t.peek(vtoken, vtype)
	if err == nil {
		delete(t.links, vtoken)
	}
	return a, err
}

// peek looks at a link without using it up.
func (t *tenant) peek(vtoken, vtype string) (*account, *apiError) {
	l := t.links[vtoken]
	switch {
	case l == nil || l.vtype != vtype:
		return nil, errLinkInvalid
	case !t.clock.now().Before(l.expires):
		return nil, errLinkExpired
	}
	a := t.users.byUID[lowerASCII(l.uid)]
	if a == nil {
		return nil, errUserNotFound
	}
	return a, nil
}
