package idx

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// object is a JSON object with its members in the order of the wire.
//
// Unmarshal into a struct would not do: it matches keys without case and under
// Unicode folding, and the last match wins, so that {"IsActive":false,
// "I\u017fActive":true} is active. Here every member can be seen, and a reader
// refuses an object that gives two answers to one question.
type object struct {
	body    []byte
	members []member
}

type member struct {
	key   string
	value json.RawMessage
}

// parseObject reads exactly one JSON object with nothing but white space around it.
func parseObject(body []byte) (object, error) {
	obj := object{body: body}
	// Valid sees the whole text; a Decoder alone would stop behind the object.
	if !json.Valid(body) || kind(body) != '{' {
		return obj, errors.New("not one JSON object")
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	if _, err := dec.Token(); err != nil {
		return obj, err
	}
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return obj, err
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return obj, err
		}
		obj.members = append(obj.members, member{key: key.(string), value: value})
	}
	return obj, nil
}

// find returns the value of the one member whose key matches as encoding/json
// would match it, nil if there is none or if it is null.
func (o object) find(key string) (json.RawMessage, error) {
	var found []member
	for _, m := range o.members {
		if strings.EqualFold(m.key, key) {
			found = append(found, m)
		}
	}
	switch {
	case len(found) > 1:
		return nil, fmt.Errorf("%d values of %s", len(found), key)
	case len(found) == 0 || kind(found[0].value) == 'n':
		return nil, nil
	}
	return found[0].value, nil
}

// kind returns the first byte of a JSON value, which tells its type: one of {["tfn-
// or a digit. It is 0 for no value.
func kind(value []byte) byte {
	value = bytes.TrimLeft(value, " \t\r\n")
	if len(value) == 0 {
		return 0
	}
	return value[0]
}

// reader reads members of an object by key and keeps the first error. A member that
// is absent or null has the zero value.
type reader struct {
	obj object
	err error
}

func (r *reader) fail(text string) {
	if r.err == nil {
		r.err = errors.New(text)
	}
}

// failure returns the error as one of the given class, or nil if there is none.
func (r *reader) failure(class error) error {
	if r.err == nil {
		return nil
	}
	return fmt.Errorf("%w: %w", class, r.err)
}

func (r *reader) value(key string) json.RawMessage {
	value, err := r.obj.find(key)
	if err != nil {
		r.fail(err.Error())
	}
	return value
}

// text is lenient: a number or boolean counts as its spelling, anything else as
// nothing.
func (r *reader) text(key string) string { return scalarText(r.value(key)) }

// integer is lenient: what is no integer, or the text of one, is 0.
func (r *reader) integer(key string) int {
	n, err := strconv.Atoi(r.text(key))
	if err != nil {
		return 0
	}
	return n
}

// time is lenient: what is no date is the zero time.
func (r *reader) time(key string) time.Time {
	s, _ := stringValue(r.value(key))
	return parseTime(s)
}

// flagOrFalse is lenient: what is no boolean is false.
func (r *reader) flagOrFalse(key string) bool {
	flag, _ := parseFlag(r.value(key))
	return flag
}

// flag is strict: a value that is no boolean is an error.
func (r *reader) flag(key string, absent bool) bool {
	value := r.value(key)
	if value == nil {
		return absent
	}
	flag, ok := parseFlag(value)
	if !ok {
		r.fail(key + " is not a boolean")
	}
	return flag
}

// id is strict: it must be there, and be usable as a key. Two accounts without one
// would otherwise be the same user.
func (r *reader) id(key string) string {
	id, _ := stringValue(r.value(key))
	if !isID(id) {
		r.fail("no usable " + key)
	}
	return id
}

const maxIDBytes = 256

// isID reports whether s can be the id of a user or an event. A replacement character
// stands for bytes that were lost when decoding, so it can stand for several users.
func isID(s string) bool {
	return s != "" && len(s) <= maxIDBytes &&
		strings.IndexFunc(s, func(r rune) bool { return unicode.IsControl(r) || r == utf8.RuneError }) < 0
}

// roles is strict: a value that is no list of strings is an error.
func (r *reader) roles(key string) []string {
	value := r.value(key)
	if value == nil {
		return nil
	}
	var list []*string
	if err := json.Unmarshal(value, &list); err != nil {
		r.fail(key + " is not a list of strings")
		return nil
	}
	var roles []string
	for _, role := range list {
		if role != nil && *role != "" {
			roles = append(roles, *role)
		}
	}
	return roles
}

// stringValue returns the text of a JSON string.
func stringValue(value json.RawMessage) (string, bool) {
	if kind(value) != '"' {
		return "", false
	}
	var s string
	err := json.Unmarshal(value, &s)
	return s, err == nil
}

func scalarText(value json.RawMessage) string {
	switch kind(value) {
	case 0, 'n', '{', '[':
		return ""
	case '"':
		s, _ := stringValue(value)
		return s
	}
	return string(bytes.TrimSpace(value))
}

// parseFlag reads a boolean, its text in any case, or the numbers 0 and 1.
func parseFlag(value json.RawMessage) (flag, ok bool) {
	switch strings.ToLower(scalarText(value)) {
	case "true", "1":
		return true, true
	case "false", "0":
		return false, true
	}
	return false, false
}

// parseTime reads a date of RFC 3339 with any number of fraction digits, which
// Parse takes without being told. Without a zone it is UTC.
func parseTime(s string) time.Time {
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UTC()
		}
	}
	return time.Time{}
}
