package session

import (
	"crypto/sha256"
	"encoding/binary"
	"strings"
	"time"
	"unicode/utf8"
)

// Device describes where a session was started, for the user who looks through a list
// of them. The store keeps it sealed; the zero Device costs nothing.
type Device struct {
	Name    string // such as "Firefox on Linux"; cut after 120 bytes
	Network string // such as "192.0.2.0/24", coarse enough to be kept; cut after 60 bytes
}

const (
	maxDeviceName    = 120
	maxDeviceNetwork = 60
)

// A label is a Device and when the session was started, sealed like a record with two
// differences. The key follows from the user's id: a list is of one user, has no
// session tokens, and a dump of the store has no user ids. The nonce is the session's
// own id, since a session gets one label and keeps it.
//
//	created in seconds since 1970, name, network

// sealDevice returns the label of the session called n: nil for no device.
func sealDevice(space, userID string, n *name, d Device, created int64) []byte {
	if d == (Device{}) {
		return nil
	}
	plain := binary.AppendUvarint(nil, uint64(created))
	plain = appendText(plain, cut(d.Name, maxDeviceName))
	plain = appendText(plain, cut(d.Network, maxDeviceNetwork))
	key := labelKey(space, userID)
	var place [maxPlace]byte
	return key.cipher().Seal(nil, n.id()[:nonceLen], plain, appendPlace(place[:0], space, n))
}

// openDevice reads a label. One that does not open says nothing: it is not worth an
// error that somebody has written to the store.
func openDevice(space, userID string, n *name, label []byte) (d Device, created time.Time) {
	if len(label) == 0 {
		return Device{}, time.Time{}
	}
	key := labelKey(space, userID)
	var place [maxPlace]byte
	plain, err := key.cipher().Open(nil, n.id()[:nonceLen], label, appendPlace(place[:0], space, n))
	if err != nil {
		return Device{}, time.Time{}
	}
	b, ok := string(plain), true
	seconds := cutUvarint(&b, &ok)
	d = Device{Name: cutText(&b, &ok), Network: cutText(&b, &ok)}
	if !ok {
		return Device{}, time.Time{}
	}
	return d, time.Unix(int64(seconds), 0)
}

func labelKey(space, userID string) recordKey {
	return sha256.Sum256([]byte(purposeLabel + space + "\x00" + userID))
}

// cut returns valid UTF-8 of at most limit bytes.
func cut(text string, limit int) string {
	if len(text) > limit {
		for limit > 0 && !utf8.RuneStart(text[limit]) {
			limit--
		}
		text = text[:limit]
	}
	return strings.ToValidUTF8(text, "")
}
