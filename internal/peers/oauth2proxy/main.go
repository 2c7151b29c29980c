// Oauth2proxy is the contender of internal/peers that keeps its sessions as
// oauth2-proxy does: with its middleware and its Redis store, without the proxy.
package main

import (
	"fmt"
	"net/http"
	"os"
	"time"

	"github.com/justinas/alice"
	middlewareapi "github.com/oauth2-proxy/oauth2-proxy/v7/pkg/apis/middleware"
	"github.com/oauth2-proxy/oauth2-proxy/v7/pkg/apis/options"
	sessionsapi "github.com/oauth2-proxy/oauth2-proxy/v7/pkg/apis/sessions"
	"github.com/oauth2-proxy/oauth2-proxy/v7/pkg/logger"
	"github.com/oauth2-proxy/oauth2-proxy/v7/pkg/middleware"
	"github.com/oauth2-proxy/oauth2-proxy/v7/pkg/sessions"

	"github.com/idxauth/idxauth/internal/peers/site"
)

func main() {
	if err := serve(os.Getenv("PEERS_REDIS")); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func serve(redis string) error {
	// It logs whom it turns away on standard output, which is the parent's.
	logger.SetOutput(os.Stderr)
	store, err := sessions.NewSessionStore(
		&options.SessionOptions{
			Type:  options.RedisSessionStoreType,
			Redis: options.RedisStoreOptions{ConnectionURL: "redis://" + redis},
		},
		// The defaults of its flags, but for Secure, which is about TLS.
		&options.Cookie{
			Name:     "_oauth2_proxy",
			Secret:   "a cookie secret of 32 characters",
			Path:     "/",
			Expire:   168 * time.Hour,
			HTTPOnly: true,
		})
	if err != nil {
		return err
	}
	l, err := site.Listen()
	if err != nil {
		return err
	}
	s := &site.Site{Page: page(store), Login: login(store)}
	return s.Serve(l)
}

// page is what stands around oauth2-proxy's own handlers: the scope of a request,
// and the loader of its session, which refreshes none by default.
func page(store sessionsapi.SessionStore) http.Handler {
	chain := alice.New(
		middleware.NewScope(false, "X-Request-Id", nil),
		middleware.NewStoredSessionLoader(&middleware.StoredSessionLoaderOptions{SessionStore: store}),
	)
	return chain.ThenFunc(func(w http.ResponseWriter, r *http.Request) {
		s := middlewareapi.GetRequestScope(r).Session
		if s == nil || s.IsExpired() {
			http.Redirect(w, r, "/login", http.StatusFound)
			return
		}
		site.Greet(w, s.PreferredUsername)
	})
}

// login keeps what oauth2-proxy has room for of a small user, and an access token.
// It would also keep an ID token, which is larger than all of it.
func login(store sessionsapi.SessionStore) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := site.Number(r)
		s := &sessionsapi.SessionState{
			AccessToken:       fmt.Sprintf("6f0d5b7e-3c1a-4e5f-8a9b-%012d", n),
			Email:             site.Name(n) + "@example.com",
			User:              fmt.Sprintf("2f8e4b6a90c14d53a7be%012d", n),
			Groups:            []string{"editor", "reader"},
			PreferredUsername: site.Name(n),
		}
		s.CreatedAtNow()
		s.SetExpiresOn(s.CreatedAt.Add(10 * time.Hour))
		if err := store.Save(w, r, s); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
		}
	})
}
