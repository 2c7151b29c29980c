package idx_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/idxauth/idxauth/idx"
)

// FuzzAnswer answers each call with bytes as they come over the wire, headers included:
// whoever sits in the API's place can do no more than refuse.
func FuzzAnswer(f *testing.F) {
	const ok = "HTTP/1.1 200 OK\r\n"
	for _, answer := range []string{
		"", "HTTP/1.1 200 OK", ok + "\r\n", ok + "\r\n" + smallProfile, ok + "\r\n" + smallProfile + smallProfile,
		ok + "Content-Length: 5\r\n\r\n" + smallProfile, ok + "Content-Length: 5000\r\n\r\n" + smallProfile, ok + "Content-Length: 0\r\n\r\n",
		ok + "Content-Encoding: gzip\r\n\r\n" + smallProfile, ok + "Content-Encoding: identity\r\n\r\n" + smallProfile, ok + "Content-Type: text/html\r\n\r\n<html>",
		ok + "Transfer-Encoding: chunked\r\n\r\n5\r\n{\"Uid\r\n0\r\n\r\n", ok + "Transfer-Encoding: chunked\r\n\r\nffffffff\r\n",
		ok + "\r\n" + `{"access_token":"x","expires_in":"2030-01-02T03:04:05Z","refresh_token":null}`, ok + "\r\n" + `{"expires_in":"soon"}`,
		ok + "\r\n" + `{"expires_in":"0001-01-01T00:00:00Z"}`, ok + "\r\n" + `{"expires_in":"2030-01-02T03:04:05Z","Expires_in":"2031-01-02T03:04:05Z"}`,
		ok + "\r\n" + `{"IsPosted":true}`, ok + "\r\n" + `{"IsPosted":false}`, ok + "\r\n" + `{"isposted":"yes","IsPosted":true}`,
		ok + "\r\n" + `{"Roles":["a","b"]}`, ok + "\r\n" + `{"Roles":null}`, ok + "\r\n" + `{"Roles":["a",1,["b"]]}`, ok + "\r\n" + `{"Roles":"a"}`,
		ok + "\r\n\xef\xbb\xbf" + smallProfile, ok + "\r\n" + strings.Repeat("[", 10000), ok + "\r\n" + strings.Repeat(`{"a":`, 10000), ok + "\r\n" + `{"Uid":NaN}`,
		"HTTP/1.1 302 Found\r\nLocation: https://evil.example/\r\n\r\n", "HTTP/1.1 307 Temporary Redirect\r\nLocation: //evil.example/\r\n\r\n" + smallProfile,
		"HTTP/1.1 301 Moved\r\nLocation: \x01\r\n\r\n", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", "HTTP/1.1 204 No Content\r\n\r\n", "HTTP/1.1 206 Partial\r\n\r\n" + smallProfile,
		"HTTP/1.1 429 Too Many\r\nRetry-After: 1\r\n\r\nToo many requests", "HTTP/1.1 429 Too Many\r\nRetry-After: -1\r\n\r\n", "HTTP/1.1 429 Too Many\r\nRetry-After: 1e9\r\n\r\n",
		"HTTP/1.1 429 Too Many\r\nRetry-After: 18446744073709551616\r\nRetry-After: 2\r\n\r\n", "HTTP/1.1 503 Down\r\nRetry-After: Fri, 31 Dec 9999 23:59:59 GMT\r\n\r\n",
		"HTTP/1.1 503 Down\r\nRetry-After: Sat, 01 Jan 2000 00:00:05 GMT\r\n\r\n<html>", "HTTP/1.1 502 Bad\r\n\r\n<html>" + strings.Repeat("x", 10000),
		"HTTP/1.1 500 Oops\r\n\r\n" + `{"Description":"d","ErrorCode":950,"Message":"m","IsProviderError":false,"ProviderErrorResponse":null}`,
		"HTTP/1.1 999 \r\n\r\n", "HTTP/1.1 000 \r\n\r\n", "HTTP/2.0 200 OK\r\n\r\n" + smallProfile, "ICY 200 OK\r\n\r\n",
	} {
		for call := range byte(5) {
			f.Add(call, []byte(answer))
		}
	}
	// The envelope of every code that has a meaning, as it is documented.
	for _, code := range []int{
		901, 902, 905, 906, 908, 909, 920, 921, 922, 923, 936, 937, 938, 950, 966, 970, 971, 984, 991, 1055, 1060, 1066, 1130, 1132, 1134, 1143, 1144,
		1148, 1162, 1164, 1196, 1198, 1206, 1207, 1212, 1214, 1217, 1220, 1226, 1248, 1249, 1264, 1338, 2005, 2006, 2007, 2008, 2010, 2014, 2024, 0, -1, 1 << 40,
	} {
		f.Add(byte(0), fmt.Appendf(nil, "HTTP/1.1 403 Forbidden\r\nContent-Type: application/json\r\n\r\n"+
			`{"Description":"long text","ErrorCode":%d,"Message":"short text","IsProviderError":false,"ProviderErrorResponse":null}`, code))
		f.Add(byte(2), fmt.Appendf(nil, "HTTP/1.1 400 Bad\r\n\r\n"+`{"errorCode":%d,"message":"%s","description":null,"Errors":[{"FieldName":"city","ErrorMessage":"x"}]}`, code, testToken))
	}
	f.Fuzz(func(t *testing.T, call byte, answer []byte) {
		if len(answer) > 1<<20 {
			return
		}
		synctest.Test(t, func(t *testing.T) {
			requests, last := 0, 0
			client := over(t, func(r *http.Request) (*http.Response, error) {
				requests++
				if r.URL.Host != "api.loginradius.com" || r.Header.Get("X-LoginRadius-ApiSecret") != "" && !strings.Contains(r.URL.Path, "/manage/") {
					t.Errorf("request to %s with %v", r.URL, r.Header)
				}
				resp, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(answer)), r)
				if err == nil {
					last = resp.StatusCode
				}
				return resp, err
			})
			began := time.Now()
			var err error
			switch ctx := t.Context(); call % 5 {
			case 0:
				var p *idx.Profile
				if p, err = client.Profile(ctx, testToken); err == nil && p.UID == "" {
					t.Error("a profile of nobody")
				}
			case 1:
				var expires time.Time
				if expires, err = client.Validate(ctx, testToken); (err == nil) == expires.IsZero() {
					t.Errorf("expires %v, %v", expires, err)
				}
			case 2:
				err = client.Invalidate(ctx, testToken)
			case 3:
				var p *idx.Profile
				if p, err = client.Account(ctx, testUID); err == nil && p.UID == "" {
					t.Error("an account of nobody")
				}
			case 4:
				var roles []string
				if roles, err = client.Roles(ctx, testUID); err != nil && roles != nil {
					t.Errorf("roles %q with %v", roles, err)
				}
			}
			if took := time.Since(began); took > 5*time.Second || requests > 3 {
				t.Errorf("%d requests in %v", requests, took)
			}
			if err == nil {
				if last != http.StatusOK && call%5 != 2 { // Invalidate: the token may have ended already
					t.Errorf("no error after status %d", last)
				}
				return
			}
			checkAPIError(t, err)
		})
	})
}

