package idxtest

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// User is an account of the tenant.
type User struct {
	UID      string // filled in by AddUser, from the e-mail address
	Email    string // "" for some social accounts
	Password string // "" if the user cannot log in with a password
	Provider string // "Email" if empty

	FirstName, LastName string
	Phone, Company      string
	Picture             string // URL
	Roles               []string
	CustomFields        map[string]string
	PreviousUIDs        []string // of accounts merged into this one

	EmailVerified bool
	Blocked       bool // by an administrator
	LoginLocked   bool // for a while, after failed attempts
	Deleted       bool
}

// Password is the password of all ready users.
const Password = "open-sesame"

// The users that every server begins with. Changing these variables changes no
// server.
var (
	Ada     = ready(User{Email: "ada@example.com", FirstName: "Ada", LastName: "Lovelace", Roles: []string{"admin"}, EmailVerified: true, Company: "Analytical Engines", CustomFields: map[string]string{"plan": "pro"}})
	Grace   = ready(User{Email: "grace@example.com", FirstName: "Grace", LastName: "Hopper", Roles: []string{"editor"}, EmailVerified: true, Company: "Harvard Mark I"})
	Radia   = ready(User{Email: "radia@example.com", FirstName: "Radia", LastName: "Perlman", EmailVerified: true}) // no role
	Alan    = ready(User{Email: "alan@example.com", FirstName: "Alan", LastName: "Turing"})                         // e-mail not verified
	Kurt    = ready(User{Email: "kurt@example.com", FirstName: "Kurt", LastName: "Gödel", EmailVerified: true, LoginLocked: true})
	Mallory = ready(User{Email: "mallory@example.com", FirstName: "Mallory", LastName: "Malone", EmailVerified: true, Blocked: true})
)

func readyUsers() []User { return []User{Ada, Grace, Radia, Alan, Kurt, Mallory} }

func ready(u User) User {
	u.UID, u.Password, u.Provider = uidOf(u.Email), Password, "Email"
	return u
}

func (u User) name() string {
	if name := strings.TrimSpace(u.FirstName + " " + u.LastName); name != "" {
		return name
	}
	return u.Email
}

func (u User) clone() User {
	u.Roles, u.PreviousUIDs = slices.Clone(u.Roles), slices.Clone(u.PreviousUIDs)
	u.CustomFields = maps.Clone(u.CustomFields)
	return u
}

// account is a user and what LoginRadius itself keeps about one.
type account struct {
	User
	profileID           string // one per provider; not the account's id
	created, modified   time.Time
	lastLogin, password time.Time
	logins              int
}

// userTable finds accounts by UID and by e-mail address. Deleted ones stay.
type userTable struct {
	all     []*account // in the order in which they came
	byUID   map[string]*account
	byEmail map[string]*account // keys in lower case
}

func newUserTable() userTable {
	return userTable{byUID: make(map[string]*account), byEmail: make(map[string]*account)}
}

func (t *userTable) index(a *account) {
	t.byUID[lowerASCII(a.UID)] = a
	if a.Email != "" {
		t.byEmail[lowerASCII(a.Email)] = a
	}
}

func (t *userTable) unindex(a *account) {
	delete(t.byUID, lowerASCII(a.UID))
	delete(t.byEmail, lowerASCII(a.Email))
}

// find takes an e-mail address or a UID, and returns nil if there is no such
// account.
func (t *userTable) find(key string) *account {
	if a := t.byEmail[lowerASCII(key)]; a != nil {
		return a
	}
	return t.byUID[lowerASCII(key)]
}

func (t *tenant) addUser(u User) *account {
	u = u.clone()
	if u.Provider == "" {
		u.Provider = "Email"
	}
	if u.UID == "" && u.Email != "" {
		u.UID = uidOf(u.Email)
	}
	if u.UID == "" {
		u.UID = strings.ReplaceAll(t.ids.guid("uid"), "-", "")
	}
	now := t.clock.now()
	a := t.users.find(u.UID)
	if a == nil {
		a = &account{profileID: strings.ReplaceAll(t.ids.guid("profile"), "-", ""), created: now}
		t.users.all = append(t.users.all, a)
	} else {
		t.users.unindex(a)
	}
	a.User, a.modified = u, now
	t.users.index(a)
	return a
}

// AddUser adds u, or replaces the account with the same UID, and returns it
// complete. The UID depends on the e-mail address only, unless u has one. No webhook
// tells of it.
func (s *Server) AddUser(u User) User {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tenant.addUser(u).User.clone()
}

// UpdateUser changes the user with the given e-mail address (or UID), as an
// administrator could, with a webhook for each kind of change; the user's tokens
// stay what they are. It panics if there is no such user. change must not call methods of s.
func (s *Server) UpdateUser(email string, change func(*User)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.tenant.mustFind(email)
	s.tenant.users.unindex(a)
	before := a.User.clone()
	change(&a.User)
	a.modified = s.tenant.clock.now()
	if a.Password != before.Password {
		a.password = a.modified
	}
	s.tenant.users.index(a)
	for _, event := range eventsOf(before, a.User) {
		s.tenant.report(event, a)
	}
}

// User returns the user with the given e-mail address (or UID). It panics if
// there is no such user.
func (s *Server) User(email string) User {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tenant.mustFind(email).User.clone()
}

func (t *tenant) mustFind(key string) *account {
	a := t.users.find(key)
	if a == nil {
		panic(fmt.Errorf("%w: %q", errNoUser, key))
	}
	return a
}
