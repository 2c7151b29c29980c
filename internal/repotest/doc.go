// Package repotest checks, by test, what the repository promises about itself: that
// the README's code compiles, and what users inherit by importing us.
package repotest
