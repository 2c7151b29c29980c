package session_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/idxauth/idxauth/session"
)

// What is no Redis, or an old one, or a proxy, repeats the command with which a client
// signs in. No error and no log line passes it on.
func TestErrorsDoNotShowThePasswordOfRedis(t *testing.T) {
	const password = "a-password-of-redis"
	for name, form := range map[string]string{"error": "-ERR unknown command, with args: %s\r\n", "text": "+%s\r\n", "number": ":%s\r\n", "length": "$%s\r\n"} {
		t.Run(name, func(t *testing.T) {
			addr := repeater(t, form)
			options, err := session.ParseRedisURL("redis://user:" + password + "@" + addr)
			if err != nil {
				t.Fatal(err)
			}
			client := redis.NewClient(options.Simple())
			defer client.Close()
			var log bytes.Buffer
			m, err := session.New(session.NewRedis(client, nil), session.Config{Name: "shop", Logger: slog.New(slog.NewTextHandler(&log, nil))}, nil)
			if err != nil {
				t.Fatal(err)
			}
			for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%d", "%t"} {
				log.WriteString(fmt.Sprintf(verb+verb, m, struct{ s session.Store }{session.NewRedis(client, nil)}))
			}
			_, errStart := m.Start(t.Context(), httptest.NewRecorder(), session.NewSession{UserID: "u"})
			r := httptest.NewRequest("GET", "/", nil)
			r.AddCookie(&http.Cookie{Name: m.CookieName(), Value: strings.Repeat("A", 45)})
			_, errLoad := m.Load(r)
			_, errList := m.List(t.Context(), "u")
			m.Close()
			said := log.String()
			for _, err := range []error{errStart, errLoad, errList, m.Ping(t.Context())} {
				if err != nil && !errors.Is(err, session.ErrUnavailable) {
					t.Errorf("%v is not ErrUnavailable", err)
				}
				said += everything(err)
			}
			if strings.Contains(said, password) {
				t.Errorf("the password is shown: %s", said)
			}
		})
	}
}

// everything is what can be read of err and the errors in it.
func everything(err error) string {
	if err == nil {
		return ""
	}
	said := fmt.Sprintf("%v %+v %#v %d\n", err, err, err, err)
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		for _, one := range many.Unwrap() {
			said += everything(one)
		}
	}
	return said + everything(errors.Unwrap(err))
}

// repeater is a server that answers each command with its words.
func repeater(t *testing.T, form string) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	t.Cleanup(serving.Wait)
	t.Cleanup(func() { l.Close() })
	serving.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { // ends with the client's connection
				defer conn.Close()
				buf := make([]byte, 16<<10)
				for {
					n, err := conn.Read(buf)
					if err != nil {
						return
					}
					fmt.Fprintf(conn, form, strings.ReplaceAll(string(buf[:n]), "\r\n", " "))
				}
			})
		}
	})
	return l.Addr().String()
}
