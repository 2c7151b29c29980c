package main

import (
	"bytes"
	"context"
	"net"
	"net/http"

	"github.com/redis/go-redis/v9"

	"github.com/idxauth/idxauth/internal/peers/site"
)

// openBare is the page alone: nobody can be faster.
func openBare(surroundings, net.Listener) (*site.Site, error) {
	return &site.Site{Page: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		site.Greet(w, site.Name(0))
	})}, nil
}

// openOneGet asks Redis once for as many bytes as a session of ours has, and does
// nothing with them: the least that a session read from Redis each time can cost
// with the usual client.
func openOneGet(env surroundings, _ net.Listener) (*site.Site, error) {
	const key = "one-get"
	client := redis.NewClient(&redis.Options{Addr: env.redis})
	if err := client.Set(context.Background(), key, bytes.Repeat([]byte{'x'}, 260), 0).Err(); err != nil {
		return nil, err
	}
	return &site.Site{Page: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := client.Get(r.Context(), key).Err(); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		site.Greet(w, site.Name(0))
	})}, nil
}
