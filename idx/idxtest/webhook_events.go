package idxtest

import (
	"maps"
	"slices"

	"github.com/idxauth/idxauth/idx"
)

// eventsOf returns the events that an administrator's change of a user causes. There
// is none for the end of a block but UpdateProfile.
func eventsOf(before, after User) []idx.Event {
	var events []idx.Event
	happened := func(event idx.Event, did bool) {
		if did {
			events = append(events, event)
		}
	}
	// lacks reports whether list lacks one of the roles in others.
	lacks := func(list, others []string) bool {
		return slices.ContainsFunc(others, func(role string) bool { return !slices.Contains(list, role) })
	}
	happened(idx.EventUpdateUID, before.UID != after.UID)
	happened(idx.EventBlockAccount, !before.Blocked && after.Blocked)
	happened(idx.EventDeleteAccount, !before.Deleted && after.Deleted)
	happened(idx.EventSetPassword, before.Password != after.Password)
	happened(idx.EventEmailVerification, !before.EmailVerified && after.EmailVerified)
	happened(idx.EventInvalidateEmailVerification, before.EmailVerified && !after.EmailVerified)
	happened(idx.EventUpdatePhoneID, before.Phone != after.Phone && after.Phone != "")
	happened(idx.EventRemovePhoneID, before.Phone != after.Phone && after.Phone == "")
	happened(idx.EventAssignRoles, lacks(before.Roles, after.Roles))
	happened(idx.EventUnassignRoles, lacks(after.Roles, before.Roles))
	happened(idx.EventUpdateProfile, before.Email != after.Email || before.FirstName != after.FirstName ||
		before.LastName != after.LastName || before.Company != after.Company || before.Picture != after.Picture ||
		!maps.Equal(before.CustomFields, after.CustomFields) || before.Blocked && !after.Blocked)
	return events
}
