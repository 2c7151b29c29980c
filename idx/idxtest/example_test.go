package idxtest_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"

	"github.com/idxauth/idxauth/idx"
	"github.com/idxauth/idxauth/idx/idxtest"
)

func ExampleStart() {
	srv, err := idxtest.Start("")
	if err != nil {
		log.Fatal(err)
	}
	defer srv.Close()
	srv.Set(func(set *idxtest.Settings) { set.Headless = true }) // no script runs here

	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Println("state:", r.FormValue("state"))
		fmt.Println("token:", len(r.FormValue("token")), "characters")
	}))
	defer app.Close()
	client, err := idx.New(srv.Config())
	if err != nil {
		log.Fatal(err)
	}

	jar, err := cookiejar.New(nil)
	if err != nil {
		log.Fatal(err)
	}
	visitor := &http.Client{Jar: jar}
	page, err := visitor.Get(client.URL(idx.ActionLogin, app.URL+"/callback?state=abc"))
	if err != nil {
		log.Fatal(err)
	}
	defer page.Body.Close()
	answer, err := srv.SignIn(visitor, page, idxtest.Ada.Email)
	if err != nil {
		log.Fatal(err)
	}
	defer answer.Body.Close()
	fmt.Println(answer.Request.URL.Path, answer.StatusCode)
	// Output:
	// state: abc
	// token: 36 characters
	// /callback 200
}

func ExampleServer_IssueToken() {
	srv, err := idxtest.Start("")
	if err != nil {
		log.Fatal(err)
	}
	defer srv.Close()
	client, err := idx.New(srv.Config())
	if err != nil {
		log.Fatal(err)
	}

	token := srv.IssueToken(idxtest.Ada.Email)
	profile, err := client.Profile(context.Background(), token)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(profile.FullName, profile.Email, profile.Roles)
	// Output: Ada Lovelace ada@example.com [admin]
}

func ExampleServer_WaitWebhooks() {
	srv, err := idxtest.Start("")
	if err != nil {
		log.Fatal(err)
	}
	defer srv.Close()
	client, err := idx.New(srv.Config())
	if err != nil {
		log.Fatal(err)
	}
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		hook, err := client.ParseWebhook(r)
		if err != nil {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		fmt.Println(hook.Event, hook.UID == idxtest.Ada.UID)
	}))
	defer app.Close()
	srv.SetWebhook(app.URL)

	srv.UpdateUser(idxtest.Ada.Email, func(u *idxtest.User) { u.Blocked = true })
	srv.WaitWebhooks()
	srv.Set(func(set *idxtest.Settings) { set.WebhookFault = idxtest.WebhookForged })
	srv.SendWebhook(idx.EventDeleteAccount, idxtest.Ada.Email)
	for _, hook := range srv.WaitWebhooks() {
		fmt.Println(hook.Event, hook.Status)
	}
	// Output:
	// BlockAccount true
	// BlockAccount 200
	// DeleteAccount 401
}
