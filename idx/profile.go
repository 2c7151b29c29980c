package idx

import (
	"encoding/json"
	"time"
)

// Profile is what the API says about a user. The zero value of a field means
// that the API sent null, nothing, or something unreadable in a field that
// nobody needs. An answer that is unreadable or ambiguous in a field that decides
// who gets in (UID, IsActive, IsDeleted, EmailVerified, Roles) makes no Profile.
//
// The texts are what users typed: escape them wherever they are shown.
type Profile struct {
	UID      string // the account's stable id; the only key to recognise a user by
	ID       string // the id of one provider's profile; changes with the provider
	Provider string // "Email", "Google", …

	FirstName, MiddleName, LastName string
	FullName, NickName, UserName    string

	Email         string   // the primary address, else the first; "" for some social accounts
	Emails        []string // all addresses, in the API's order
	EmailVerified bool     // whether Email may be relied on
	PhoneID       string
	PhoneVerified bool

	Gender, BirthDate string // as the API writes them; BirthDate is MM-dd-yyyy
	Company, Website  string
	City, State       string
	Country           string // name, else code
	TimeZone          string
	Language          string
	ImageURL          string

	Roles        []string
	CustomFields map[string]string

	IsActive      bool // false: blocked by an administrator. null counts as active
	IsDeleted     bool
	IsLoginLocked bool // locked after failed attempts
	FirstLogin    bool
	NoOfLogins    int
	PreviousUIDs  []string // of accounts merged into this one

	CreatedAt, ModifiedAt, LastLoginAt, PasswordChangedAt time.Time // UTC

	// Raw is the answer as it came, limited to what was asked for, but without the
	// top-level keys that hold the hash of the user's password (Password,
	// LastPasswordChangeToken). It can hold more than the application should
	// store; sessions do not keep it.
	Raw json.RawMessage
}

// DefaultFields is the projection used when [Config].Fields is nil: the fields
// of [Profile] and nothing else.
var DefaultFields = []string{
	"Uid", "ID", "Provider", "FirstName", "MiddleName", "LastName", "FullName", "NickName", "UserName",
	"Email", "EmailVerified", "PhoneId", "PhoneIdVerified", "Gender", "BirthDate", "Company", "Website",
	"City", "State", "Country", "TimeZone", "Language", "ImageUrl", "Roles", "CustomFields",
	"IsActive", "IsDeleted", "IsLoginLocked", "FirstLogin", "NoOfLogins", "PreviousUids",
	"CreatedDate", "ModifiedDate", "LastLoginDate", "LastPasswordChangeDate",
}
