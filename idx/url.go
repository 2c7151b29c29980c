package idx

import "net/url"

// URL returns the address of the hosted page for action. returnURL, where the
// page sends the browser afterwards, is percent-encoded exactly once; action
// comes first, because older hub scripts cut the query by its literal text. An
// empty returnURL is left out.
//
// The page adds its token to returnURL by plain concatenation, so returnURL
// must not have a fragment, nor a query parameter named token.
func (c *Client) URL(action Action, returnURL string) string {
	if action == ActionProfile {
		// The profile page has no action.
		if returnURL == "" {
			return c.app.hub + "/profile.aspx"
		}
		return c.app.hub + "/profile.aspx?return_url=" + url.QueryEscape(returnURL)
	}
	if action == "" {
		action = ActionLogin
	}
	u := c.app.hub + "/auth.aspx?action=" + url.QueryEscape(string(action))
	if returnURL != "" {
		u += "&return_url=" + url.QueryEscape(returnURL)
	}
	return u
}

// HubOrigin returns the scheme and host of the hosted page, for a
// Content-Security-Policy.
func (c *Client) HubOrigin() string { return c.app.hub }
