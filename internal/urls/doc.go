// Package urls asks other URL parsers what they make of return paths: that of a browser
// (Chromium), two of WHATWG URL in other languages (Go, and Node where it is
// installed), Python's urllib where it is installed, and net/url.
//
// What the library keeps must stay on the site for all of them, by itself and in our
// Location header, and arrive as the path that was judged. What people's links look
// like must be kept, byte for byte.
//
// It is a module of its own, so that nobody inherits a browser driver and a second URL
// parser.
package urls
