package secrets

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/idxauth/idxauth/internal/redistest"
)

// lockedRedis starts a Redis with a password, which is secret, and returns its address.
func (r *record) lockedRedis(t *testing.T) (server *redistest.Server, address string) {
	t.Helper()
	const word = "rp-4Jw8Yt2LcPq6Zs0Gh3Nv"
	r.enter(redisPassword, word)
	server = redistest.Start(t)
	if !server.Real() {
		t.Skip("the stand-in knows neither passwords nor MONITOR: what Redis is told was not searched")
	}
	if err := server.Patient().ConfigSet(t.Context(), "requirepass", word).Err(); err != nil {
		t.Fatal(err)
	}
	return server, "redis://:" + word + "@" + server.Addr
}

// monitor keeps everything that server is told until the test ends.
func (r *record) monitor(t *testing.T, address string) {
	t.Helper()
	word, host, _ := strings.Cut(strings.TrimPrefix(address, "redis://:"), "@")
	conn, err := net.Dial("tcp", host)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(conn, "AUTH %s\r\nMONITOR\r\n", word)
	in := bufio.NewReader(conn)
	for range 2 {
		if line, err := in.ReadString('\n'); line != "+OK\r\n" {
			t.Fatalf("MONITOR: %q, %v", line, err)
		}
	}
	var done sync.WaitGroup
	done.Go(func() {
		for {
			line, err := in.ReadString('\n')
			if err != nil {
				return
			}
			r.keep(redisSaid, "", unescaped(line))
		}
	})
	t.Cleanup(func() {
		conn.Close()
		done.Wait()
	})
}

// unescaped is a line of MONITOR with its bytes as they were.
func unescaped(line string) string {
	var out strings.Builder
	for line != "" {
		start := strings.IndexByte(line, '"')
		if start < 0 {
			break
		}
		out.WriteString(line[:start] + " ")
		quoted, err := strconv.QuotedPrefix(line[start:])
		if err != nil {
			break
		}
		plain, _ := strconv.Unquote(quoted)
		out.WriteString(plain)
		line = line[start+len(quoted):]
	}
	return out.String() + line
}

// dump keeps every key and value.
func (r *record) dump(t *testing.T, c *redis.Client) (keys int) {
	t.Helper()
	ctx := context.Background()
	for found := c.Scan(ctx, 0, "*", 1000).Iterator(); found.Next(ctx); keys++ {
		key := found.Val()
		r.keep(redisKept, "", key+"\n"+c.Dump(ctx, key).Val())
		switch c.Type(ctx, key).Val() {
		case "string":
			r.keep(redisKept, "", c.Get(ctx, key).Val())
		case "zset":
			r.keep(redisKept, "", fmt.Sprint(c.ZRangeWithScores(ctx, key, 0, -1).Val()))
		default:
			t.Fatalf("a key of an unexpected type: %q", key)
		}
	}
	return keys
}

// liar is a server that answers each command with what say makes of it.
func liar(t *testing.T, say func(command string) string) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	var mu sync.Mutex
	var all []net.Conn
	serving.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			all = append(all, conn)
			mu.Unlock()
			serving.Go(func() {
				defer conn.Close()
				buf := make([]byte, 64<<10)
				for {
					n, err := conn.Read(buf)
					if err != nil {
						return
					}
					if _, err := conn.Write([]byte(say(string(buf[:n])))); err != nil {
						return
					}
				}
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		mu.Lock()
		for _, conn := range all {
			conn.Close()
		}
		mu.Unlock()
		serving.Wait()
	})
	return l.Addr().String()
}

// words are the arguments of a command as it was sent.
func words(command string) []string {
	var all []string
	for line := range strings.SplitSeq(command, "\r\n") {
		if line != "" && line[0] != '*' && line[0] != '$' {
			all = append(all, line)
		}
	}
	return all
}
