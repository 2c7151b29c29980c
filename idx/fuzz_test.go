package idx_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/idxauth/idxauth/idx"
)

func FuzzProfile(f *testing.F) {
	for _, body := range []string{
		fullProfile, smallProfile, "", "null", "[]", smallProfile + "x", `{"Uid":null}`, `{"Uid":"u","UID":"v"}`,
		`{"Uid":"u","IsActive":false,"I\u017fActive":true}`, `{"Uid":"u","Password":"hash","x":[{}]}`,
		`{"Uid":"u","Email":[{"Type":"Primary","Value":"a@b.test"},"c@d.test",null]}`,
		`{"Uid":"u","Roles":["a",null],"Country":"NO","CustomFields":{"a":1}}`,
		`{"Uid":"u","CreatedDate":"2026-01-02T03:04:05.1234567","PreviousUids":[{"Uid":"v"}]}`,
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		p, err := decoded(t, string(body))
		if err != nil {
			if p != nil || !errors.Is(err, idx.ErrUnavailable) {
				t.Errorf("profile %v, error %v", p, err)
			}
			return
		}
		if p.UID == "" || len(p.UID) > 256 || !utf8.ValidString(p.UID) || strings.ContainsFunc(p.UID, unicode.IsControl) {
			t.Errorf("UID = %q", p.UID)
		}
		if p.Email == "" && len(p.Emails) > 0 && p.Emails[0] != "" {
			t.Errorf("no Email of %q", p.Emails)
		}
		if !json.Valid(p.Raw) {
			t.Errorf("Raw = %q", p.Raw)
		}
		// A reader that is less careful must come to the same verdicts, if to any.
		var plain struct {
			UID                                string `json:"Uid"`
			IsActive, IsDeleted, EmailVerified *bool
			Roles                              []string
			Password, LastPasswordChangeToken  any
		}
		if err := json.Unmarshal(p.Raw, &plain); err != nil {
			return // booleans as text
		}
		is := func(flag *bool, absent bool) bool {
			if flag == nil {
				return absent
			}
			return *flag
		}
		if p.UID != plain.UID || p.IsActive != is(plain.IsActive, true) || p.IsDeleted != is(plain.IsDeleted, false) ||
			p.EmailVerified != is(plain.EmailVerified, false) || len(p.Roles) > len(plain.Roles) {
			t.Errorf("profile %+v of %s, but encoding/json reads %+v", p, body, plain)
		}
		if plain.Password != nil || plain.LastPasswordChangeToken != nil {
			t.Errorf("Raw has a password: %s", p.Raw)
		}
	})
}

func FuzzErrorEnvelope(f *testing.F) {
	for _, body := range []string{
		`{"Description":"long text","ErrorCode":905,"Message":"short text","IsProviderError":false,"ProviderErrorResponse":null}`,
		`{"errorCode":"906","message":"x"}`, `{"ErrorCode":905,"errorcode":901}`, "Too many requests", "<html>", "",
		`{"ErrorCode":99999999999999999999,"Message":"\u001b[2J\r\n"}`, `{"Message":"` + strings.Repeat("ä", 200) + `"}`,
	} {
		f.Add(403, "1", []byte(body))
		f.Add(429, "Sat, 01 Jan 2000 00:01:00 GMT", []byte(body))
		f.Add(503, "99999999999999999999", []byte(body))
	}
	f.Fuzz(func(t *testing.T, code int, retryAfter string, body []byte) {
		if code < 100 || code > 999 || code == 200 {
			t.Skip()
		}
		synctest.Test(t, func(t *testing.T) {
			_, err := over(t, status(code, string(body), "Retry-After", retryAfter)).Profile(t.Context(), testToken)
			e, ok := errors.AsType[*idx.APIError](err)
			if !ok || e.Status != code || e.RetryAfter < 0 || e.RetryAfter > time.Hour {
				t.Fatalf("error = %#v", err)
			}
			checkAPIError(t, err)
			if code < 400 && (e.Code != 0 || e.Message != "") {
				t.Errorf("error of a %d has a code or message: %v", code, err)
			}
		})
	})
}
