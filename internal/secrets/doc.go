// Package secrets proves, by test, that no secret comes out where it must not. A whole
// application is used in every way that people, LoginRadius and Redis use it, faults and
// panics among them. All that comes out of it is kept: log lines, errors, answers,
// addresses, what Redis is told and keeps, what a crash prints. Then it is searched for
// each access token, API secret, session token, state, password and profile that took
// part, also in pieces and encoded. The few places where one belongs are in one table, in
// allowed_test.go.
package secrets
