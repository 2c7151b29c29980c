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
// writes to Redis can end sessions, and bring back what he copied before it ended, but
// not move or forge them, nor prolong them past their deadline. A session's [Device] is
// sealed with a hash of the user's id, for [Manager.List]: it is as secret as that is. In
// front of the
// token stand 12 bits of a hash of the user id, which tell Redis Cluster where all of
// a user's sessions are, so that listing and ending them are one step each.
//
// # The sessions of a user
//
// [Manager.List] is for a page with the user's devices, [Manager.Revoke] and
// [Manager.RevokeUser] end sessions, and [Manager.Purge] is for a user who is deleted.
// [Manager.MarkUser] tells all sessions of a user that the account has changed. All of
// them are exact, whatever logs in or out at the same time, and take one step for each
// 500 sessions. [Config].MaxPerUser bounds how many there are. Answers that take long
// [Follow] their session, to end when it does.
//
// # Near cache
//
// Behind [NewRedis], a Manager keeps opened sessions in the memory of the process, so
// that a request of a session in use asks nobody ([NearCache] bounds it, or switches
// it off). What may be relied on:
//
//   - What an instance of the application changes or ends, it sees at once itself.
//   - The others see it when Redis has told them: within some milliseconds, one as a
//     rule.
//   - None lets in longer than [NearCache].Lease, 2.5 s by default, whatever fails;
//     the two exceptions in the list below are those in which Redis itself would say
//     that the session is there.
//
// Why that holds. Redis names every record that is written, deleted, evicted or
// expires to connections that ask for it (CLIENT TRACKING in broadcasting mode). A
// Manager has one such stream from each master whose records it keeps. (1) What was
// read is kept only if no change of it was told of, and the stream was not
// interrupted, since before the read was sent; so a change is told of before the read,
// which then sees it, or after, and then ends what is kept. (2) Ten times in a lease the
// server where sessions are read is asked whether it is the one that the stream comes
// from, and the master, and on a cluster that the cluster is whole; then a heartbeat
// goes down the stream. When it comes back, all that had changed before the question
// has arrived, and the lease runs from then. (3) A new stream forgets all that came by
// the last one. (4) Each session keeps its own limits, and is read again after a minute
// in any case.
//
// What follows for each fault, as long as writes reach Redis at all:
//
//	one node dies or restarts   hits go on for the rest of the lease, until the new
//	                            stream begins; nobody can end a session meanwhile
//	connection closed           forgotten when the new stream begins, some 30 ms later
//	packets lost in silence     at most the lease
//	Sentinel fails over         at most the lease; a write that the old master had not
//	                            yet passed on is lost, by Redis, and with it a logout
//	a master of a cluster dies  the same, for its own sessions only
//	a slot moves                told of as a change; an answer by way of a redirection
//	                            is not kept
//	cut off with an old master  until it notices that it is alone (cluster-node-timeout),
//	                            as without a cache, and then the lease
//	a name or balancer that     at most the lease for what was kept; while a client's
//	leads elsewhere             old connections stay open, they are believed as without
//	                            a cache, at most a minute longer
//	FLUSHALL, CLIENT KILL       as a closed connection
//	the process was frozen      its lease is over when it goes on; if the whole machine
//	                            was, its clock may have been, too
//	Redis refuses tracking      nothing is kept; one warning says so
//
// While Redis does not answer, a session that is kept stays good for the rest of the
// lease even if its minute is over: a restart of Redis that takes less than two seconds
// is not seen by those who are signed in.
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
// [scs]; its LoadAndSave and its stores are not used. Records are in a compact form
// of our own, with a version in front: fields that a later release adds are skipped
// by this one, so that both can run side by side. Values are JSON, so types need not
// be registered as with gob.
//
// [scs]: https://pkg.go.dev/github.com/alexedwards/scs/v2
package session
