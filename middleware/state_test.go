package middleware

import (
	"bytes"
	"errors"
	"testing"
	"time"
)

// What makes a state void. The good one beside each row is believed.
func TestStatesAreBelievedOnlyIf(t *testing.T) {
	s := newStateSealer("realm", "secret", "key")
	now := time.Now()
	b := newBinding()
	good := func(issued time.Time) string { return s.seal(state{issued: issued, path: "/x"}, b) }
	renewed := *b
	renewed.renew(now)
	twice := renewed
	twice.renew(now)
	otherRealm := newStateSealer("another realm", "secret", "key")
	otherKey := newStateSealer("realm", "another secret", "key")

	for _, tt := range []struct {
		name   string
		sealer *stateSealer
		b      *binding
		value  string
		now    time.Time
		want   error
	}{
		{"good", s, b, good(now), now, nil},
		{"at the end of its window", s, b, good(now), now.Add(loginWindow - time.Second), nil},
		{"a little ahead of our clock", s, b, good(now.Add(time.Minute)), now, nil},
		{"signed before the last login", s, &renewed, good(now), now.Add(loginWindow - 2*time.Second), nil},
		{"no binding", s, nil, good(now), now, errStateMismatch},
		{"another browser", s, newBinding(), good(now), now, errStateMismatch},
		{"two logins ago", s, &twice, good(now), now, errStateMismatch},
		{"previous secret after its time", s, &renewed, good(now.Add(clockSkew)), now.Add(loginWindow + time.Second), errStateMismatch},
		{"too old", s, b, good(now), now.Add(loginWindow + 2*time.Second), errStateExpired},
		{"from the future", s, b, good(now.Add(clockSkew + 2*time.Second)), now, errStateExpired},
		{"another application", otherRealm, b, good(now), now, errStateMismatch},
		{"another key", otherKey, b, good(now), now, errStateMismatch},
		{"none", s, b, "", now, errStateMissing},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, _, err := tt.sealer.open(tt.value, tt.b, tt.now); !errors.Is(err, tt.want) {
				t.Errorf("open = %v, want %v", err, tt.want)
			}
		})
	}
}

// The realm is bound into a state in three places, each of which alone keeps another
// application's out: the key, the encryption, the signature.
func TestRealmIsBoundIntoStatesThrice(t *testing.T) {
	ours, theirs := newStateSealer("realm", "secret", "key"), newStateSealer("another realm", "secret", "key")
	if bytes.Equal(ours.key, theirs.key) {
		t.Error("two realms have one key")
	}
	theirs.key = ours.key // and if they had
	sealed := theirs.encrypt("state", []byte("plain"))
	if _, ok := ours.decrypt("state", sealed); ok {
		t.Error("what was encrypted in another realm can be decrypted")
	}
	secret := make([]byte, 32)
	if bytes.Equal(ours.sign(secret, sealed), theirs.sign(secret, sealed)) {
		t.Error("a signature counts in another realm")
	}
}
