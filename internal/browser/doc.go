// Package browser drives the example in a real Chromium, by test: the journey of a
// user, what the browser keeps, and a picture of every page. It is a module of its
// own so that nobody inherits the driver.
package browser
