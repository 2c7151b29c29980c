package main

import (
	"net"
	"net/http"

	"github.com/boj/redistore"

	"github.com/idxauth/idxauth/internal/peers/site"
)

func openGorillaProfile(env surroundings, _ net.Listener) (*site.Site, error) {
	return gorillaSite(env, profileOf, func(p Profile) string { return p.FirstName })
}

func openGorilla(env surroundings, _ net.Listener) (*site.Site, error) {
	return gorillaSite(env, userOf, func(u User) string { return u.FirstName })
}

// gorillaSite has the store as its README makes it, with a pool of ten.
func gorillaSite[T any](env surroundings, userOf func(n int) T, nameOf func(T) string) (*site.Site, error) {
	store, err := redistore.NewRediStore(10, "tcp", env.redis, "", "", []byte("a key of 32 bytes for signatures"))
	if err != nil {
		return nil, err
	}
	page := func(w http.ResponseWriter, r *http.Request) {
		s, err := store.Get(r, "session")
		if err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		user, ok := s.Values["user"].(T)
		if !ok {
			http.Redirect(w, r, "/login", http.StatusFound)
			return
		}
		site.Greet(w, nameOf(user))
	}
	login := func(w http.ResponseWriter, r *http.Request) {
		s, err := store.New(r, "session")
		if err == nil {
			s.Values["user"] = userOf(site.Number(r))
			err = s.Save(r, w)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
		}
	}
	return &site.Site{Page: http.HandlerFunc(page), Login: http.HandlerFunc(login)}, nil
}
