package idx_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/idxauth/idxauth/idx"
)

// forms returns all the ways in which values get printed.
func forms(value any) map[string]string {
	out := map[string]string{}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "% x", "%20s", "%-5.3v", "%t", "%e"} {
		out[verb] = fmt.Sprintf(verb, value)
	}
	out["Sprint"] = fmt.Sprint(value)
	var b bytes.Buffer
	slog.New(slog.NewTextHandler(&b, nil)).Info("x", "value", value)
	out["slog text"] = b.String()
	b.Reset()
	slog.New(slog.NewJSONHandler(&b, nil)).Info("x", "value", value)
	out["slog JSON"] = b.String()
	text, err := json.Marshal(value)
	out["JSON"] = fmt.Sprint(string(text), err)
	return out
}

// leaks returns the spellings of secret that may not be printed.
func leaks(secret string) []string {
	return []string{secret, url.QueryEscape(secret), fmt.Sprintf("%x", secret), fmt.Sprintf("%X", secret), fmt.Sprintf("% x", secret), secret[:8]}
}

func checkHidden(t *testing.T, name string, value any) {
	t.Helper()
	for form, text := range forms(value) {
		for _, secret := range []string{string(testToken), string(testSecret)} {
			for _, leak := range leaks(secret) {
				if strings.Contains(text, leak) {
					t.Errorf("%s as %s shows a secret: %s", name, form, text)
				}
			}
		}
	}
}

func TestSecretsAreNotPrinted(t *testing.T) {
	cfg := idx.Config{AppName: "my-app", APIKey: testKey, APISecret: testSecret, WebhookSecrets: []idx.Secret{testSecret}}
	client := mustNew(t, cfg)
	token, secret := testToken, testSecret
	type holder struct {
		Token  idx.Token
		Config idx.Config
		client *idx.Client
		value  idx.Client
	}
	for name, value := range map[string]any{
		"Token": token, "*Token": &token, "Secret": secret, "*Secret": &secret,
		"Config": cfg, "*Config": &cfg, "*Client": client, "Client": *client,
		"struct": holder{token, cfg, client, *client},
		"slice":  []any{token, secret, client},
		"map":    map[string]any{"token": token, "secret": secret},
	} {
		checkHidden(t, name, value)
	}
	type document struct{ Token idx.Token }
	if text, err := xml.Marshal(document{token}); err != nil || strings.Contains(string(text), string(token)) {
		t.Errorf("XML shows a secret: %s, %v", text, err)
	}
	if got := fmt.Sprint(token.String(), token.GoString(), secret.String(), secret.GoString()); strings.ContainsAny(got, "0123456789") {
		t.Errorf("String and GoString return %s", got)
	}
	if got := fmt.Sprintf("%v|%q|%#v|%v|%v", token, token, secret, idx.Token(""), client); got != "[redacted]|[redacted]|[redacted]||idx.Client(my-app)" {
		t.Errorf("printed %s", got)
	}
	if got := fmt.Sprint(idx.Client{}); got != "idx.Client()" {
		t.Errorf("zero Client prints as %s", got)
	}
}

// credentials is all that r tells the far side, which could come back in an error.
func credentials(r *http.Request) string {
	token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	secret := r.Header.Get("X-LoginRadius-ApiSecret")
	return strings.Join([]string{token, secret, url.QueryEscape(secret), r.URL.Query().Get("apikey"), r.URL.String()}, " ")
}