// checkAPIError wants an error of one class, whose text may stand in a log.
func checkAPIError(t *testing.T, err error) {
	t.Helper()
	n := 0
	for _, class := range []error{idx.ErrTokenInvalid, idx.ErrAccountDenied, idx.ErrConfig, idx.ErrUnavailable} {
		if errors.Is(err, class) {
			n++
		}
	}
	if n != 1 {
		t.Errorf("error %v is of %d classes", err, n)
	}
	text := err.Error()
	if len(text) > 500 || !utf8.ValidString(text) || strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
		t.Errorf("error text = %q", text)
	}
	for _, secret := range []string{string(testToken), string(testSecret), testKey} {
		if strings.Contains(text, secret) {
			t.Errorf("error text = %q, with a credential", text)
		}
	}
	if e, ok := errors.AsType[*idx.APIError](err); ok && (e.RetryAfter < 0 || e.RetryAfter > time.Hour) {
		t.Errorf("RetryAfter = %v", e.RetryAfter)
	}
}

// FuzzSignature sends webhooks with headers of a stranger's choice: without the secret
// none is let in, whatever else comes with it.
func FuzzSignature(f *testing.F) {
	right := sign(testSecret, smallHook)
	for _, headers := range []string{
		"", "Signature: ", "Signature: " + right[:63], "Signature: " + strings.Repeat("0", 64), "Signature: sha256=" + right[:10],
		"signature: x\r\nSignature: y", "Signature: \t", "X-Signature: " + sign("wrong", smallHook), "Signature: " + sign("", smallHook),
		"Content-Encoding: gzip\r\nSignature: 00", "Transfer-Encoding: chunked", "Signature: " + strings.Repeat("a", 100000), "Digest: x",
	} {
		f.Add(headers, []byte(smallHook))
	}
	f.Add("", []byte{})
	client := mustNew(f, idx.Config{APISecret: testSecret})
	f.Fuzz(func(t *testing.T, headers string, body []byte) {
		raw := "POST /auth/webhook HTTP/1.1\r\nHost: x\r\n" + strings.Trim(headers, "\r\n") + "\r\n\r\n"
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(raw)))
		if err != nil {
			return
		}
		r.Body = httptest.NewRequest("POST", "/", bytes.NewReader(body)).Body
		right := sign(testSecret, string(body))
		for _, values := range r.Header {
			for _, v := range values {
				if strings.Contains(strings.ToLower(v), right) {
					return // no stranger
				}
			}
		}
		hook, err := client.ParseWebhook(r)
		if hook != nil || err == nil {
			t.Fatalf("webhook %v of a forged request", hook)
		}
		if !errors.Is(err, idx.ErrWebhookSignature) && !errors.Is(err, idx.ErrWebhookTooLarge) && !errors.Is(err, idx.ErrWebhookMalformed) {
			t.Errorf("error %v is of no class", err)
		}
	})
}
