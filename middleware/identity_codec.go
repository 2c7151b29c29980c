package middleware

import (
	"encoding/binary"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/idxauth/idxauth/idx"
)

// The record of an identity: a version, then fields of a number, a length and that
// many bytes, in any order. Empty fields are left out and unknown ones skipped, so
// that neighbouring versions of this package read each other's sessions. A number,
// once used, is never used for something else: append only.
const identityVersion = 1

// texts, times and flags list the fields of a kind in the order of their numbers,
// once for both directions. Texts have the numbers from 1, times from 40.
func (u *Identity) texts() [21]*string {
	p := &u.Profile
	return [...]*string{
		&p.UID, &p.ID, &p.Provider, &p.FirstName, &p.MiddleName, &p.LastName, &p.FullName, &p.NickName,
		&p.UserName, &p.Email, &p.PhoneID, &p.Gender, &p.BirthDate, &p.Company, &p.Website, &p.City,
		&p.State, &p.Country, &p.TimeZone, &p.Language, &p.ImageURL,
	}
}

func (u *Identity) times() [8]*time.Time {
	return [...]*time.Time{
		&u.CreatedAt, &u.ModifiedAt, &u.LastLoginAt, &u.PasswordChangedAt,
		&u.AuthTime, &u.private.tokenExpires, &u.private.checked, &u.private.failedAt,
	}
}

func (u *Identity) flags() [4]*bool {
	return [...]*bool{&u.EmailVerified, &u.PhoneVerified, &u.FirstLogin, &u.IsLoginLocked}
}

const (
	firstText = 1
	firstTime = 40

	fieldUID = firstText

	fieldEmails      = 30 // repeated, if there is more than Email
	fieldRole        = 31 // repeated
	fieldCustomKey   = 32 // repeated, each followed by its value
	fieldCustomValue = 33
	fieldPreviousUID = 34 // repeated
	fieldFlags       = 35 // one bit a flag
	fieldNoOfLogins  = 36
	fieldToken       = 37
)

var errIdentity = errors.New("middleware: unreadable identity")

// encodeIdentity leaves out the UID, which the session has already.
func encodeIdentity(u *Identity) string {
	e := encoder{identityVersion}
	for i, text := range u.texts() {
		if text != &u.UID {
			e.text(firstText+i, *text)
		}
	}
	for i, t := range u.times() {
		if !t.IsZero() {
			e.number(firstTime+i, t.UnixMilli())
		}
	}
	var flags int64
	for i, flag := range u.flags() {
		if *flag {
			flags |= 1 << i
		}
	}
	e.number(fieldFlags, flags)
	e.number(fieldNoOfLogins, int64(u.NoOfLogins))
	if !slices.Equal(u.Emails, []string{u.Email}) {
		e.list(fieldEmails, u.Emails)
	}
	e.list(fieldRole, u.Roles)
	e.list(fieldPreviousUID, u.PreviousUIDs)
	for _, key := range slices.Sorted(maps.Keys(u.CustomFields)) { // in order: equal identities are equal bytes
		e.bytes(fieldCustomKey, key)
		e.bytes(fieldCustomValue, u.CustomFields[key])
	}
	e.text(fieldToken, string(u.AccessToken()))
	return string(e)
}

// sameProfile compares what sessions keep of two profiles, but for what LoginRadius
// notes by itself at every login. Of dates the second counts: it writes their fractions
// with more or fewer digits.
func sameProfile(a, b *Identity) bool {
	essence := func(u *Identity) string {
		p := &Identity{Profile: u.Profile, private: new(private)}
		p.ModifiedAt, p.LastLoginAt, p.FirstLogin, p.NoOfLogins = time.Time{}, time.Time{}, false, 0
		for _, t := range p.times() {
			*t = t.Truncate(time.Second)
		}
		return encodeIdentity(p)
	}
	return essence(a) == essence(b)
}

// decodeIdentity copies no text: the identity's fields are parts of data.
func decodeIdentity(uid, data string) (*Identity, error) {
	if uid == "" || len(data) == 0 || data[0] != identityVersion {
		return nil, errIdentity
	}
	u := &Identity{Profile: idx.Profile{IsActive: true}, private: new(private)}
	u.UID = uid
	texts, times := u.texts(), u.times()
	customKey := ""
	for d := decoder(data[1:]); len(d) > 0; {
		field, value, ok := d.next()
		if !ok {
			return nil, errIdentity
		}
		switch {
		case field == fieldUID: // of an earlier release; the session knows better
		case firstText <= field && field < firstText+len(texts):
			*texts[field-firstText] = value
		case firstTime <= field && field < firstTime+len(times):
			*times[field-firstTime] = time.UnixMilli(number(value)).UTC()
		case field == fieldEmails:
			u.Emails = append(u.Emails, value)
		case field == fieldRole:
			u.Roles = append(u.Roles, value)
		case field == fieldPreviousUID:
			u.PreviousUIDs = append(u.PreviousUIDs, value)
		case field == fieldCustomKey:
			customKey = value
		case field == fieldCustomValue:
			if u.CustomFields == nil {
				u.CustomFields = make(map[string]string)
			}
			u.CustomFields[customKey] = value
		case field == fieldFlags:
			for i, flag := range u.flags() {
				*flag = number(value)>>i&1 == 1
			}
		case field == fieldNoOfLogins:
			u.NoOfLogins = int(number(value))
		case field == fieldToken:
			u.private.token = new(idx.Token(value))
		}
	}
	if u.Emails == nil && u.Email != "" {
		u.Emails = []string{u.Email}
	}
	return u, nil
}

type encoder []byte

func (e *encoder) bytes(field int, value string) {
	*e = binary.AppendUvarint(*e, uint64(field))
	*e = binary.AppendUvarint(*e, uint64(len(value)))
	*e = append(*e, value...)
}

func (e *encoder) text(field int, value string) {
	if value != "" {
		e.bytes(field, value)
	}
}

func (e *encoder) list(field int, values []string) {
	for _, value := range values {
		e.bytes(field, value)
	}
}

func (e *encoder) number(field int, value int64) {
	if value != 0 {
		e.bytes(field, string(binary.AppendVarint(nil, value)))
	}
}

type decoder string

// next cuts one field off. Nothing is allocated by a length that the data claims.
func (d *decoder) next() (field int, value string, ok bool) {
	number, n := binary.Uvarint(head(string(*d)))
	if n <= 0 || number > 1<<16 {
		return 0, "", false
	}
	rest := string((*d)[n:])
	length, n := binary.Uvarint(head(rest))
	if n <= 0 || length > uint64(len(rest)-n) {
		return 0, "", false
	}
	rest = rest[n:]
	*d = decoder(rest[length:])
	return int(number), rest[:length], true
}

func number(value string) int64 {
	n, _ := binary.Varint(head(value))
	return n
}

// head returns as much of s as a number can take.
func head(s string) []byte { return []byte(s[:min(len(s), binary.MaxVarintLen64)]) }
