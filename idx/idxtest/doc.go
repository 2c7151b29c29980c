// Package idxtest emulates LoginRadius: the hosted login page (the hub) and the
// API in one in-process server, used like [net/http/httptest]. It needs no
// account, no network and no other process.
//
// In a test:
//
//	srv := idxtest.NewServer(t)
//	client, err := idx.New(srv.Config())
//	…
//	token := srv.IssueToken(idxtest.Ada.Email)
//	profile, err := client.Profile(ctx, token)
//
// In a program that people open in a browser:
//
//	srv, err := idxtest.Start("")
//	if err != nil {
//		log.Fatal(err)
//	}
//	defer srv.Close()
//	auth, err := middleware.New(middleware.Config{IDX: srv.Config(), …})
//
// # Users
//
// Every server begins with the users [Ada], [Grace], [Radia], [Alan], [Kurt] and
// [Mallory], all with the password [Password]; [Server.AddUser] and
// [Server.UpdateUser] make and change others. The login page lists them, so that
// one click signs a person in. In a test, [Server.SignIn] fills in the form.
//
// # Webhooks
//
// With a [Settings].WebhookURL, the emulator reports what happens, signed with the
// API secret of [Server.Config]: Login (for [Server.IssueToken] as well), Register,
// UpdateProfile, EmailVerification, ResetPassword, DeleteAccount; and what
// [Server.UpdateUser] changes: BlockAccount, DeleteAccount, SetPassword, AssignRoles,
// UnassignRoles, EmailVerification, InvalidateEmailVerification, UpdatePhoneId,
// RemovePhoneId, UpdateUid, and UpdateProfile for the rest. [Server.SendWebhook] sends
// any other. As at LoginRadius, each is sent once, whatever the answer; here one after
// the other, in the background. [Server.WaitWebhooks] waits for them, and a
// [WebhookFault] spoils them.
//
// # Faithfulness
//
// The hub's redirects follow the published default script to the letter: its
// query parser splits at every "=", so that a return URL which is not
// percent-encoded loses what follows the second one, and the token is appended
// as text. A live hub session sends the browser back at once with the same
// token; a dead one shows the form with an error; no error ever redirects. What
// LoginRadius does not document is a knob in [Settings]. What goes wrong in
// production is a [Fault].
//
// Not emulated: OpenID Connect, OAuth, social login, passwordless
// links, multi-factor authentication, request signing and JSONP.
//
// # Limits
//
// Ids and tokens come from a counter, so that a run can be repeated: they look
// unguessable and are not. Listen on a loopback address only, and never keep
// anything there that matters. Cookies do not know ports: a browser that visits
// an application on 127.0.0.1 shows it the hub's cookies as well, so give the
// application another host name, such as localhost.
package idxtest
