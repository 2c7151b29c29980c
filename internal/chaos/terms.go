package main

import "time"

// terms are what visitors may expect at a time.
type terms struct {
	view, login time.Duration // pages, and what logs in, answer within
	lag         time.Duration // an instance may learn of a change so much later
	refused     refusals      // what may be answered with 503
	byDeaf      bool          // and by that instance only
	losesData   bool          // Redis forgets what it has confirmed
	evicts      bool          // Redis gives up keys; what has ended by its cookie stays so
	cuts        bool          // requests break off
	hangs       bool          // an instance does not answer, until the balancer gives up
	calm        bool          // nothing is broken
}

// bound is within what a request is answered. What writes asks Redis twice.
func (t *terms) bound(k kind) time.Duration {
	switch k {
	case kindLogin:
		return t.login
	case kindNote, kindLogout, kindAdmin:
		return 2 * t.view
	}
	return t.view
}

// refusals are kinds of requests.
type refusals map[kind]bool

var (
	nothing    = refusals{}
	logins     = refusals{kindLogin: true}
	everything = refusals{kindLogin: true, kindNote: true, kindLogout: true, kindAdmin: true, kindView: true}
)

// healthy are the terms while nothing is broken: generous, since what counts is that
// nothing hangs, on machines of any kind.
var healthy = &terms{view: 2 * time.Second, login: 2 * time.Second, lag: time.Second, refused: nothing, calm: true}
