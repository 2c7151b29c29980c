package session_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/idxauth/idxauth/session"
)

func TestParseRedisURL(t *testing.T) {
	for _, tt := range []struct {
		in   string
		want string // addresses, user, password, database, master, TLS
	}{
		{"redis://localhost", "[localhost:6379] : 0  false"},
		{"redis://localhost:6380/3", "[localhost:6380] : 3  false"},
		{"redis://localhost/", "[localhost:6379] : 0  false"},
		{"redis://:p%40ss@localhost", "[localhost:6379] :p@ss 0  false"},
		{"redis://ada:p:@ss@10.0.0.1:1", "[10.0.0.1:1] ada:p:@ss 0  false"},
		{"rediss://ada:secret@redis.example", "[redis.example:6379] ada:secret 0  true"},
		{"redis://[::1]:7000", "[[::1]:7000] : 0  false"},
		{"redis://[::1]", "[[::1]:6379] : 0  false"},
		{"redis://a:1,b:2,c:3", "[a:1 b:2 c:3] : 0  false"},
		{"redis://u:p@a,b", "[a:6379 b:6379] u:p 0  false"},
		{"redis://a:1?addr=b:2&addr=c:3", "[a:1 b:2 c:3] : 0  false"},
		{"redis+sentinel://a,b:2/mymaster", "[a:26379 b:2] : 0 mymaster false"},
		{"rediss+sentinel://u:p@a:1/mymaster/2", "[a:1] u:p 2 mymaster true"},
	} {
		t.Run(tt.in, func(t *testing.T) {
			o, err := session.ParseRedisURL(tt.in)
			if err != nil {
				t.Fatal(err)
			}
			got := fmt.Sprintf("%v %s:%s %d %s %v", o.Addrs, o.Username, o.Password, o.DB, o.MasterName, o.TLSConfig != nil)
			if got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
			if o.DialTimeout != 500*time.Millisecond || o.ReadTimeout != 250*time.Millisecond ||
				o.WriteTimeout != 250*time.Millisecond || o.PoolTimeout != 250*time.Millisecond || !o.ContextTimeoutEnabled {
				t.Errorf("time limits: %+v", o)
			}
			client := redis.NewUniversalClient(o)
			defer client.Close()
			if _, cluster := client.(*redis.ClusterClient); cluster != (len(o.Addrs) > 1 && o.MasterName == "") {
				t.Errorf("got a %T", client)
			}
		})
	}
}

func TestParseRedisURLRefuses(t *testing.T) {
	for _, in := range []string{
		"", "localhost:6379", "http://localhost", "redis:localhost", "unix:///tmp/redis.sock",
		"redis://", "redis://:6379", "redis://a:1,", "redis://a:b", "redis://a:0", "redis://a:70000", "redis://a b",
		"redis://a/x", "redis://a/-1", "redis://a/1/2", "redis://a,b/1", "redis://a?db=1", "redis://a#x", "redis://a?addr=%zz",
		"redis+sentinel://a:1", "redis+sentinel://a:1/", "redis+sentinel://a:1/m/x",
		"redis://u:s3cret#x@a:1", "redis://u:s3cret/x@a:1", "redis://u:s3cret?x@a:1", "redis://u:s3cret%zz@a:1", "redis://u:s3cret@a:b",
	} {
		t.Run(in, func(t *testing.T) {
			o, err := session.ParseRedisURL(in)
			if err == nil {
				t.Fatalf("got %+v, want an error", o)
			}
			if strings.Contains(err.Error(), "s3cret") {
				t.Errorf("the error holds the password: %v", err)
			}
		})
	}
}

// FuzzParseRedisURL: what is read can be dialled, and no error shows a password, wherever
// in the address it has landed.
func FuzzParseRedisURL(f *testing.F) {
	for _, in := range []string{
		"redis://u:{password}@a:1,b:2/1?addr=c:3", "rediss+sentinel://:{password}@[::1]/m/2", "redis://", "redis://u:{password}#x@a:1",
		"redis://{password}", "redis://u:{password}%zz@a", "redis://a:{password}", "{password}://a", "redis://a/{password}", "redis://a?{password}=1",
		"redis+sentinel://a/m?password={password}", "unix://u:{password}@/x",
	} {
		f.Add(in)
	}
	f.Fuzz(func(t *testing.T, in string) {
		o, err := session.ParseRedisURL(strings.ReplaceAll(in, "{password}", "s3cret"))
		if err == nil && len(o.Addrs) == 0 {
			t.Errorf("%q: no address", in)
		}
		if err != nil && strings.Contains(err.Error(), "s3cret") && strings.Contains(in, ":{password}@") {
			t.Errorf("%q: %v", in, err)
		}
	})
}
