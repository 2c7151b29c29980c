package main

import (
	"net"
	"net/http"
	"time"

	"github.com/alexedwards/scs/goredisstore"
	"github.com/alexedwards/scs/v2"
	"github.com/redis/go-redis/v9"

	"github.com/idxauth/idxauth/internal/peers/site"
)

func openSCSProfile(env surroundings, _ net.Listener) (*site.Site, error) {
	return scsSite(env, scs.New(), profileOf, func(p Profile) string { return p.FirstName }), nil
}

func openSCS(env surroundings, _ net.Listener) (*site.Site, error) {
	return scsSite(env, scs.New(), userOf, func(u User) string { return u.FirstName }), nil
}

func openSCSIdle(env surroundings, _ net.Listener) (*site.Site, error) {
	sessions := scs.New()
	sessions.IdleTimeout = time.Hour
	return scsSite(env, sessions, profileOf, func(p Profile) string { return p.FirstName }), nil
}

// scsSite is what the reader of the tutorial ends up with.
func scsSite[T any](env surroundings, sessions *scs.SessionManager, userOf func(n int) T, nameOf func(T) string) *site.Site {
	sessions.Store = goredisstore.New(redis.NewClient(&redis.Options{Addr: env.redis}))
	page := func(w http.ResponseWriter, r *http.Request) {
		user, ok := sessions.Get(r.Context(), "user").(T)
		if !ok {
			http.Redirect(w, r, "/login", http.StatusFound)
			return
		}
		site.Greet(w, nameOf(user))
	}
	login := func(w http.ResponseWriter, r *http.Request) {
		if err := sessions.RenewToken(r.Context()); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		sessions.Put(r.Context(), "user", userOf(site.Number(r)))
	}
	return &site.Site{
		Page:  sessions.LoadAndSave(http.HandlerFunc(page)),
		Login: sessions.LoadAndSave(http.HandlerFunc(login)),
	}
}
