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

var (
	errVersion = errors.New("unknown version")
	errFormat  = errors.New("malformed record")
)

// record is what a sealed record holds. Times are milliseconds since 1970.
//
//	version, created, deadline, user id, principal data, values
//
// Numbers are unsigned varints; the last three have their length in front.
type record struct {
	created  int64
	deadline int64
	user     []byte
	data     []byte
	values   []byte // see appendValues; decoded by the first Get
}

// appendTo appends the encoded record, or reports that it would be too long.
func (r *record) appendTo(b []byte) ([]byte, error) {
	b = append(b, recordVersion)
	b = binary.AppendUvarint(b, uint64(r.created))
	b = binary.AppendUvarint(b, uint64(r.deadline))
	b = appendBytes(b, r.user)
	b = appendBytes(b, r.data)
	b = appendBytes(b, r.values)
	if len(b) > maxPlain {
		return nil, fmt.Errorf("session: record of %d bytes: want at most %d", len(b), maxPlain)
	}
	return b, nil
}

// parseRecord decodes b, to whose bytes the record then refers.
func parseRecord(b []byte) (r record, err error) {
	if len(b) == 0 || len(b) > maxPlain {
		return r, errFormat
	}
	if b[0] != recordVersion {
		return r, errVersion
	}
	b = b[1:]
	ok := true
	r.created = int64(cutUvarint(&b, &ok))
	r.deadline = int64(cutUvarint(&b, &ok))
	r.user = cutBytes(&b, &ok)
	r.data = cutBytes(&b, &ok)
	r.values = cutBytes(&b, &ok)
	if !ok || r.created < 0 || r.deadline < r.created || len(r.user) == 0 {
		return record{}, errFormat
	}
	return r, nil
}

// appendValues appends the application's values in the order of their keys.
func appendValues(b []byte, values map[string][]byte) []byte {
	for _, key := range slices.Sorted(maps.Keys(values)) {
		b = appendBytes(b, []byte(key))
		b = appendBytes(b, values[key])
	}
	return b
}

// parseValues decodes what appendValues made; the map refers to the bytes of b.
func parseValues(b []byte) (map[string][]byte, error) {
	values := make(map[string][]byte)
	for ok := true; len(b) > 0; {
		key := cutBytes(&b, &ok)
		value := cutBytes(&b, &ok)
		if !ok || len(key) == 0 {
			return nil, errFormat
		}
		values[string(key)] = value
	}
	return values, nil
}

func appendBytes(b, field []byte) []byte {
	b = binary.AppendUvarint(b, uint64(len(field)))
	return append(b, field...)
}

// cutUvarint takes a number from the front of b, or clears ok.
func cutUvarint(b *[]byte, ok *bool) uint64 {
	v, n := binary.Uvarint(*b)
	if n <= 0 {
		*ok, *b = false, nil
		return 0
	}
	*b = (*b)[n:]
	return v
}

// cutBytes takes a field from the front of b, or clears ok. It copies nothing, so a
// length out of a hostile record allocates nothing.
func cutBytes(b *[]byte, ok *bool) []byte {
	n := cutUvarint(b, ok)
	if n > uint64(len(*b)) {
		*ok, *b = false, nil
		return nil
	}
	field := (*b)[:n:n]
	*b = (*b)[n:]
	return field
}
