package idxtest

import (
	"time"

	"github.com/idxauth/idxauth/idx"
)

// Calls in the name of a user, and those that make one: /identity/v2/auth.

func getAccount(c *callContext) (any, *apiError) {
	a, err := c.holder(c.token)
	if err != nil {
		return nil, err
	}
	if a.Blocked {
		switch c.settings.BlockedProfile {
		case BlockedCode991:
			return nil, errBlocked
		case BlockedCode938:
			return nil, errUserNotFound
		}
	}
	return c.project(c.profile(a)), nil
}

func putAccount(c *callContext) (any, *apiError) {
	a, err := c.holder(c.token)
	if err != nil {
		return nil, err
	}
	for name, field := range map[string]*string{"FirstName": &a.FirstName, "LastName": &a.LastName, "Company": &a.Company} {
		if value, ok := c.body[name].(string); ok {
			*field = value
		}
	}
	a.modified = c.clock.now()
	c.report(idx.EventUpdateProfile, a)
	return map[string]any{"IsPosted": true, "Data": c.profile(a)}, nil
}

func tokenInfo(c *callContext) (any, *apiError) {
	a, err := c.holder(c.token)
	if err != nil {
		return nil, err
	}
	return map[string]any{"provider": a.Provider, "access_token": c.token.value, "isrememberme": c.token.remember}, nil
}

func validate(c *callContext) (any, *apiError) {
	return tokenObject(c.token, c.settings.RefreshToken), nil
}

func invalidate(c *callContext) (any, *apiError) {
	c.tenant.invalidate(c.token, c.query.Get("preventrefresh") == "true")
	return posted(true), nil
}

func refreshByBearer(c *callContext) (any, *apiError) {
	tok, err := c.exchange(c.bearer())
	if err != nil {
		return nil, err
	}
	return tokenObject(tok, true), nil
}

// email verifies an address by the token of a mail, or tells whether one is taken.
func email(c *callContext) (any, *apiError) {
	if vtoken := c.query.Get("verificationtoken"); vtoken != "" {
		a, err := c.verify(vtoken)
		if err != nil {
			return nil, err
		}
		answer := posted(true)
		if tok, err := c.admit(a); err == nil && c.settings.LoginAfterVerification {
			answer["Data"] = c.loginObject(a, tok)
		}
		return answer, nil
	}
	return map[string]any{"IsExist": c.users.byEmail[lowerASCII(c.query.Get("email"))] != nil}, nil
}

func apiLogin(c *callContext) (any, *apiError) {
	tok, err := c.login(c.text("email"), c.text("password"))
	if err != nil {
		return nil, err
	}
	a, err := c.holder(tok)
	if err != nil {
		return nil, err
	}
	return c.loginObject(a, tok), nil
}

func apiRegister(c *callContext) (any, *apiError) {
	if c.r.Header.Get("X-LoginRadius-Sott") == "" && c.query.Get("sott") == "" {
		return nil, errParameter
	}
	a, admitted, err := c.register(c.userInBody(), c.hub+"/auth.aspx")
	if err != nil {
		return nil, err
	}
	answer := posted(true)
	if admitted {
		answer["Data"] = c.loginObject(a, c.issue(a))
	}
	return answer, nil
}

func apiForgot(c *callContext) (any, *apiError) {
	c.forgot(c.text("email"), c.hub+"/auth.aspx")
	return posted(true), nil
}

func apiReset(c *callContext) (any, *apiError) {
	if err := c.reset(c.text("resettoken"), c.text("password")); err != nil {
		return nil, err
	}
	return posted(true), nil
}

func serverInfo(c *callContext) (any, *apiError) {
	return map[string]any{"CurrentTime": c.clock.now().Format(time.RFC3339)}, nil
}

func (c *callContext) loginObject(a *account, tok *token) map[string]any {
	object := tokenObject(tok, true)
	object["Profile"] = c.profile(a)
	return object
}

// userInBody reads what registration and account creation send; Email is a list
// there.
func (c *callContext) userInBody() User {
	u := User{Email: c.text("Email"), Password: c.text("Password"), FirstName: c.text("FirstName"), LastName: c.text("LastName")}
	if list, ok := c.body["Email"].([]any); ok && len(list) > 0 {
		if entry, ok := list[0].(map[string]any); ok {
			u.Email, _ = entry["Value"].(string)
		}
	}
	return u
}
