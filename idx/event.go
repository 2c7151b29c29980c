package idx

import (
	"slices"
	"strings"
)

// Event is what a [Webhook] reports. LoginRadius may send others than those below.
// There is none for a logout, nor for a token that was invalidated.
type Event string

// The events that LoginRadius documents (its "List All Webhook Events" call). Not
// every plan has all of them.
const (
	EventLogin                       Event = "Login"
	EventRegister                    Event = "Register"
	EventCreateTraditionalAccount    Event = "CreateTraditionalAccount"
	EventUpdateProfile               Event = "UpdateProfile"
	EventUpdateUID                   Event = "UpdateUid"
	EventBlockAccount                Event = "BlockAccount"
	EventDeleteAccount               Event = "DeleteAccount"
	EventSetUsername                 Event = "SetUsername"
	EventResetPassword               Event = "ResetPassword"  // by a link or code that was sent
	EventChangePassword              Event = "ChangePassword" // by the user
	EventSetPassword                 Event = "SetPassword"    // by an administrator
	EventSetPIN                      Event = "SetPIN"
	EventResetPIN                    Event = "ResetPIN"
	EventChangePIN                   Event = "ChangePIN"
	EventEmailVerification           Event = "EmailVerification"
	EventInvalidateEmailVerification Event = "InvalidateEmailVerification"
	EventAddEmail                    Event = "AddEmail"
	EventRemoveEmail                 Event = "RemoveEmail"
	EventUpdatePhoneID               Event = "UpdatePhoneId"
	EventVerifyPhoneNumber           Event = "VerifyPhoneNumber"
	EventInvalidatePhoneVerification Event = "InvalidatePhoneVerification"
	EventRemovePhoneID               Event = "RemovePhoneId"
	EventAssignRoles                 Event = "AssignRoles"
	EventUnassignRoles               Event = "UnassignRoles"
	EventRemoveRoleContext           Event = "RemoveRoleContext"
	EventLinkAccount                 Event = "LinkAccount"
	EventUnlinkAccount               Event = "UnlinkAccount"
	EventConsentProfileUpdate        Event = "ConsentProfileUpdate"
	EventCreateCustomObject          Event = "CreateCustomObject"
	EventUpdateCustomObject          Event = "UpdateCustomObject"
	EventDeleteCustomObject          Event = "DeleteCustomObject"
)

var knownEvents = []Event{
	EventLogin, EventRegister, EventCreateTraditionalAccount, EventUpdateProfile, EventUpdateUID, EventBlockAccount,
	EventDeleteAccount, EventSetUsername, EventResetPassword, EventChangePassword, EventSetPassword, EventSetPIN,
	EventResetPIN, EventChangePIN, EventEmailVerification, EventInvalidateEmailVerification, EventAddEmail,
	EventRemoveEmail, EventUpdatePhoneID, EventVerifyPhoneNumber, EventInvalidatePhoneVerification, EventRemovePhoneID,
	EventAssignRoles, EventUnassignRoles, EventRemoveRoleContext, EventLinkAccount, EventUnlinkAccount,
	EventConsentProfileUpdate, EventCreateCustomObject, EventUpdateCustomObject, EventDeleteCustomObject,
}

// eventNamed returns the event of that name in any case: webhooks have it in lower
// case, and LoginRadius' own lists do not agree on it. An unknown one is kept as it is.
func eventNamed(name string) Event {
	for _, known := range knownEvents {
		if strings.EqualFold(name, string(known)) {
			return known
		}
	}
	return Event(name)
}

func (e Event) isKnown() bool { return slices.Contains(knownEvents, e) }

// isAboutObject reports whether the event's data is a custom object. Such an object
// has a Uid, an IsActive and an IsDeleted of its own.
func (e Event) isAboutObject() bool {
	return e == EventCreateCustomObject || e == EventUpdateCustomObject || e == EventDeleteCustomObject
}
