package main

import (
	"net/http"

	"github.com/idxauth/idxauth/middleware"
)

// confirmScrap asks before something that cannot be undone. Who comes here has signed in
// within the last minutes, or is asked to, and comes back: a browser that was left open
// is not enough.
func confirmScrap(w http.ResponseWriter, r *http.Request) {
	me, err := middleware.AppUser[skipper](r.Context())
	if err != nil {
		failed(w, r, err)
		return
	}
	render(w, r, http.StatusOK, "scrap", page{Title: "Scrap the ship", Skipper: me})
}

func (a *app) scrap(w http.ResponseWriter, r *http.Request) {
	me, err := middleware.AppUser[skipper](r.Context())
	if err != nil {
		failed(w, r, err)
		return
	}
	a.harbour.scrapShip(me.ID)
	http.Redirect(w, r, "/dashboard", http.StatusSeeOther)
}
