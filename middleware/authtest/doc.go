// Package authtest tests applications that use package middleware: single handlers with
// a signed-in user, and whole applications with signed-in clients. It needs no account,
// no Redis and no network but the loopback interface.
//
// A handler:
//
//	r := authtest.NewRequest(authtest.User("ada@example.com", "admin"), "GET", "/orders", nil)
//	w := httptest.NewRecorder()
//	orders.ServeHTTP(w, r) // behind RequireLogin and Require too: they let the user in, or not
//
// An application, with the emulator of package idxtest as LoginRadius and the sessions in
// memory:
//
//	app := authtest.New(t, func(auth *middleware.Auth) http.Handler { return routes(auth) })
//	ada := app.SignIn(idxtest.Ada.Email) // an *http.Client
//	resp, err := ada.Get(app.URL + "/orders")
//	app.Expire(idxtest.Ada.Email)
//	resp, err = ada.Get(app.URL + "/orders") // 401
//
// The clients are programs, so what they may not see is a 401 or 403 with a problem+json
// body. A request with "Accept: text/html" is a page visit, as by a browser: a stranger's
// follows the redirects to the hosted page.
package authtest
