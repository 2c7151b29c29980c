package session

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// What stands in Redis may have been put there by somebody else. These targets go the
// whole way from the cookie to the session, with a Redis that answers what the fuzzer
// wants.

// answers is a Redis without a network: a hook of the client that answers by itself.
type answers struct {
	value []byte // to GET
	page  []any  // to EVALSHA: the rows
	pages int    // how many times there are more of them
}

func (a *answers) DialHook(redis.DialHook) redis.DialHook {
	return func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("no network") }
}

func (a *answers) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (a *answers) ProcessHook(redis.ProcessHook) redis.ProcessHook {
	return func(_ context.Context, cmd redis.Cmder) error {
		switch cmd := cmd.(type) {
		case *redis.StringCmd:
			if cmd.Name() == "get" {
				cmd.SetVal(string(a.value))
				return nil
			}
		case *redis.IntCmd:
			if cmd.Name() == "del" {
				return nil
			}
		case *redis.Cmd:
			more := int64(0)
			if a.pages--; a.pages > 0 {
				more = 1
			}
			cmd.SetVal(append([]any{more}, a.page...))
			return nil
		}
		err := errors.New("ERR unknown command")
		cmd.SetErr(err)
		return err
	}
}

func newAnswered(f *testing.F) (*answers, *Manager) {
	f.Helper()
	a := new(answers)
	client := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1", ContextTimeoutEnabled: true, ReadTimeout: time.Second})
	client.AddHook(a)
	f.Cleanup(func() { client.Close() })
	m, err := New(NewRedis(client, nil), Config{Name: "app", NearCache: NearCache{Off: true}, Logger: slog.New(slog.DiscardHandler), Idle: -1},
		func(uid, data string) (any, error) { return uid + " " + data, nil })
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { m.Close() })
	return a, m
}

// visitor is a browser with a session cookie, always the same: seeds must be the same
// in all of the fuzzer's processes.
type visitor struct {
	user   string
	secret secret
	tag    string
}

func newVisitor(user string) visitor {
	token := base64.RawURLEncoding.EncodeToString(bytes.Repeat([]byte(user[:1]), 32))
	return visitor{user, secret(token), userKey("app", user).Tag}
}

func (v visitor) request(m *Manager) *http.Request {
	return &http.Request{Header: http.Header{"Cookie": {m.CookieName() + "=" + v.tag + string(v.secret)}}}
}

// seal seals anything as a record of the visitor's, without chance.
func (v visitor) seal(plain []byte) []byte {
	n, key := v.secret.name(v.tag), v.secret.recordKey()
	nonce := make([]byte, nonceLen)
	return key.cipher().Seal(nonce, nonce, plain, appendPlace(nil, "app", &n))
}

var (
	fuzzExpires  = time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC)
	fuzzDeadline = time.Date(2201, 1, 1, 0, 0, 0, 0, time.UTC)
)

func (v visitor) plain() []byte {
	values := encodeValues(map[string]string{"k": `"v"`})
	r := record{created: 1790000000, deadline: fuzzDeadline.Unix(), user: v.user, data: "data", values: values}
	plain, err := r.appendTo(nil)
	if err != nil {
		panic(err)
	}
	return plain
}

func valueWith(data, label []byte) []byte {
	return valueOf(Record{Data: data, Label: label, Expires: fuzzExpires})
}

// FuzzLoad puts anything under the key of a session: it is the session as it was sealed,
// whatever its stamp, its mark and its label say, or a stranger's.
func FuzzLoad(f *testing.F) {
	ada, grace := newVisitor("ada"), newVisitor("grace")
	sealed := ada.seal(ada.plain())
	good := valueWith(sealed, nil)
	f.Add(good)
	f.Add(valueWith(sealed, []byte("label")))
	f.Add(valueWith(sealed, bytes.Repeat([]byte{0xff}, maxLabel)))
	f.Add(valueWith(grace.seal(grace.plain()), nil)) // another session's value
	f.Add(valueWith(nil, nil))
	f.Add(valueWith(sealed[:nonceLen], nil))
	f.Add(append(bytes.Clone(good), 0))
	f.Add(good[:len(good)-1])
	f.Add(append([]byte{good[0] | 0x80}, good[1:]...)) // says that there is a label
	f.Add(append([]byte{good[0] | 0x78}, good[1:]...)) // marked
	f.Add(append([]byte{0, 0, 0, 0, 0, 1}, sealed...)) // long over
	f.Add([]byte{})
	f.Add([]byte("OK"))
	f.Add(valueWith(bytes.Repeat([]byte{0}, maxSealed+1), nil))
	redis, m := newAnswered(f)
	f.Fuzz(func(t *testing.T, value []byte) {
		redis.value = value
		s, err := m.Load(ada.request(m))
		if err != nil {
			if !errors.Is(err, ErrNotFound) {
				t.Errorf("%x: %v, want ErrNotFound", value, err)
			}
			if bytes.Equal(value, good) {
				t.Error("the session's own record is not read")
			}
			return
		}
		if !bytes.Contains(value, sealed) {
			t.Fatalf("%x reads as a session", value)
		}
		if s.UserID() != "ada" || s.Principal() != "ada data" || !s.Deadline().Equal(fuzzDeadline) {
			t.Errorf("%x reads as %q, %q until %v", value, s.UserID(), s.Principal(), s.Deadline())
		}
		// Nobody can be seen by way of another one's record.
		redis.value = value
		if s, err := m.Load(grace.request(m)); err == nil {
			t.Errorf("%x is also a session of %q", value, s.UserID())
		}
	})
}

