package idxtest

import "github.com/idxauth/idxauth/idx"

// Calls of the application with its secret: /identity/v2/manage and /api/v2.

func (c *callContext) account() (*account, *apiError) {
	a := c.users.byUID[lowerASCII(c.r.PathValue("uid"))]
	if a == nil || a.Deleted {
		return nil, errUserNotFound
	}
	return a, nil
}

// accountByUID answers for blocked accounts too, with IsActive false.
func accountByUID(c *callContext) (any, *apiError) {
	a, err := c.account()
	if err != nil {
		return nil, err
	}
	return c.project(c.managed(a)), nil
}

func findAccount(c *callContext) (any, *apiError) {
	a := c.users.byEmail[lowerASCII(c.query.Get("email"))]
	if a == nil || a.Deleted {
		return nil, errUserNotFound
	}
	return c.project(c.managed(a)), nil
}

// managed is the profile as management calls show it: with the password's hash.
func (t *tenant) managed(a *account) map[string]any {
	profile := t.profile(a)
	profile["Password"] = "pbkdf2:" + uidOf(a.Password) // never the password itself
	profile["LastPasswordChangeToken"] = uidOf("change " + a.Email)
	return profile
}

func createAccount(c *callContext) (any, *apiError) {
	u := c.userInBody()
	if u.Email == "" {
		return nil, errValidation
	}
	if c.users.byEmail[lowerASCII(u.Email)] != nil {
		return nil, errEmailTaken
	}
	a := c.addUser(u)
	c.report(idx.EventRegister, a)
	return c.managed(a), nil
}

func deleteAccount(c *callContext) (any, *apiError) {
	a, err := c.account()
	if err != nil {
		return nil, err
	}
	a.Deleted, a.modified = true, c.clock.now()
	c.report(idx.EventDeleteAccount, a)
	return map[string]any{"IsDeleted": true}, nil
}

func roles(c *callContext) (any, *apiError) {
	a, err := c.account()
	if err != nil {
		return nil, err
	}
	return map[string]any{"Roles": a.Roles}, nil
}

func impersonate(c *callContext) (any, *apiError) {
	a := c.users.byUID[lowerASCII(c.query.Get("uid"))]
	if a == nil || a.Deleted {
		return nil, errUserNotFound
	}
	return tokenObject(c.issue(a), true), nil
}

func refresh(c *callContext) (any, *apiError) {
	tok, err := c.exchange(c.query.Get("refresh_token"))
	if err != nil {
		return nil, err
	}
	return tokenObject(tok, true), nil
}

func revokeRefresh(c *callContext) (any, *apiError) {
	value := c.query.Get("refresh_token")
	if c.tokens.byRefresh[value] == nil {
		return nil, errRefreshTokenInvalid
	}
	delete(c.tokens.byRefresh, value)
	return map[string]any{"IsDeleted": true}, nil
}

func revokeAllRefresh(c *callContext) (any, *apiError) {
	a, err := c.account()
	if err != nil {
		return nil, err
	}
	for value, tok := range c.tokens.byRefresh {
		if lowerASCII(tok.uid) == lowerASCII(a.UID) {
			delete(c.tokens.byRefresh, value)
		}
	}
	return map[string]any{"IsDeleted": true}, nil
}

func oldValidate(c *callContext) (any, *apiError) {
	tok, err := c.use(c.query.Get("access_token"))
	if err != nil {
		return nil, err
	}
	return tokenObject(tok, c.settings.RefreshToken), nil
}

func oldInvalidate(c *callContext) (any, *apiError) {
	tok, err := c.use(c.query.Get("access_token"))
	if err != nil {
		return nil, err
	}
	c.tenant.invalidate(tok, c.query.Get("preventrefresh") == "true")
	return posted(true), nil
}

// activeSessions lists the live access tokens of an account.
func activeSessions(c *callContext) (any, *apiError) {
	uid := c.query.Get("accountid")
	if tok := c.tokens.byValue[c.query.Get("token")]; tok != nil {
		uid = tok.uid
	}
	if c.users.byUID[lowerASCII(uid)] == nil {
		return nil, errUserNotFound
	}
	rows := []map[string]any{}
	for _, tok := range c.live(uid) {
		rows = append(rows, map[string]any{
			"AccessToken": tok.value, "Browser": "Firefox", "Device": "", "Os": "Linux", "DeviceType": "Desktop",
			"City": "Oslo", "Country": "Norway", "Ip": "192.0.2.1", "LoginDate": c.date(tok.issued),
		})
	}
	return map[string]any{"data": rows, "nextcursor": 0}, nil
}
