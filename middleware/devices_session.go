package middleware

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/idxauth/idxauth/session"
)

// deviceBook stands in for session.NewSession's Device and for what session.Info is to
// hold besides ID, Expires and Deadline: it knows the sessions that this process started.
type deviceBook struct{ byID sync.Map }

// startSession starts a session on the device of r.
func (a *Auth) startSession(ctx context.Context, w http.ResponseWriter, r *http.Request, n session.NewSession) error {
	s, err := a.sessions.Start(ctx, w, n)
	if err != nil {
		return err
	}
	a.book.byID.Store(s.ID(), Device{
		Name: deviceName(r.Header), Network: a.networkOf(r), Created: s.Created(), LastSeen: time.Now(),
	})
	return nil
}

// devicesOf returns the sessions of a user.
func (a *Auth) devicesOf(ctx context.Context, uid string) ([]Device, error) {
	infos, err := a.sessions.List(ctx, uid)
	if err != nil {
		return nil, err
	}
	devices := make([]Device, len(infos))
	for i, info := range infos {
		if known, ok := a.book.byID.Load(info.ID); ok {
			devices[i] = known.(Device)
		}
		devices[i].ID, devices[i].Expires = info.ID, info.Expires
	}
	return devices, nil
}
