package authtest_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/idxauth/idxauth/idx/idxtest"
	"github.com/idxauth/idxauth/middleware"
	"github.com/idxauth/idxauth/middleware/authtest"
	"github.com/idxauth/idxauth/session"
)

// A handler with a signed-in user, and something in the session.
func ExampleNewRequest() {
	orders := func(w http.ResponseWriter, r *http.Request) {
		customer, _, _ := session.Get[int](r.Context(), "customer")
		fmt.Fprintf(w, "%s is customer %d", middleware.User(r.Context()).FirstName, customer)
	}
	r := authtest.NewRequest(authtest.User("ada@example.com"), "GET", "/orders", nil)
	session.Put(r.Context(), "customer", 4711)
	w := httptest.NewRecorder()
	orders(w, r)
	fmt.Println(w.Body)
	// Output: Ada is customer 4711
}

// An application, from the login to the end of the session. In a test file this is
// func TestHello(t *testing.T).
func ExampleNew() {
	_ = func(t *testing.T) {
		app := authtest.New(t, routes)
		ada := app.SignIn(idxtest.Ada.Email)
		resp, err := ada.Get(app.URL + "/hello")
		if err != nil || resp.StatusCode != 200 {
			t.Errorf("Ada is not let in: %v, %v", resp, err)
		}
		app.Revoke(idxtest.Ada.Email)
		resp, err = ada.Get(app.URL + "/hello")
		if err != nil || resp.StatusCode != 401 {
			t.Errorf("Ada is still let in: %v, %v", resp, err)
		}
	}
}
