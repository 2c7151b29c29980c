package session_test

import (
	"context"
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

func ExampleAAL2() {
	cfg := session.AAL2()
	cfg.Name = "bank"
	fmt.Println(cfg.Absolute, cfg.Idle)
	// Output: 24h0m0s 1h0m0s
}
