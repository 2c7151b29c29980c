// Package middleware puts LoginRadius' hosted login page (IDX) in front of any
// [net/http] handler.
//
//	auth := middleware.Must(middleware.New(middleware.Config{
//		IDX:     idx.Config{AppName: "my-app", APIKey: "my-api-key"},
//		BaseURL: "http://localhost:8080",
//		Store:   session.NewRedis(redis.NewClient(&redis.Options{Addr: "localhost:6379"}), nil),
//	}))
//	http.Handle("/auth/", auth.Handler())
//	http.Handle("/", auth.RequireLogin(handler)) // reads the user with middleware.User
//
// # Three answers
//
// A request for a protected page has one of three outcomes besides being let in, and
// they are never mixed:
//
//   - Unauthenticated: nobody is signed in. A page visit starts a login and comes back
//     to the same URL; everything else (scripts, images, prefetches, sockets, forms) is
//     answered with 401.
//   - Forbidden: somebody is, and may not. 403, never a login.
//   - Unknown: the store or LoginRadius does not answer. 503 with Retry-After; nobody
//     is let in, nobody is signed out, no cookie changes.
//
// # Reason codes
//
// Every refusal has a stable code ([Reason]): on the page, in the member code of the
// application/problem+json body, in the one log line, in the hooks. The constants say
// what an operator does about each. Of many refusals at once the log names one a second
// of each code, and how many were left out. Refusals at the callback do not end there:
// the login starts over, at most three times, and then the page names the reason.
//
// # What a login remembers
//
// Strangers cost the store nothing: the page they want travels, sealed, in the return
// URL, signed with a secret from a cookie of this browser. So any number of tabs can
// log in at once, and a state that was started in one browser is worthless in another.
// The browser has two cookies of ours, the session's and that one; a third, for 15
// minutes, only if the wanted path has more than 512 bytes.
//
// Made-up tokens cost LoginRadius no call without a state, and with one each process
// tries five: then the state is refused, and the login starts over.
//
// # What a session remembers
//
// The fields of [idx.Profile] without its Raw, the access token, and the values that
// the application puts there with [session.Put]. The account is read again every
// [Config].Revalidate; see there, at StaleFor and at RequireLiveToken for what happens
// when it cannot be.
//
// # The application's own user
//
// [Hooks].OnLogin finds or makes it, by the UID, and keeps its id in the session.
// [Config].AppUser says how to load it; [AppUser] hands it to handlers and rules, loaded
// once a request. [Hooks].OnRefresh sees what LoginRadius has changed since.
//
// # Changes that do not wait
//
// With [Config].Webhooks, LoginRadius says that an account was blocked, deleted, or got a
// new password or other roles, and sessions follow with the next request. With
// [Config].Devices users see where they are signed in, and end it. Both are off at first.
//
// # Tests
//
// [WithUser] signs somebody in for the test of a handler. Package authtest has complete
// users and requests, and whole applications with signed-in clients.
//
// # In front of and behind it
//
// Nothing is needed around a wrapped handler. The handler gets the server's own
// ResponseWriter. Its pages are sent with "Cache-Control: private, no-store" unless it
// sets its own, and "Vary: Cookie". Middleware that answers CORS preflights belongs
// outside, because a preflight has no cookie. Behind a proxy that cuts the base path
// off, return paths get it back; forwarded headers are not read.
package middleware