func TestSecretsAreNotInErrors(t *testing.T) {
	quoted := func(s string) string { return strings.Trim(fmt.Sprintf("%q", s), `"`) }
	apis := map[string]transport{
		"envelope": func(r *http.Request) (*http.Response, error) {
			return response(403, nil, `{"ErrorCode":905,"Message":"`+quoted(credentials(r))+`"}`), nil
		},
		"envelope that is cut within the token": func(r *http.Request) (*http.Response, error) {
			return response(403, nil, `{"ErrorCode":901,"Message":"`+strings.Repeat("x", 280)+quoted(credentials(r))+`"}`), nil
		},
		"garbage": func(r *http.Request) (*http.Response, error) {
			return response(200, nil, credentials(r)), nil
		},
		"keys of a profile": func(r *http.Request) (*http.Response, error) {
			return response(200, nil, `{"`+quoted(credentials(r))+`":1}`), nil
		},
		"transport": func(r *http.Request) (*http.Response, error) {
			return nil, fmt.Errorf("%s %s: %v %s", r.Method, r.URL, r.Header, credentials(r))
		},
		"nested URL error": func(r *http.Request) (*http.Response, error) {
			return nil, fmt.Errorf("wrapped: %w", &url.Error{Op: "Get", URL: r.URL.String(), Err: errors.New("no route")})
		},
		"redirect": func(r *http.Request) (*http.Response, error) {
			return response(302, http.Header{"Location": {"http://%zz/?" + credentials(r)}}, ""), nil
		},
	}
	calls := map[string]func(*idx.Client, context.Context) error{
		"Profile":    func(c *idx.Client, ctx context.Context) error { _, err := c.Profile(ctx, testToken); return err },
		"Validate":   func(c *idx.Client, ctx context.Context) error { _, err := c.Validate(ctx, testToken); return err },
		"Invalidate": func(c *idx.Client, ctx context.Context) error { return c.Invalidate(ctx, testToken) },
		"Account":    func(c *idx.Client, ctx context.Context) error { _, err := c.Account(ctx, testUID); return err },
		"Roles":      func(c *idx.Client, ctx context.Context) error { _, err := c.Roles(ctx, "not there"); return err },
	}
	for apiName, api := range apis {
		for callName, call := range calls {
			t.Run(apiName+"/"+callName, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					err := call(over(t, api), t.Context())
					if err == nil {
						return // an invalid token is invalidated, and nothing in Roles was needed
					}
					checkHidden(t, "error", err)
					if e, ok := errors.AsType[*idx.APIError](err); ok {
						checkHidden(t, "APIError", e)
						checkHidden(t, "copy of APIError", *e)
					}
					if text := err.Error(); strings.Contains(text, testKey) || strings.Contains(text, "fields=") {
						t.Errorf("error shows the query: %s", text)
					}
				})
			})
		}
	}
}

// What an API, or whoever stands in front of it, repeats of a credential: in pieces and
// encoded; and what it says about the user.
func TestErrorsDoNotRepeatSecrets(t *testing.T) {
	token := string(testToken)
	said := map[string]string{
		"upper case":     strings.ToUpper(token),
		"the beginning":  token[:len(token)/2],
		"the end":        token[len(token)/2:],
		"base64":         base64.StdEncoding.EncodeToString([]byte(token)),
		"base64 of half": base64.RawURLEncoding.EncodeToString([]byte(token[:18])),
		"hex":            hex.EncodeToString([]byte(token)),
		"escaped":        strings.ReplaceAll(token, "-", "%2D"),
		"in a path":      "https://api.example/users/" + token + "/x",
		"e-mail address": "ada.lovelace@example.com",
		"user id":        testUID,
		"phone number":   "+447911123456",
	}
	for name, what := range said {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, err := over(t, func(*http.Request) (*http.Response, error) {
					return response(403, nil, `{"ErrorCode":905,"Message":"The session of (`+what+`) is over"}`), nil
				}).Profile(t.Context(), testToken)
				wantSilence(t, err, what)
				if e, ok := errors.AsType[*idx.APIError](err); !ok || !strings.HasPrefix(e.Message, "The session of (") || !strings.HasSuffix(e.Message, ") is over") {
					t.Errorf("the rest of the message is gone: %v", err)
				}
				_, err = over(t, func(*http.Request) (*http.Response, error) {
					return nil, talkative{"cannot send " + what}
				}).Profile(t.Context(), testToken)
				wantSilence(t, err, what)
				if !errors.Is(err, io.ErrClosedPipe) || !errors.Is(err, idx.ErrUnavailable) {
					t.Errorf("%v does not match its cause", err)
				}
			})
		})
	}
}

// wantSilence looks for what, or the most of it, in err and all that is in it.
func wantSilence(t *testing.T, err error, what string) {
	t.Helper()
	what = strings.TrimPrefix(what, "https://api.example/users/")
	for ; err != nil; err = errors.Unwrap(err) {
		text := fmt.Sprintf("%v %+v %#v %d", err, err, err, err)
		for i := range len(what) - 10 + 1 {
			if strings.Contains(strings.ToLower(text), strings.ToLower(what[i:i+10])) {
				t.Errorf("%T shows %q: %s", err, what, text)
				break
			}
		}
	}
}

// talkative is an error that is a value, so that %#v of what holds it prints it too.
type talkative struct{ text string }

func (e talkative) Error() string { return e.text }
func (e talkative) Unwrap() error { return io.ErrClosedPipe }
