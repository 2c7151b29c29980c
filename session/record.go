package session

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
)

// recordVersion is the first byte of a record. Fields that a later release adds
// behind the known ones need no new version: they are skipped here.
const recordVersion = 1

// maxTime is the last second of the year 9999. What is later can be neither compared with
// the present nor written as JSON.
const maxTime = 253402300799

var (
	errVersion = errors.New("unknown version")
	errFormat  = errors.New("malformed record")
)

// record is what a sealed record holds. Times are seconds since 1970.
//
//	version, created, lifetime, user id, principal data, values
//
// Numbers are unsigned varints, the lifetime is what lies between created and
// deadline; the last three have their length in front.
type record struct {
	created  int64
	deadline int64
	user     string
	data     string
	values   string // see encodeValues; decoded by the first Get
}

// appendTo appends the encoded record, or reports that it would be too long.
func (r *record) appendTo(b []byte) ([]byte, error) {
	b = append(b, recordVersion)
	b = binary.AppendUvarint(b, uint64(r.created))
	b = binary.AppendUvarint(b, uint64(r.deadline-r.created))
	b = appendText(b, r.user)
	b = appendText(b, r.data)
	b = appendText(b, r.values)
	if len(b) > maxPlain {
		return nil, fmt.Errorf("session: record of %d bytes: want at most %d", len(b), maxPlain)
	}
	return b, nil
}

// parseRecord decodes b. The record's fields are parts of it, not copies.
func parseRecord(b string) (r record, err error) {
	if len(b) == 0 || len(b) > maxPlain {
		return r, errFormat
	}
	if b[0] != recordVersion {
		return r, errVersion
	}
	b = b[1:]
	ok := true
	r.created = int64(cutUvarint(&b, &ok))
	r.deadline = r.created + int64(cutUvarint(&b, &ok))
	r.user = cutText(&b, &ok)
	r.data = cutText(&b, &ok)
	r.values = cutText(&b, &ok)
	if !ok || r.created < 0 || r.deadline < r.created || r.deadline > maxTime || len(r.user) == 0 {
		return record{}, errFormat
	}
	return r, nil
}

// encodeValues encodes the application's values in the order of their keys.
func encodeValues(values map[string]string) string {
	var b []byte
	for _, key := range slices.Sorted(maps.Keys(values)) {
		b = appendText(b, key)
		b = appendText(b, values[key])
	}
	return string(b)
}

// parseValues decodes what encodeValues made.
func parseValues(b string) (map[string]string, error) {
	values := make(map[string]string)
	for ok := true; len(b) > 0; {
		key := cutText(&b, &ok)
		value := cutText(&b, &ok)
		if !ok || key == "" {
			return nil, errFormat
		}
		values[key] = value
	}
	return values, nil
}

func appendText(b []byte, field string) []byte {
	b = binary.AppendUvarint(b, uint64(len(field)))
	return append(b, field...)
}

// cutUvarint takes a number from the front of b, or clears ok.
func cutUvarint(b *string, ok *bool) uint64 {
	var head [binary.MaxVarintLen64]byte
	v, n := binary.Uvarint(head[:copy(head[:], *b)])
	if n <= 0 {
		*ok, *b = false, ""
		return 0
	}
	*b = (*b)[n:]
	return v
}

// cutText takes a field from the front of b, or clears ok. It copies nothing, so a
// length out of a hostile record allocates nothing.
func cutText(b *string, ok *bool) string {
	n := cutUvarint(b, ok)
	if n > uint64(len(*b)) {
		*ok, *b = false, ""
		return ""
	}
	field := (*b)[:n]
	*b = (*b)[n:]
	return field
}
