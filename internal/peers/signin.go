package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/idxauth/idxauth/idx/idxtest"
	"github.com/idxauth/idxauth/internal/peers/site"
)

// client makes the requests around the load, as a browser without a cookie jar: one
// contender's cookies must not reach another one, for cookies do not know ports.
var client = &http.Client{
	Transport:     &http.Transport{MaxIdleConnsPerHost: 16},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	Timeout:       20 * time.Second,
}

// get returns an answer whose body is read.
func get(ctx context.Context, address, cookie string) (*http.Response, string, error) {
	r, err := http.NewRequestWithContext(ctx, "GET", address, nil)
	if err != nil {
		return nil, "", err
	}
	r.Header.Set("Accept", "text/html")
	if cookie != "" {
		r.Header.Set("Cookie", cookie)
	}
	answer, err := client.Do(r)
	if err != nil {
		return nil, "", err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	return answer, string(body), err
}

// signInAll returns the cookies of as many users, in order.
func (r *run) signInAll(ctx context.Context, c contender, address string) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	cookies := make([]string, r.sessions)
	if c.anonymous {
		return cookies, nil
	}
	next := make(chan int)
	var failed error
	var once sync.Once
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for n := range next {
				cookie, err := c.signIn(ctx, r, address, n)
				if err != nil {
					once.Do(func() { failed = fmt.Errorf("sign-in of user %d: %w", n, err) })
					cancel()
				}
				cookies[n] = cookie
			}
		})
	}
	for n := range cookies {
		if ctx.Err() != nil {
			break
		}
		next <- n
	}
	close(next)
	group.Wait()
	if failed == nil {
		failed = ctx.Err()
	}
	return cookies, failed
}

// signInByRoute asks a contender that has no login of its own.
func signInByRoute(ctx context.Context, _ *run, address string, n int) (string, error) {
	answer, body, err := get(ctx, fmt.Sprintf("http://%s/bench/login?n=%d", address, n), "")
	if err != nil {
		return "", err
	}
	cookies := answer.Cookies()
	if answer.StatusCode != http.StatusOK || len(cookies) != 1 {
		return "", fmt.Errorf("status %d, %d cookies: %s", answer.StatusCode, len(cookies), body)
	}
	return cookies[0].Name + "=" + cookies[0].Value, nil
}

// signInAsBrowser goes the whole way: to the application's login, to the hosted
// page of the emulator, and back.
func signInAsBrowser(ctx context.Context, r *run, address string, n int) (string, error) {
	user := r.hub.AddUser(idxtest.User{
		UID: uidOf(n), Email: emailOf(n), FirstName: site.Name(n), LastName: "Lovelace",
		Roles: []string{"editor", "reader"}, EmailVerified: true,
		Password: "one of its own", // the login page lists those who have the usual one
	})
	return browse(ctx, r.hub, "http://"+address, user.Email)
}

func browse(ctx context.Context, hub *idxtest.Server, application, email string) (string, error) {
	start, _, err := get(ctx, application+"/auth/login", "")
	if err != nil {
		return "", err
	}
	if start.StatusCode != http.StatusFound || len(start.Cookies()) != 1 {
		return "", fmt.Errorf("login: status %d", start.StatusCode)
	}
	binding := start.Cookies()[0]
	page, err := client.Get(start.Header.Get("Location"))
	if err != nil {
		return "", err
	}
	defer page.Body.Close()
	back, err := hub.SignIn(client, page, email)
	if err != nil {
		return "", err
	}
	back.Body.Close()
	end, body, err := get(ctx, back.Header.Get("Location"), binding.Name+"="+binding.Value)
	if err != nil {
		return "", err
	}
	for _, c := range end.Cookies() {
		if c.Name != binding.Name && c.MaxAge >= 0 {
			return c.Name + "=" + c.Value, nil
		}
	}
	return "", errors.New("no session cookie: " + body)
}

// check makes sure that a contender knows its users and nobody else.
func (r *run) check(ctx context.Context, c contender, address string, cookies []string) error {
	page := "http://" + address + "/page"
	for _, n := range []int{0, len(cookies) / 2, len(cookies) - 1} {
		answer, body, err := get(ctx, page, browserCookies(cookies[n]))
		if err != nil {
			return err
		}
		if answer.StatusCode != http.StatusOK || !greets(body, c.userOf(n)) {
			return fmt.Errorf("the page of user %d: status %d: %s", n, answer.StatusCode, body)
		}
	}
	if c.anonymous {
		return nil
	}
	for _, cookie := range []string{"", browserCookies(cookies[0] + "x")} {
		answer, body, err := get(ctx, page, cookie)
		if err != nil {
			return err
		}
		if answer.StatusCode == http.StatusOK || greets(body, 0) {
			return fmt.Errorf("a stranger was let in: status %d: %s", answer.StatusCode, body)
		}
	}
	return nil
}