// FuzzSealed is FuzzLoad behind the seal: what other releases may have written, or
// somebody who has the token.
func FuzzSealed(f *testing.F) {
	ada := newVisitor("ada")
	plain := ada.plain()
	f.Add(plain)
	f.Add(plain[:len(plain)-1])
	f.Add(append(bytes.Clone(plain), "a field of a later release"...))
	f.Add([]byte{recordVersion + 1})
	f.Add([]byte{})
	f.Add([]byte{recordVersion, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 1, 'u', 0, 0})
	past := record{created: 1, deadline: 2, user: "ada"}
	b, _ := past.appendTo(nil)
	f.Add(b)
	redis, m := newAnswered(f)
	f.Fuzz(func(t *testing.T, plain []byte) {
		redis.value = valueWith(ada.seal(plain), nil)
		s, err := m.Load(ada.request(m))
		if err != nil {
			if !errors.Is(err, ErrNotFound) {
				t.Errorf("%x: %v, want ErrNotFound", plain, err)
			}
			return
		}
		if s.UserID() == "" || !s.Deadline().After(time.Now()) || s.Created().After(s.Deadline()) {
			t.Errorf("%x reads as %q, from %v until %v", plain, s.UserID(), s.Created(), s.Deadline())
		}
		ctx := NewContext(context.Background(), s)
		if v, ok, err := Get[string](ctx, "k"); ok && err == nil && !bytes.Contains(plain, []byte("k")) {
			t.Errorf("%x holds %q", plain, v)
		}
		if text := fmt.Sprintf("%v %+v", s, s); strings.Contains(text, string(ada.secret)) {
			t.Errorf("prints as %s", text)
		}
	})
}

// FuzzList answers a question for the sessions of a user with rows of anything: what is
// not the user's own says nothing about anybody.
func FuzzList(f *testing.F) {
	ada := newVisitor("ada")
	n := ada.secret.name(ada.tag)
	device := Device{"Firefox on Linux", "192.0.2.0/24"}
	label := sealDevice("app", "ada", &n, device, 1790000000)
	foreign := sealDevice("app", "grace", &n, device, 1790000000)
	stamp := string(valueWith(nil, nil))
	id := string(n.id())
	f.Add(id, int64(1800000000), stamp, string(label), byte(0))
	f.Add(id, int64(1800000000), stamp, string(foreign), byte(1))
	f.Add(id, int64(-1<<63), "\xff\xff\xff\xff\xff\xff", "", byte(2))
	f.Add("", int64(1<<63-1), "", "", byte(3))
	f.Add(id[:15], int64(0), stamp[:5], "x", byte(4))
	f.Add(strings.Repeat("x", 1000), int64(0), stamp, string(label[:len(label)-1]), byte(5))
	for kind := range byte(12) {
		f.Add(id, int64(1), stamp, string(label), kind)
	}
	redis, m := newAnswered(f)
	f.Fuzz(func(t *testing.T, rowID string, deadline int64, stamp, rowLabel string, kind byte) {
		row := []any{rowID, deadline, stamp, rowLabel}
		pages := 1
		switch kind % 12 {
		case 1:
			row[0] = nil
		case 2:
			row[1] = "1800000000"
		case 3:
			row[2] = deadline
		case 4:
			row[3] = []any{rowLabel}
		case 5:
			row = row[:2]
		case 6:
			row = nil
		case 7:
			row = append(row, "more")
		case 8:
			pages = 3
		}
		redis.page, redis.pages = []any{row, row}, pages
		if kind%12 == 9 {
			redis.page = []any{rowID, nil, errors.New(stamp)}
		}
		infos, err := m.List(context.Background(), "ada")
		if err != nil {
			if !errors.Is(err, ErrUnavailable) {
				t.Errorf("%v: %v", row, err)
			}
			return
		}
		for _, info := range infos {
			if info.Device != (Device{}) && (info.Device != device || rowID != id || rowLabel != string(label)) {
				t.Errorf("%v reads as %+v", row, info)
			}
			if raw, err := base64.RawURLEncoding.DecodeString(info.ID); err != nil || len(raw) != hashLen {
				t.Errorf("%v has the handle %q, which ends nothing", row, info.ID)
			}
			if info.Device == (Device{}) && !info.Created.IsZero() || info.Expires.Year() > 2300 || info.Current {
				t.Errorf("%v reads as %+v", row, info)
			}
		}
		redis.pages = 1
		if _, err := m.MarkUser(context.Background(), "ada"); err != nil && !errors.Is(err, ErrUnavailable) {
			t.Errorf("%v: %v", row, err)
		}
		redis.pages = 1
		if _, err := m.RevokeUser(context.Background(), "ada", nil); err != nil && !errors.Is(err, ErrUnavailable) {
			t.Errorf("%v: %v", row, err)
		}
	})
}

// FuzzInvalidation reads names of keys that Redis tells the near cache of.
func FuzzInvalidation(f *testing.F) {
	store := &redisStore{prefix: "p:"}
	w := &watch{store: store, space: "app", prefix: "p:app:s:"}
	n := newVisitor("ada").secret.name("ab")
	key := store.record(n.key("app"))
	for _, k := range []string{key, key[:len(key)-1], key + "x", "p:app:s:{ab}", "p:app:s:{}", "", "p:app:u:{ab}:" + string(n.id()), strings.Replace(key, "}:", "}}", 1)} {
		f.Add(k)
	}
	f.Fuzz(func(t *testing.T, key string) {
		if n, ok := w.nameOf(key); ok && store.record(n.key("app")) != key {
			t.Errorf("%q is taken for %q", key, n)
		}
	})
}
