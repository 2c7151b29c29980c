package main

import (
	"net/http"
	"strings"
)

// devices shows where the user is signed in, in this application's look, at the address
// of the library's own page: its buttons post there, and come back here. Programs get
// the library's JSON. Without this function, the library's page is shown.
func (a *app) devices(w http.ResponseWriter, r *http.Request) {
	if !strings.Contains(r.Header.Get("Accept"), "text/html") {
		a.auth.Handler().ServeHTTP(w, r)
		return
	}
	devices, err := a.auth.Devices(r.Context())
	if err != nil {
		failed(w, r, err)
		return
	}
	render(w, r, http.StatusOK, "devices", page{Title: "Your devices", Devices: devices})
}
