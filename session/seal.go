package session

import (
	"crypto/cipher"
	"crypto/rand"
	"errors"

	"golang.org/x/crypto/chacha20poly1305"
)

// A sealed record is a random nonce and the record encrypted with ChaCha20-Poly1305:
// each record has a key of its own, and AES-GCM takes longer to get used to a key
// than to open a record. The key comes from the session token, so a dump of the
// store opens nothing; the associated data is where the record is kept, so one that
// is copied elsewhere does not open.
const (
	sealVersion  = 1
	nonceLen     = chacha20poly1305.NonceSize
	sealOverhead = nonceLen + chacha20poly1305.Overhead
	maxSealed    = 64 << 10
	maxPlain     = maxSealed - sealOverhead
)

var errSeal = errors.New("seal does not open")

// recordKey seals the record of one session. Who has it can read that record, but
// not sign in: the token does not follow from it.
type recordKey [32]byte

// nonce is different for each record ever written: it is the record's version.
type nonce [nonceLen]byte

func nonceOf(sealed []byte) (n nonce) {
	copy(n[:], sealed)
	return n
}

// seal encrypts plain for the session called n.
func (key *recordKey) seal(space string, n *name, plain []byte) []byte {
	sealed := make([]byte, nonceLen, len(plain)+sealOverhead)
	rand.Read(sealed) // never fails: since Go 1.24 it ends the process instead
	var place [maxPlace]byte
	return key.cipher().Seal(sealed, sealed, plain, appendPlace(place[:0], space, n))
}

// open decrypts what seal made.
func (key *recordKey) open(space string, n *name, sealed []byte) ([]byte, error) {
	if len(sealed) < sealOverhead || len(sealed) > maxSealed {
		return nil, errSeal
	}
	var place [maxPlace]byte
	plain, err := key.cipher().Open(nil, sealed[:nonceLen], sealed[nonceLen:], appendPlace(place[:0], space, n))
	if err != nil {
		return nil, errSeal
	}
	return plain, nil
}

func (key *recordKey) cipher() cipher.AEAD {
	aead, err := chacha20poly1305.New(key[:])
	if err != nil {
		panic(err) // only for a wrong key length
	}
	return aead
}

const maxPlace = 1 + len(name{}) + maxNameLen

// appendPlace appends the associated data of a record. The name has a fixed length,
// space is what remains: no two places read the same.
func appendPlace(b []byte, space string, n *name) []byte {
	b = append(b, sealVersion)
	b = append(b, n[:]...)
	return append(b, space...)
}
