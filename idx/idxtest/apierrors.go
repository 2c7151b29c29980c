package idxtest

import "net/http"

// apiError is one row of LoginRadius' list of error codes. Clients may rely on
// status and code only; the texts are ours.
type apiError struct {
	status, code         int
	message, description string
}

var (
	errTokenMissing        = &apiError{http.StatusBadRequest, 1060, "The access token is missing", "Send the access token as a bearer token or as access_token."}
	errTokenInvalid        = &apiError{http.StatusForbidden, 905, "The access token is invalid", "The access token does not exist or was invalidated. Please log in again."}
	errTokenExpired        = &apiError{http.StatusForbidden, 906, "The access token has expired", "Your session has expired. Please log in again."}
	errRefreshTokenInvalid = &apiError{http.StatusForbidden, 1217, "The refresh token is invalid", "The refresh token does not exist, was used or has expired."}

	errKeyMissing      = &apiError{http.StatusBadRequest, 922, "The API key is missing", "Send the API key as apikey or in a header."}
	errKeyMalformed    = &apiError{http.StatusBadRequest, 920, "The API key is malformed", "An API key is a GUID."}
	errKeyUnknown      = &apiError{http.StatusForbidden, 901, "The API key is not authorized", "There is no app with this API key."}
	errSecretMissing   = &apiError{http.StatusBadRequest, 923, "The API secret is missing", "Management calls need the API secret."}
	errSecretMalformed = &apiError{http.StatusBadRequest, 921, "The API secret is malformed", "An API secret is a GUID."}
	errSecretUnknown   = &apiError{http.StatusUnauthorized, 902, "The API secret is not authorized", "This is not the secret of the app."}

	errParameter       = &apiError{http.StatusForbidden, 908, "A parameter is not formatted correctly", "A required parameter is missing or malformed."}
	errValidation      = &apiError{http.StatusForbidden, 1134, "Please check what you have entered", "One or more fields are not valid."}
	errLogin           = &apiError{http.StatusUnauthorized, 966, "The e-mail address or the password is wrong", "No account has this e-mail address and password."}
	errUserNotFound    = &apiError{http.StatusForbidden, 938, "The user does not exist", "There is no such account."}
	errEmailTaken      = &apiError{http.StatusForbidden, 936, "An account with this e-mail address exists already", "The e-mail address is registered."}
	errEmailUnverified = &apiError{http.StatusForbidden, 970, "Please verify your e-mail address first", "The e-mail address is not verified."}
	errBlocked         = &apiError{http.StatusForbidden, 991, "Your account has been blocked", "The account was blocked by an administrator."}
	errLocked          = &apiError{http.StatusForbidden, 1198, "Your account is locked for a while after too many attempts", "The account is locked for a while."}
	errSessionLimit    = &apiError{http.StatusForbidden, 1338, "You are signed in on too many devices", "The limit of active sessions is reached."}
	errLinkInvalid     = &apiError{http.StatusForbidden, 974, "This link is not valid", "The link does not exist or was used."}
	errLinkExpired     = &apiError{http.StatusForbidden, 975, "This link has expired", "The link has expired. Please ask for another one."}
	errUnknown         = &apiError{http.StatusInternalServerError, 950, "Something went wrong", "An unknown error has occurred."}
)

// envelope is the body of an error. The old API spells its keys otherwise.
func (e *apiError) envelope(legacy bool) map[string]any {
	if legacy {
		return map[string]any{
			"description": e.description, "errorCode": e.code, "message": e.message,
			"isProviderError": false, "providerErrorResponse": nil,
		}
	}
	return map[string]any{
		"Description": e.description, "ErrorCode": e.code, "Message": e.message,
		"IsProviderError": false, "ProviderErrorResponse": nil,
	}
}
