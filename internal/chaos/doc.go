// Command chaos breaks what the library depends on while people use it, and looks
// whether it keeps its promises. It needs redis-server; nothing else, and no network.
//
//	go run ./internal/chaos           # all faults, some minutes
//	go run ./internal/chaos -short    # one of each kind
//	go run ./internal/chaos -list
//	go run ./internal/chaos -only 'Redis paused|429'
//	go run ./internal/chaos -table    # and the table of the README
//
// The example application runs in two instances behind one public address, on a real
// Redis, with the emulator as LoginRadius. Browsers log in, view pages, keep notes and log
// out; an operator blocks accounts, which webhooks tell of, and ends sessions on the admin
// page; each request goes to either instance. A ledger knows what each session was
// promised: whose it is, since when it has ended, which note it holds. Every answer is
// held against it. Then one thing at a time breaks, stays broken for some seconds, and is
// mended.
//
// A run passes if, for every fault,
//
//   - no answer shows somebody else's user, and strangers see nobody's;
//   - no session is honoured that has ended, on either instance;
//   - no session is lost, and no note;
//   - every answer comes whole, and within the bound of the fault (and what /healthz took,
//     which asks nobody: a busy machine is none of the faults);
//   - what does not need the broken thing is not refused (unless Redis was too busy to
//     answer anybody, of which there is a witness);
//   - no navigation takes more than ten redirects;
//   - /healthz says 200 all the time, and /readyz the truth;
//   - everything works again within the bound, without a restart;
//   - goroutines, memory and open files return to where they were.
//
// What Redis itself loses (a failover with asynchronous replication, a restart without its
// data) is no violation, and counted apart.
package main
