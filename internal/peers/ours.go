package main

import (
	"net"
	"net/http"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/idxauth/idxauth/idx"
	"github.com/idxauth/idxauth/internal/peers/site"
	"github.com/idxauth/idxauth/middleware"
	"github.com/idxauth/idxauth/session"
)

// coldConfig reads every session from Redis: it switches the near cache off.
func coldConfig() session.Config {
	return session.Config{NearCache: session.NearCache{Off: true}}
}

func openWarm(env surroundings, l net.Listener) (*site.Site, error) {
	return openOurs(env, l, session.Config{})
}

func openCold(env surroundings, l net.Listener) (*site.Site, error) {
	return openOurs(env, l, coldConfig())
}

// openOurs has default settings but for one: accounts are not read again, for the
// sessions were all made within seconds, and so would all be due within seconds.
func openOurs(env surroundings, l net.Listener, settings session.Config) (*site.Site, error) {
	options, err := session.ParseRedisURL("redis://" + env.redis)
	if err != nil {
		return nil, err
	}
	return ours(env.hub, l, session.NewRedis(redis.NewUniversalClient(options), nil), settings)
}

func ours(hub idx.Config, l net.Listener, store session.Store, settings session.Config) (*site.Site, error) {
	auth, err := middleware.New(middleware.Config{
		IDX:        hub,
		BaseURL:    "http://" + l.Addr().String(),
		Store:      store,
		Session:    settings,
		Revalidate: 24 * time.Hour,
	})
	if err != nil {
		return nil, err
	}
	page := auth.RequireLogin(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		site.Greet(w, middleware.User(r.Context()).FirstName)
	}))
	return &site.Site{Page: page, Auth: auth.Handler()}, nil
}
