// This program measures how many signed-in pages a second a server answers with this
// library, beside what people use instead, and writes tables and a plot:
//
//	cd internal/peers && go run .
//
// writes RESULT.md and result.svg. It needs redis-server, and takes some eight
// minutes; -rounds, -time and -only make it shorter, -help explains them. What a
// contender needs beyond Go (Node and npm for express) is fetched when it is
// missing, and a contender that cannot be had is reported as such.
//
// # What is measured
//
// One redis-server for all and one server process per contender run side by side;
// in each round, each contender is loaded with each number of connections, in an
// order drawn anew, so that what else the machine does meets all alike. Where
// taskset allows it, the contender has a core of its own. Each has thousands of
// sessions, made by its own means (for this library by logins from end to end,
// against the emulator) and used in turn; each request has two other cookies, as
// browsers send them; each answer must name the session's user.
//
// Contenders have default settings, with two exceptions: idle timeout where the
// label says so, and this library reads no account again, since sessions that were
// all made at once would all be due at once.
//
// Nobody runs an identity provider for the others: the routes that sign their users
// in write what a login would leave, through the contender's own session code. With
// the whole profile, sessions hold a struct of 47 fields, as the tutorial's reader
// would; a small user has the seven that most applications need.
//
// # In one process
//
//	go test -bench . -count 6
//
// measures the handlers alone, without HTTP, and a login.
//
// It is a module of its own so that nobody inherits the peers.
package main
