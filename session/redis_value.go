package session

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// A value in Redis is a stamp, the record's data and, if the stamp says so, its label
// and a byte with the length of that: what has no label takes no byte for it. The
// stamp is a number of six bytes:
//
//	bit 47      there is a label
//	bits 46-43  [Record].Mark
//	bits 42-0   the record's expiry in milliseconds since 1970, until the year 2248
//
// Redis knows when a key expires, too, but only as the answer to a second command. The
// scripts read the flags as the five upper bits of the first byte.
const (
	stampLen = 6
	markBits = 43
	maxMark  = 15
	maxLabel = 255
	labelled = 1 << 47
	timeMask = 1<<markBits - 1
)

// stampGrace lets Redis say first that a record has expired: clocks differ.
const stampGrace = time.Minute

var errLabel = fmt.Errorf("session: label of more than %d bytes", maxLabel)

// valueOf returns the value of a record without a mark.
func valueOf(r Record) []byte {
	stamp := uint64(r.Expires.UnixMilli())
	if len(r.Label) > 0 {
		stamp |= labelled
	}
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], stamp)
	value := make([]byte, 0, stampLen+len(r.Data)+len(r.Label)+1)
	value = append(value, b[len(b)-stampLen:]...)
	value = append(value, r.Data...)
	if len(r.Label) > 0 {
		value = append(value, r.Label...)
		value = append(value, byte(len(r.Label)))
	}
	return value
}

// parseStamp reads the beginning of a value.
func parseStamp[T string | []byte](value T) (expires time.Time, mark uint8, hasLabel, ok bool) {
	if len(value) < stampLen {
		return time.Time{}, 0, false, false
	}
	var b [8]byte
	copy(b[len(b)-stampLen:], value)
	stamp := binary.BigEndian.Uint64(b[:])
	return time.UnixMilli(int64(stamp & timeMask)), uint8(stamp >> markBits & maxMark), stamp&labelled != 0, true
}

// record reads the value. One whose time is long over is no record: somebody has
// taken the expiry off its key.
func (f found) record() (Record, error) {
	if errors.Is(f.err, redis.Nil) {
		return Record{}, ErrNotFound
	}
	if f.err != nil {
		return Record{}, f.err
	}
	expires, mark, hasLabel, ok := parseStamp(f.value)
	if !ok || isPast(expires.Add(stampGrace)) {
		return Record{}, ErrNotFound
	}
	data := f.value[stampLen:]
	if hasLabel {
		if data, ok = withoutLabel(data); !ok {
			return Record{}, ErrNotFound
		}
	}
	return Record{Data: data, Mark: mark, Expires: expires}, nil
}

func withoutLabel(data []byte) ([]byte, bool) {
	if len(data) == 0 {
		return nil, false
	}
	length := int(data[len(data)-1]) + 1
	if length > len(data) {
		return nil, false
	}
	return data[:len(data)-length], true
}
