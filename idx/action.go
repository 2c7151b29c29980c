package idx

// Action is what the visitor is to do on the hosted page. The page compares it
// in lower case; the empty Action stands for [ActionLogin].
type Action string

// The actions of the hosted page.
const (
	ActionLogin          Action = "login"
	ActionRegister       Action = "register"
	ActionForgotPassword Action = "forgotpassword"
	ActionProfile        Action = "profile" // profile.aspx, where users edit their account
	ActionLogout         Action = "logout"
)
