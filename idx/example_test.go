package idx_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"

	"github.com/idxauth/idxauth/idx"
)

func Example() {
	client, err := idx.New(idx.Config{AppName: "my-app", APIKey: "my-api-key"})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(client)
	fmt.Println(client.HubOrigin())
	// Output:
	// idx.Client(my-app)
	// https://my-app.hub.loginradius.com
}

func ExampleNew_problems() {
	_, err := idx.New(idx.Config{AppName: "My App", HubURL: "http://login.example.com"})
	fmt.Println(err)
	// Output:
	// idx: AppName is not one DNS label in lower case, such as my-app
	// idx: APIKey is empty: copy it from the LoginRadius console
	// idx: HubURL http is for loopback hosts only: want https
}

func ExampleClient_URL() {
	client, err := idx.New(idx.Config{AppName: "my-app", APIKey: "my-api-key"})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(client.URL(idx.ActionLogin, "https://www.example.com/callback?state=Zm9v"))
	fmt.Println(client.URL(idx.ActionProfile, ""))
	// Output:
	// https://my-app.hub.loginradius.com/auth.aspx?action=login&return_url=https%3A%2F%2Fwww.example.com%2Fcallback%3Fstate%3DZm9v
	// https://my-app.hub.loginradius.com/profile.aspx
}

func ExampleClient_Profile() {
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, `{"Uid":"0123456789abcdef","FirstName":"Ada","IsActive":true,"EmailVerified":true,
			"Email":[{"Type":"Primary","Value":"ada@example.test"}],"Roles":["editor"]}`)
	}))
	defer api.Close()
	client, err := idx.New(idx.Config{AppName: "my-app", APIKey: "my-api-key", APIURL: api.URL})
	if err != nil {
		log.Fatal(err)
	}

	profile, err := client.Profile(context.Background(), "token-from-the-callback")
	if err != nil {
		log.Fatal(err)
	}
	if !profile.IsActive || profile.IsDeleted {
		log.Fatal("no entry")
	}
	fmt.Println(profile.UID, profile.FirstName, profile.Email, profile.Roles)
	// Output: 0123456789abcdef Ada ada@example.test [editor]
}

func ExampleAPIError() {
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusForbidden)
		io.WriteString(w, `{"ErrorCode":906,"Message":"The access token has expired"}`)
	}))
	defer api.Close()
	client, err := idx.New(idx.Config{AppName: "my-app", APIKey: "my-api-key", APIURL: api.URL})
	if err != nil {
		log.Fatal(err)
	}

	_, err = client.Profile(context.Background(), "an-old-token")
	switch {
	case errors.Is(err, idx.ErrTokenInvalid):
		fmt.Println("start a login")
	case errors.Is(err, idx.ErrAccountDenied):
		fmt.Println("refuse")
	case err != nil:
		fmt.Println("keep the session, try later")
	}
	if e, ok := errors.AsType[*idx.APIError](err); ok {
		fmt.Println(e.Status, e.Code, e.Message)
	}
	fmt.Println(err)
	// Output:
	// start a login
	// 403 906 The access token has expired
	// idx: profile: LoginRadius answered HTTP 403 Forbidden, code 906: The access token has expired
}

func ExampleClient_ParseWebhook() {
	client, err := idx.New(idx.Config{AppName: "my-app", APIKey: "my-api-key", APISecret: "my-api-secret"})
	if err != nil {
		log.Fatal(err)
	}
	http.HandleFunc("POST /hooks/loginradius", func(w http.ResponseWriter, r *http.Request) {
		hook, err := client.ParseWebhook(r)
		if err != nil {
			http.Error(w, "not a webhook", http.StatusUnauthorized)
			return
		}
		// It may be a repetition, or an old one: look at hook.ID and hook.Time.
		switch hook.Event {
		case idx.EventBlockAccount, idx.EventDeleteAccount, idx.EventResetPassword, idx.EventChangePassword:
			log.Printf("%v: the sessions of %s end", hook, hook.UID)
		}
		w.WriteHeader(http.StatusNoContent)
	})
}

func ExampleToken() {
	token := idx.Token("7d3f7c62-4c5a-4a6e-9b58-0d6f0e6f6a11")
	fmt.Printf("%v %q %#v\n", token, token, token)
	// Output: [redacted] [redacted] [redacted]
}
