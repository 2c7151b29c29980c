package middleware

import (
	"reflect"
	"testing"
	"time"

	"github.com/idxauth/idxauth/idx"
)

// fullIdentity has every field set that a session keeps.
func fullIdentity() *Identity {
	u := &Identity{Profile: idx.Profile{IsActive: true}, private: &private{token: new(idx.Token("5f3c1c5e-0000-4000-8000-0123456789ab"))}}
	for i, text := range u.texts() {
		*text = string(rune('a' + i))
	}
	for i, t := range u.times() {
		*t = time.UnixMilli(1767225600000 + int64(i)).UTC()
	}
	for _, flag := range u.flags() {
		*flag = true
	}
	u.NoOfLogins = 7
	u.Emails = []string{u.Email, "second@example.test"}
	u.Roles = []string{"admin", "editor"}
	u.PreviousUIDs = []string{"old"}
	u.CustomFields = map[string]string{"plan": "pro", "empty": ""}
	return u
}

func TestIdentityCodec(t *testing.T) {
	for name, u := range map[string]*Identity{
		"full":    fullIdentity(),
		"minimal": {Profile: idx.Profile{UID: "u", IsActive: true}, private: new(private)},
	} {
		got, err := decodeIdentity(u.UID, encodeIdentity(u))
		if err != nil || !reflect.DeepEqual(got, u) {
			t.Errorf("%s: %+v became %+v (%v)", name, u, got, err)
		}
	}
}

// Every exported field of a profile is either kept in the session or listed here.
func TestSessionsKeepTheProfile(t *testing.T) {
	left := map[string]bool{"Raw": true, "IsDeleted": true}
	full := reflect.ValueOf(fullIdentity().Profile)
	for i := range full.NumField() {
		name := full.Type().Field(i).Name
		if full.Field(i).IsZero() != left[name] {
			t.Errorf("Profile.%s: kept is %v", name, left[name])
		}
	}
}

// A record of a newer version of this package may have more fields.
func TestUnknownFieldsAreSkipped(t *testing.T) {
	data := encodeIdentity(fullIdentity())
	data += "\x63\x03new"
	got, err := decodeIdentity(fullIdentity().UID, data)
	if err != nil || !reflect.DeepEqual(got, fullIdentity()) {
		t.Errorf("with a field more: %+v, %v", got, err)
	}
}
