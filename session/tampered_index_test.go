package session_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/idxauth/idxauth/session"
)

// Who can write to Redis can put anything into the index of a user's sessions: lists end
// all the same, and the sessions that there are can be seen and ended.
func TestTamperedIndex(t *testing.T) {
	const more = 1200 // members, so that there are several pages
	members := func(id string) []redis.Z {
		var all []redis.Z
		for i := range more {
			all = append(all, redis.Z{Score: float64(i), Member: fmt.Sprintf("%s%04d", id, i)})
		}
		return all
	}
	for name, tt := range map[string]struct {
		members []redis.Z
		records bool // there are records under the members
	}{
		"no members of ours":       {members("x"), false},
		"with records":             {members("x"), true},
		"long members":             {members(strings.Repeat("x", 1000)), true},
		"the empty member":         {append(members("x")[:499], redis.Z{Score: 499, Member: ""}), true},
		"scores that are no times": {[]redis.Z{{Score: 1e300, Member: "a"}, {Score: -1e300, Member: "b"}, {Score: 0.5, Member: "c"}}, true},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			server, m := newRedis(t, session.Config{})
			if !server.Real() {
				t.Skip("redis-server is not installed: what scripts make of strange members was not tested")
			}
			s, r := signIn(t, m, "ada")
			record := recordKey(r, s)
			value := server.Client().Get(ctx, record).Val()
			index := server.Client().Keys(ctx, "app:u:*").Val()[0]
			if err := server.Client().ZAdd(ctx, index, tt.members...).Err(); err != nil {
				t.Fatal(err)
			}
			if tt.records {
				pipe := server.Client().Pipeline()
				for _, z := range tt.members {
					pipe.Set(ctx, record[:len("app:s:{ab}:")]+z.Member.(string), value, time.Hour)
				}
				if _, err := pipe.Exec(ctx); err != nil {
					t.Fatal(err)
				}
			}
			done := make(chan error, 1)
			go func() {
				infos, err := m.List(ctx, "ada")
				if err == nil && (len(infos) != 1 || infos[0].ID != s.ID()) {
					err = fmt.Errorf("%d sessions, want the user's own", len(infos))
				}
				done <- err
			}()
			select {
			case err := <-done:
				if err != nil {
					t.Error(err)
				}
			case <-time.After(10 * time.Second):
				t.Fatal("the list does not end")
			}
			if _, err := m.RevokeUser(ctx, "ada", nil); err != nil {
				t.Error(err)
			}
			wantStranger(t, m, r)
		})
	}
}
