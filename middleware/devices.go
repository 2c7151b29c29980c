package middleware

import (
	"cmp"
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/idxauth/idxauth/session"
)

// Device is one session of a user, described so that the user recognises it. Name and
// Network are what the browser and the connection said at login, and prove nothing.
type Device struct {
	ID      string `json:"id"`      // names the session: [session.Session.ID]; opens nothing
	Name    string `json:"name"`    // such as "Firefox on Windows"; "" if that is unknown
	Network string `json:"network"` // such as "192.0.2.0/24", "2001:db8::/48" or "local network"; "" if that is unknown

	Created  time.Time `json:"created"`   // login
	LastSeen time.Time `json:"last_seen"` // to within [session.Config].TouchEvery
	Expires  time.Time `json:"expires"`   // unless it is used before

	Current bool `json:"current"` // the one that asks
}

// Devices returns the sessions of the signed-in user: the one that asks first, then the
// others, the last seen first. It is for pages of the application's own; [Config].Devices
// has a ready one. To end them:
//
//	auth.Sessions().Revoke(ctx, user.UID, device.ID)                      // one
//	auth.Sessions().RevokeUser(ctx, user.UID, session.FromContext(ctx))   // all but this one
//
// Forms of such pages can also post to the ready one. The error matches
// [session.ErrNoSession] if nobody is signed in, and [session.ErrUnavailable] if the store
// does not answer.
func (a *Auth) Devices(ctx context.Context) ([]Device, error) {
	s := session.FromContext(ctx)
	if s == nil || !a.owns(s) {
		return nil, fmt.Errorf("middleware: Devices: %w", session.ErrNoSession)
	}
	if s.Manager() == nil { // in a test of a handler
		return []Device{{ID: s.ID(), Current: true}}, nil
	}
	infos, err := a.sessions.List(ctx, s.UserID())
	if err != nil {
		return nil, err
	}
	devices := make([]Device, len(infos))
	for i, info := range infos {
		devices[i] = Device{
			ID: info.ID, Name: info.Device.Name, Network: info.Device.Network,
			Created: info.Created, LastSeen: info.LastSeen, Expires: info.Expires,
			Current: info.Current,
		}
	}
	slices.SortStableFunc(devices, func(a, b Device) int {
		if a.Current != b.Current {
			if a.Current {
				return -1
			}
			return 1
		}
		return cmp.Or(b.LastSeen.Compare(a.LastSeen), b.Created.Compare(a.Created))
	})
	return devices, nil
}

// endOthers is what a form says instead of a session's ID.
const endOthers = "others"

// serveDevices shows the user's sessions, and ends them on a POST from our own pages.
func (a *Auth) serveDevices(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPost {
		a.endDevices(w, r)
		return
	}
	a.showDevices(w, r)
}

func (a *Auth) showDevices(w http.ResponseWriter, r *http.Request) {
	devices, err := a.Devices(r.Context())
	if err != nil {
		a.serveProblem(w, r, err)
		return
	}
	if wantsPage(r) {
		a.writePage(w, r, http.StatusOK, devicesTemplate, a.newDevicesPage(devices, time.Now()))
		return
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("X-Content-Type-Options", "nosniff")
	json.NewEncoder(w).Encode(map[string][]Device{"devices": devices})
}

func (a *Auth) endDevices(w http.ResponseWriter, r *http.Request) {
	if err := a.csrf.Check(r); err != nil {
		a.serveProblem(w, r, refuse(CrossSiteRequest, err))
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, 1<<10)
	end := r.PostFormValue("end")
	s := session.FromContext(r.Context())
	var err error
	switch end {
	case "":
		http.Error(w, "end: want the id of a device, or others", http.StatusBadRequest)
		return
	case s.ID():
		a.Logout(w, r)
		return
	case endOthers:
		_, err = a.sessions.RevokeUser(r.Context(), s.UserID(), s)
	default:
		err = a.sessions.Revoke(r.Context(), s.UserID(), end) // of this user only
	}
	switch {
	case err != nil:
		a.serveProblem(w, r, err)
	case wantsPage(r):
		redirect(w, http.StatusSeeOther, a.site.url(a.site.mount+"/"+routeDevices))
	default:
		a.showDevices(w, r)
	}
}

// maxShown bounds the page. Nobody looks through more, and all of them can be ended.
const maxShown = 100

type devicesPage struct {
	Devices                             []shownDevice
	More                                int // that are not shown
	HasOthers                           bool
	PostTo, LogoutTo, NewPassword, Back string
}

type shownDevice struct {
	Device
	Seen, Since string // in words
}

func (a *Auth) newDevicesPage(devices []Device, now time.Time) devicesPage {
	p := devicesPage{
		HasOthers:   len(devices) > 1,
		PostTo:      a.site.mount + "/" + routeDevices,
		LogoutTo:    a.site.mount + "/" + routeLogout,
		NewPassword: a.site.mount + "/" + routeForgotPassword,
		Back:        a.site.landing,
	}
	for _, d := range devices[:min(len(devices), maxShown)] {
		if d.Name == "" {
			d.Name = "Unknown device"
		}
		p.Devices = append(p.Devices, shownDevice{d, ago(d.LastSeen, now), ago(d.Created, now)})
	}
	p.More = len(devices) - len(p.Devices)
	return p
}

// ago says how long ago t was: the server does not know the visitor's time zone. It is
// "" for a time that is unknown.
func ago(t, now time.Time) string {
	d := now.Sub(t)
	switch {
	case t.IsZero():
		return ""
	case d < 2*time.Minute:
		return "just now"
	case d < 2*time.Hour:
		return fmt.Sprintf("%d minutes ago", d/time.Minute)
	case d < 48*time.Hour:
		return fmt.Sprintf("%d hours ago", d/time.Hour)
	}
	return fmt.Sprintf("%d days ago", d/(24*time.Hour))
}

//go:embed devices.html
var devicesSource string

var devicesTemplate = newPageTemplate("devices", devicesSource)
