package idx_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode"

	"github.com/idxauth/idxauth/idx"
)

// Every error code that matters with the status it comes with.
func TestErrorCodes(t *testing.T) {
	tests := []struct {
		status int
		codes  []int
		want   error
	}{
		{403, []int{905, 906, 2024, 1055, 1196, 1226, 1217}, idx.ErrTokenInvalid},
		{400, []int{1060, 2007, 2010}, idx.ErrTokenInvalid},
		{401, []int{2005, 2007, 2010}, idx.ErrTokenInvalid},
		{403, []int{938, 937, 984, 991, 1164, 1130, 1220, 1132, 1148, 1198, 1264, 970, 1066, 1162, 1338}, idx.ErrAccountDenied},
		{403, []int{901, 902, 1143, 1144, 909, 1206, 908, 1208, 1212, 1248, 1249, 2011, 2014}, idx.ErrConfig},
		{401, []int{902, 2009}, idx.ErrConfig},
		{400, []int{920, 921, 922, 923, 908, 971, 1214, 1207, 1209, 1210, 1211, 2006, 2008, 2012, 2013}, idx.ErrConfig},
		{500, []int{950}, idx.ErrUnavailable},
		{403, []int{950}, idx.ErrUnavailable},

		// Codes of calls that are not made here count as unknown.
		{401, []int{966, 967, 1205}, idx.ErrConfig},
		{403, []int{973, 974, 975, 1063, 1242, 936, 1046, 1134, 4711}, idx.ErrUnavailable},

		// The code outweighs the status.
		{500, []int{905}, idx.ErrTokenInvalid},
		{404, []int{938}, idx.ErrAccountDenied},
		{500, []int{901}, idx.ErrConfig},
	}
	for _, tt := range tests {
		for _, code := range tt.codes {
			t.Run(fmt.Sprint(tt.status, "/", code), func(t *testing.T) {
				body := fmt.Sprintf(`{"Description":"long","ErrorCode":%d,"Message":"short","IsProviderError":false,"ProviderErrorResponse":null}`, code)
				_, err := over(t, status(tt.status, body)).Profile(t.Context(), testToken)
				checkClass(t, err, tt.want)
				e, ok := errors.AsType[*idx.APIError](err)
				if !ok || e.Status != tt.status || e.Code != code || e.Message != "short" {
					t.Errorf("error = %#v", err)
				}
			})
		}
	}
}

func TestErrorStatuses(t *testing.T) {
	bodies := []string{"", "Too many requests", "<html>403</html>", "null", "[905]", "{}", `{"ErrorCode":null}`, `{"ErrorCode":"x"}`, `{"ErrorCode":[905]}`}
	for code, want := range map[int]error{
		400: idx.ErrConfig, 401: idx.ErrConfig, 404: idx.ErrConfig, 405: idx.ErrConfig,
		402: idx.ErrUnavailable, 403: idx.ErrUnavailable, 407: idx.ErrUnavailable, 408: idx.ErrUnavailable,
		409: idx.ErrUnavailable, 410: idx.ErrUnavailable, 451: idx.ErrUnavailable,
		429: idx.ErrRateLimited,
		500: idx.ErrUnavailable, 501: idx.ErrUnavailable, 599: idx.ErrUnavailable,
	} {
		for _, body := range bodies {
			t.Run(fmt.Sprint(code, " ", body), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					_, err := over(t, status(code, body)).Profile(t.Context(), testToken)
					checkClass(t, err, want)
					if e, ok := errors.AsType[*idx.APIError](err); !ok || e.Status != code || e.Code != 0 || e.Message != "" {
						t.Errorf("error = %#v", e)
					}
				})
			})
		}
	}
}

func TestErrorEnvelopes(t *testing.T) {
	tests := []struct {
		name, body string
		code       int
		message    string
	}{
		{"lower camel case", `{"errorCode":905,"message":"short"}`, 905, "short"},
		{"code as text", `{"ErrorCode":"905"}`, 905, ""},
		{"description only", `{"ErrorCode":905,"Description":"long"}`, 905, "long"},
		{"message of another type", `{"ErrorCode":905,"Message":{}}`, 905, ""},
		{"two codes", `{"ErrorCode":901,"errorcode":905}`, 0, ""},
		{"one code twice", `{"ErrorCode":905,"ErrorCode":905}`, 0, ""},
		{"trailing bytes", `{"ErrorCode":905}x`, 0, ""},
		{"cut off", `{"ErrorCode":905`, 0, ""},
		{"line breaks and controls", `{"ErrorCode":905,"Message":"a\r\nb\u001b[31mc\u202ed\u0000"}`, 905, "a  b [31mc d"},
		{"address", `{"ErrorCode":905,"Message":"see https://x/?apikey=1&b=2 now"}`, 905, "see https://x/?… now"},
		{"token in it", `{"ErrorCode":905,"Message":"token ` + string(testToken) + ` is dead"}`, 905, "token [redacted] is dead"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := over(t, status(403, tt.body)).Profile(t.Context(), testToken)
			e, ok := errors.AsType[*idx.APIError](err)
			if !ok || e.Code != tt.code || e.Message != tt.message {
				t.Errorf("body %s: error = %#v, want code %d, message %q", tt.body, e, tt.code, tt.message)
			}
		})
	}
}

func TestAPIErrorText(t *testing.T) {
	tests := []struct {
		err  *idx.APIError
		want string
	}{
		{&idx.APIError{Status: 403, Code: 905, Message: "token is invalid"}, "LoginRadius answered HTTP 403 Forbidden, code 905: token is invalid"},
		{&idx.APIError{Status: 429, RetryAfter: time.Second}, "LoginRadius answered HTTP 429 Too Many Requests"},
		{&idx.APIError{Status: 599}, "LoginRadius answered HTTP 599"},
		{&idx.APIError{Status: 403, Message: "a\nb"}, "LoginRadius answered HTTP 403 Forbidden: a b"},
	}
	for _, tt := range tests {
		if got := tt.err.Error(); got != tt.want {
			t.Errorf("Error of %#v = %q, want %q", tt.err, got, tt.want)
		}
	}
	e := &idx.APIError{Message: strings.Repeat("ä", 1000)}
	if got := e.Error(); len(got) > 400 || strings.ContainsFunc(got, func(r rune) bool { return !unicode.IsPrint(r) }) {
		t.Errorf("Error of a long message = %q", got)
	}
}

func TestRateLimitedIsUnavailable(t *testing.T) {
	if !errors.Is(idx.ErrRateLimited, idx.ErrUnavailable) || errors.Is(idx.ErrUnavailable, idx.ErrRateLimited) {
		t.Error("ErrRateLimited is not within ErrUnavailable")
	}
}
