package session_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/redis/go-redis/v9"

	"github.com/idxauth/idxauth/session"
)

func ExampleNewRedis() {
	options, err := session.ParseRedisURL("redis://localhost:6379")
	if err != nil {
		panic(err)
	}
	client := redis.NewUniversalClient(options)
	defer client.Close()

	sessions, err := session.New(session.NewRedis(client, nil), session.Config{Name: "shop"}, nil)
	if err != nil {
		panic(err)
	}
	defer sessions.Close()
}

func ExampleGet() {
	// Package middleware puts the session into the context; a test does it itself.
	ctx := session.NewContext(context.Background(), session.Detached("ada"))

	visit := func(w http.ResponseWriter, r *http.Request) {
		n, _, err := session.Get[int](r.Context(), "visits")
		if err != nil {
			http.Error(w, "try again later", http.StatusServiceUnavailable)
			return
		}
		if err := session.Put(r.Context(), "visits", n+1); err != nil {
			http.Error(w, "try again later", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintf(w, "visit %d\n", n+1)
	}
	for range 2 {
		w := httptest.NewRecorder()
		visit(w, httptest.NewRequestWithContext(ctx, "GET", "/", nil))
		fmt.Print(w.Body)
	}
	// Output:
	// visit 1
	// visit 2
}

func ExamplePop() {
	ctx := session.NewContext(context.Background(), session.Detached("ada"))
	session.Put(ctx, "flash", "Your changes were saved.")

	for range 2 {
		message, ok, err := session.Pop[string](ctx, "flash")
		fmt.Printf("%q %v %v\n", message, ok, err)
	}
	// Output:
	// "Your changes were saved." true <nil>
	// "" false <nil>
}

func ExampleManager_RevokeUser() {
	sessions, err := session.New(session.NewMemory(), session.Config{Name: "shop"}, nil)
	if err != nil {
		panic(err)
	}
	defer sessions.Close()
	ctx := context.Background()
	var phone *session.Session
	for range 3 {
		phone, err = sessions.Start(ctx, httptest.NewRecorder(), session.NewSession{UserID: "ada"})
		if err != nil {
			panic(err)
		}
	}

	n, err := sessions.RevokeUser(ctx, "ada", phone)
	fmt.Println(n, "signed out,", err)
	left, err := sessions.List(ctx, "ada")
	fmt.Println(len(left), "left,", left[0].ID == phone.ID(), err)
	// Output:
	// 2 signed out, <nil>
	// 1 left, true <nil>
}

// A page with the devices of a user, who can sign out each of them.
func ExampleManager_List() {
	sessions, err := session.New(session.NewMemory(), session.Config{Name: "shop"}, nil)
	if err != nil {
		panic(err)
	}
	defer sessions.Close()
	ctx := context.Background()
	var phone *session.Session
	for _, d := range []session.Device{{"Firefox on Linux", "192.0.2.0/24"}, {"Safari on iOS", "2001:db8::/48"}} {
		phone, err = sessions.Start(ctx, httptest.NewRecorder(), session.NewSession{UserID: "ada", Device: d})
		if err != nil {
			panic(err)
		}
	}
	ctx = session.NewContext(ctx, phone) // as package middleware does

	devices, err := sessions.List(ctx, "ada")
	if err != nil {
		panic(err)
	}
	for _, d := range devices {
		if d.Current {
			fmt.Println(d.Device.Name, "in", d.Device.Network)
			continue
		}
		if err := sessions.Revoke(ctx, "ada", d.ID); err != nil {
			panic(err)
		}
	}
	// Output: Safari on iOS in 2001:db8::/48
}

// Server-sent events that end when the user is signed out, wherever that happens.
func ExampleFollow() {
	sessions, err := session.New(session.NewMemory(), session.Config{Name: "shop"}, nil)
	if err != nil {
		panic(err)
	}
	defer sessions.Close()
	news := make(chan string, 1)
	events := func(w http.ResponseWriter, r *http.Request) {
		ctx, stop := session.Follow(r.Context())
		defer stop()
		for {
			select {
			case text := <-news:
				fmt.Fprintf(w, "data: %s\n\n", text)
				http.NewResponseController(w).Flush()
			case <-ctx.Done():
				if errors.Is(context.Cause(ctx), session.ErrRevoked) {
					fmt.Fprint(w, "event: signed-out\ndata:\n\n")
				}
				return
			}
		}
	}

	ctx := context.Background()
	s, err := sessions.Start(ctx, httptest.NewRecorder(), session.NewSession{UserID: "ada"})
	if err != nil {
		panic(err)
	}
	done := make(chan *httptest.ResponseRecorder)
	go func() {
		w := httptest.NewRecorder()
		events(w, httptest.NewRequestWithContext(session.NewContext(ctx, s), "GET", "/events", nil))
		done <- w
	}()
	if err := sessions.Revoke(ctx, "ada", s.ID()); err != nil {
		panic(err)
	}
	fmt.Print((<-done).Body)
	// Output:
	// event: signed-out
	// data:
}

// A webhook says that an account has changed; the next request reads it again.
func ExampleManager_MarkUser() {
	sessions, err := session.New(session.NewMemory(), session.Config{Name: "shop"}, nil)
	if err != nil {
		panic(err)
	}
	defer sessions.Close()
	ctx := context.Background()
	w := httptest.NewRecorder()
	if _, err := sessions.Start(ctx, w, session.NewSession{UserID: "ada", Data: "customer"}); err != nil {
		panic(err)
	}
	if _, err := sessions.MarkUser(ctx, "ada"); err != nil {
		panic(err)
	}

	r := httptest.NewRequest("GET", "/", nil)
	r.AddCookie(w.Result().Cookies()[0])
	s, err := sessions.Load(r)
	if err != nil {
		panic(err)
	}
	if s.Marked() {
		account := "administrator" // as the API says now
		s, err = sessions.Update(ctx, s, func(string) (string, error) { return account, nil })
		if err != nil {
			panic(err)
		}
	}
	fmt.Println(s.Principal(), s.Marked())
	// Output: administrator false
}

func ExampleWhenFull() {
	cfg := session.Config{Name: "shop", MaxPerUser: 1, WhenFull: session.RefuseNew}
	sessions, err := session.New(session.NewMemory(), cfg, nil)
	if err != nil {
		panic(err)
	}
	defer sessions.Close()
	for range 2 {
		w := httptest.NewRecorder()
		_, err := sessions.Start(context.Background(), w, session.NewSession{UserID: "ada"})
		fmt.Println(errors.Is(err, session.ErrTooManySessions), len(w.Result().Cookies()))
	}
	// Output:
	// false 1
	// true 0
}

func ExampleAAL2() {
	cfg := session.AAL2()
	cfg.Name = "bank"
	fmt.Println(cfg.Absolute, cfg.Idle)
	// Output: 24h0m0s 1h0m0s
}
