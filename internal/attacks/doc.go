// Package attacks holds no code, only tests: for each row of the threat tables one that
// does what the attacker does, over HTTP, against a whole application, and shows that it
// does not work, while the same thing done honestly does.
//
// A test is named after its row: TestA1LoginCSRF is row 1 of table A, the login flow. B
// are leaks, C redirects, D host, URL and configuration, E the session cookie, F the
// store, G concurrency, H logout, I denial of service, J answers of the API, K transport
// and start-up, L headers and caches, M paths and methods, N webhooks, O the supply
// chain, P time and chance. Where another project had to publish an advisory for it, the
// comment of the test names that.
//
// Each has its whole story in one place; the finer cases are tested beside the code.
package attacks
