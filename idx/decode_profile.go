package idx

import (
	"bytes"
	"cmp"
	"encoding/json"
	"slices"
	"strings"
)

// decodeProfile makes a Profile of an answer. It is strict about what decides who
// gets in, and lenient about the rest: tenants fill those fields from dozens of
// providers, and an odd birth date must not lock anybody out.
func decodeProfile(obj object) (*Profile, error) {
	r := &reader{obj: obj}
	emails, primary := r.emails("Email")
	p := &Profile{
		UID:      r.id("Uid"),
		ID:       r.text("ID"),
		Provider: r.text("Provider"),

		FirstName:  r.text("FirstName"),
		MiddleName: r.text("MiddleName"),
		LastName:   r.text("LastName"),
		FullName:   r.text("FullName"),
		NickName:   r.text("NickName"),
		UserName:   r.text("UserName"),

		Email:         primary,
		Emails:        emails,
		EmailVerified: r.flag("EmailVerified", false),
		PhoneID:       r.text("PhoneId"),
		PhoneVerified: r.flagOrFalse("PhoneIdVerified"),

		Gender:    r.text("Gender"),
		BirthDate: r.text("BirthDate"),
		Company:   r.text("Company"),
		Website:   r.text("Website"),
		City:      r.text("City"),
		State:     r.text("State"),
		Country:   r.country("Country"),
		TimeZone:  r.text("TimeZone"),
		Language:  r.text("Language"),
		ImageURL:  r.text("ImageUrl"),

		Roles:        r.roles("Roles"),
		CustomFields: r.customFields("CustomFields"),

		IsActive:      r.flag("IsActive", true),
		IsDeleted:     r.flag("IsDeleted", false),
		IsLoginLocked: r.flagOrFalse("IsLoginLocked"),
		FirstLogin:    r.flagOrFalse("FirstLogin"),
		NoOfLogins:    r.integer("NoOfLogins"),
		PreviousUIDs:  r.previousUIDs("PreviousUids"),

		CreatedAt:         r.time("CreatedDate"),
		ModifiedAt:        r.time("ModifiedDate"),
		LastLoginAt:       r.time("LastLoginDate"),
		PasswordChangedAt: r.time("LastPasswordChangeDate"),

		Raw: withoutPassword(obj),
	}
	if err := r.failure(ErrUnavailable); err != nil {
		return nil, err
	}
	return p, nil
}

// passwordKeys hold the hash of the user's password, or what can change it. The
// management API sends them unasked.
var passwordKeys = []string{"Password", "LastPasswordChangeToken"}

func isPasswordKey(key string) bool {
	return slices.ContainsFunc(passwordKeys, func(k string) bool { return strings.EqualFold(k, key) })
}

// withoutPassword returns the text of obj without passwordKeys: the body itself
// if it has none.
func withoutPassword(obj object) json.RawMessage {
	if !slices.ContainsFunc(obj.members, func(m member) bool { return isPasswordKey(m.key) }) {
		return obj.body
	}
	var kept [][]byte
	for _, m := range obj.members {
		if isPasswordKey(m.key) {
			continue
		}
		key, err := json.Marshal(m.key)
		if err != nil {
			continue // no string fails to marshal
		}
		kept = append(kept, slices.Concat(key, []byte(":"), m.value))
	}
	return slices.Concat([]byte("{"), bytes.Join(kept, []byte(",")), []byte("}"))
}

// elements returns the elements of a list, or value itself if it is none.
func elements(value json.RawMessage) []json.RawMessage {
	if value == nil {
		return nil
	}
	if kind(value) != '[' {
		return []json.RawMessage{value}
	}
	var list []json.RawMessage
	if err := json.Unmarshal(value, &list); err != nil {
		return nil
	}
	return list
}

// emails returns all addresses, and the primary or else the first of them. They
// come as [{"Type":"Primary","Value":"…"}], in some answers as strings.
//
// It is all or nothing: were one unreadable address dropped, the next would stand
// in its place as the user's.
func (r *reader) emails(key string) (all []string, primary string) {
	hasPrimary := false
	for _, element := range elements(r.value(key)) {
		kindOf, address, ok := r.email(element)
		if !ok {
			return nil, ""
		}
		if address == "" {
			continue
		}
		all = append(all, address)
		if !hasPrimary && strings.EqualFold(kindOf, "Primary") {
			primary, hasPrimary = address, true
		}
	}
	if !hasPrimary && len(all) > 0 {
		primary = all[0]
	}
	return all, primary
}

// email reads one address; it is empty for null.
func (r *reader) email(element json.RawMessage) (kindOf, address string, ok bool) {
	switch kind(element) {
	case 'n':
		return "", "", true
	case '"':
		address, ok = stringValue(element)
		return "", address, ok
	case '{':
		return r.typedEmail(element)
	}
	return "", "", false
}

func (r *reader) typedEmail(element json.RawMessage) (kindOf, address string, ok bool) {
	obj, err := parseObject(element)
	if err != nil {
		return "", "", false
	}
	item := reader{obj: obj}
	kindOf = item.text("Type")
	value := item.value("Value")
	if item.err != nil {
		// Two values of one key: which is the user's is anybody's guess.
		r.fail("Email is ambiguous")
		return "", "", false
	}
	if value == nil {
		return kindOf, "", true
	}
	address, ok = stringValue(value)
	return kindOf, address, ok
}

// country comes as {"Code":"NO","Name":"Norway"} or as text.
func (r *reader) country(key string) string {
	value := r.value(key)
	obj, err := parseObject(value)
	if err != nil {
		name, _ := stringValue(value)
		return name
	}
	country := reader{obj: obj}
	return cmp.Or(country.text("Name"), country.text("Code"))
}

// customFields keeps values that have a text: strings, numbers, booleans.
func (r *reader) customFields(key string) map[string]string {
	obj, err := parseObject(r.value(key))
	if err != nil || len(obj.members) == 0 {
		return nil
	}
	fields := make(map[string]string, len(obj.members))
	for _, m := range obj.members {
		switch kind(m.value) {
		case 'n', '{', '[':
			continue
		}
		fields[m.key] = scalarText(m.value)
	}
	return fields
}

// previousUIDs come as texts, in some answers as objects with a Uid.
func (r *reader) previousUIDs(key string) []string {
	var uids []string
	for _, element := range elements(r.value(key)) {
		if obj, err := parseObject(element); err == nil {
			element, _ = obj.find("Uid")
		}
		if uid, ok := stringValue(element); ok && isID(uid) {
			uids = append(uids, uid)
		}
	}
	return uids
}
