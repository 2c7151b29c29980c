package session

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"errors"
)

// A sealed record is a random nonce and the record encrypted with AES-256-GCM. Its
// key comes from the session token, so a dump of the store opens nothing; its
// associated data is where it is kept, so a record copied elsewhere does not open.
const (
	sealVersion  = 1
	nonceLen     = 12
	sealOverhead = nonceLen + 16
	maxSealed    = 64 << 10
	maxPlain     = maxSealed - sealOverhead
)

var errSeal = errors.New("seal does not open")

// seal encrypts plain for the record under k, which s names.
func (s *secret) seal(k Key, plain []byte) []byte {
	sealed := make([]byte, nonceLen, len(plain)+sealOverhead)
	rand.Read(sealed) // never fails: since Go 1.24 it ends the process instead
	var place [3 + maxNameLen + tagLen + hashLen]byte
	return s.cipher().Seal(sealed, sealed, plain, k.appendPlace(place[:0]))
}

// open decrypts what seal made for k.
func (s *secret) open(k Key, sealed []byte) ([]byte, error) {
	if len(sealed) < sealOverhead || len(sealed) > maxSealed {
		return nil, errSeal
	}
	var place [3 + maxNameLen + tagLen + hashLen]byte
	plain, err := s.cipher().Open(nil, sealed[:nonceLen], sealed[nonceLen:], k.appendPlace(place[:0]))
	if err != nil {
		return nil, errSeal
	}
	return plain, nil
}

func (s *secret) cipher() cipher.AEAD {
	key := s.hash(purposeKey)
	block, err := aes.NewCipher(key[:])
	if err != nil {
		panic(err) // only for a wrong key length
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic(err) // only for another block size
	}
	return aead
}

// appendPlace appends the associated data of a record under k. Tag and ID have
// fixed lengths, Space is what remains: no two keys read the same.
func (k Key) appendPlace(b []byte) []byte {
	b = append(b, sealVersion)
	b = append(b, k.Tag...)
	b = append(b, k.ID...)
	return append(b, k.Space...)
}
