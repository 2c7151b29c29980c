// Package routers shows, by test, that the middleware works next to the routers
// people use. It is a module of its own so that nobody inherits them.
package routers
