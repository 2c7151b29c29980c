// Package session keeps login sessions in Redis: a [Manager] creates, finds and ends
// them, a [Store] keeps their records, and handlers keep values in them.
//
//	options, err := session.ParseRedisURL("redis://localhost:6379")
//	client := redis.NewUniversalClient(options)
//	sessions, err := session.New(session.NewRedis(client, nil), session.Config{Name: "shop"}, nil)
//
// Package middleware does this, lets visitors in and puts their session into the
// context of their requests; handlers then use [Get], [Put], [Pop] and [Remove].
//
// # Three answers
//
// A visitor has a session, has none ([ErrNotFound], [ErrRevoked]), or nobody knows
// because the store does not answer ([ErrUnavailable]). The third is never turned
// into one of the others: a Redis that is down signs nobody out and lets nobody in.
// The store answers within half a second, or not.
//
// # What is where
//
// The browser has a cookie with a random token of 256 bits. Redis has, under a hash
// of the token, a record sealed with another hash of it: who reads Redis learns how
// many sessions there are and when they end, not whose, and can take over none; who
// writes to Redis can end sessions, not move, forge or prolong them. In front of the
// token stand 12 bits of a hash of the user id, which tell Redis Cluster where all of
// a user's sessions are, so that listing and ending them are one step each.
//
// # Limits
//
// A session ends [Config.Absolute] after login and when it was unused for
// [Config.Idle]. [AAL1] and [AAL2] are limits that NIST recommends. The deadline is
// sealed into the record and checked whenever it is read; every key in Redis
// expires, at the deadline at the latest.
//
// # Values
//
// Values are written through: when [Put] returns nil, the store has the value. There
// is no commit at the end of the request, so the response writer is not wrapped,
// nothing is lost by Flush, Hijack or a panic, and a request that outlives a logout
// cannot bring the session back. Requests of one session that change different
// values at the same time do not undo each other. Reading asks no store.
//
// # The engine
//
// Tokens, cookies and the data of a session while it is changed are those of
// [scs]; its LoadAndSave and its stores are not used.
//
// [scs]: https://pkg.go.dev/github.com/alexedwards/scs/v2
package session
