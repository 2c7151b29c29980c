package idx

import (
	"fmt"
	"io"
	"log/slog"
	"strings"
)

// Token is an access token: whoever holds it is the user, as far as the API is
// concerned. It prints as a fixed word under every verb of fmt, in slog, in JSON
// and as text; string(t) is the value.
//
// Package fmt cannot ask a value that lies in an unexported field of another
// struct how it wants to be printed: a struct of yours that may be printed keeps
// a Token in an exported field. Nor does it ask under %p and %w, which go vet
// reports. As the key of a map, JSON takes the value itself.
type Token string

// Secret is a credential of the application, such as the API secret. It prints
// as a fixed word, like [Token] and with the same limits; string(s) is the value.
type Secret string

// redacted is what is printed in place of a value. The empty value prints as
// nothing, so that "not set" can be told from "set".
const redacted = "[redacted]"

func redact(value string) string {
	if value == "" {
		return ""
	}
	return redacted
}

// Format implements [fmt.Formatter], which wins over every verb and flag.
func (t Token) Format(f fmt.State, verb rune) { io.WriteString(f, redact(string(t))) }

// String implements [fmt.Stringer] for callers other than fmt. It does not
// return the value.
func (t Token) String() string { return redact(string(t)) }

// GoString implements [fmt.GoStringer] for callers other than fmt.
func (t Token) GoString() string { return redact(string(t)) }

// LogValue implements [slog.LogValuer].
func (t Token) LogValue() slog.Value { return slog.StringValue(redact(string(t))) }

// MarshalText implements [encoding.TextMarshaler], which JSON and XML use as well.
func (t Token) MarshalText() ([]byte, error) { return []byte(redact(string(t))), nil }

// Format implements [fmt.Formatter], which wins over every verb and flag.
func (s Secret) Format(f fmt.State, verb rune) { io.WriteString(f, redact(string(s))) }

// String implements [fmt.Stringer] for callers other than fmt. It does not
// return the value.
func (s Secret) String() string { return redact(string(s)) }

// GoString implements [fmt.GoStringer] for callers other than fmt.
func (s Secret) GoString() string { return redact(string(s)) }

// LogValue implements [slog.LogValuer].
func (s Secret) LogValue() slog.Value { return slog.StringValue(redact(string(s))) }

// MarshalText implements [encoding.TextMarshaler], which JSON and XML use as well.
func (s Secret) MarshalText() ([]byte, error) { return []byte(redact(string(s))), nil }

// maxTokenBytes leaves room for the encrypted tokens of some tenants, which are
// over 700 bytes long.
const maxTokenBytes = 4 << 10

// wellFormed reports whether t can be the token of an Authorization header (RFC
// 6750, 2.1). It is opaque beyond that: a GUID with most tenants, a JWE with some.
func (t Token) wellFormed() bool {
	isBearer := func(r rune) bool {
		return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' ||
			strings.ContainsRune("-._~+/=", r)
	}
	return t != "" && len(t) <= maxTokenBytes &&
		strings.IndexFunc(string(t), func(r rune) bool { return !isBearer(r) }) < 0
}
