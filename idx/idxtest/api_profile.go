package idxtest

import (
	"strings"
	"time"
)

// nullFields are the keys of a profile that are null for a user who logged in by
// e-mail: most of them. Clients must live with null anywhere.
var nullFields = strings.Fields(`Prefix MiddleName Suffix NickName ProfileName BirthDate Gender Website ThumbnailImageUrl
	Favicon ProfileUrl HomeTown State City Industry About TimeZone LocalLanguage CoverPhoto TagLine Language MainAddress
	LocalCity ProfileCity LocalCountry ProfileCountry RelationshipStatus Quota Quote Religion Political HttpsImageUrl
	Associations Honors PublicRepository RepositoryUrl ProfessionalHeadline LRUserID Currency StarredUrl GistsUrl
	GravatarImageUrl Age Verified IsGeoEnabled UpdatedTime Created IsEmailSubscribed IsRequiredFieldsFilledOnce
	IsSecurePassword IsPasswordBreached IsProtected Hireable FollowersCount FriendsCount TotalStatusesCount NumRecommenders
	TotalPrivateRepository PublicGists PrivateGists PinsCount BoardsCount LikesCount UnverifiedEmail ExternalIds Identities
	Addresses PhoneNumbers IMAccounts Positions Educations InterestedIn Interests Sports InspirationalPeople Awards Skills
	CurrentStatus Certifications Courses Volunteer RecommendationsReceived Languages Projects Games Family TeleVisionShow
	MutualFriends Movies Books Patents FavoriteThings RelatedProfileViews PlacesLived Publications JobBookmarks Badges
	MemberUrlResources Country AgeRange PrivacyPolicy ConsentProfile RegistrationData PIN ProviderAccessCredential KloutScore
	Suggestions Subscription ProfileImageUrls WebProfiles UserName ExternalUserLoginId LastPasswordChangeToken Password
	PasswordExpirationDate ProfileModifiedDate`)

// profile is the whole answer, flat, as the API spells it.
func (t *tenant) profile(a *account) map[string]any {
	p := make(map[string]any, 160)
	for _, name := range nullFields {
		p[name] = nil
	}
	p["Uid"], p["ID"], p["Provider"] = a.UID, a.profileID, a.Provider
	p["FirstName"], p["LastName"], p["FullName"] = orNull(a.FirstName), orNull(a.LastName), orNull(strings.TrimSpace(a.FirstName+" "+a.LastName))
	p["PhoneId"], p["PhoneIdVerified"] = orNull(a.Phone), false
	p["Company"], p["ImageUrl"] = orNull(a.Company), orNull(a.Picture)
	p["Email"], p["EmailVerified"] = nil, a.EmailVerified
	if a.Email != "" {
		p["Email"] = []map[string]string{{"Type": "Primary", "Value": a.Email}}
	}
	p["IsActive"], p["IsDeleted"] = !a.Blocked, a.Deleted
	p["IsLoginLocked"], p["LoginLockedType"] = a.LoginLocked, "None"
	p["IsCustomUid"], p["FirstLogin"], p["NoOfLogins"] = false, a.logins == 1, a.logins
	p["Roles"], p["CustomFields"], p["PreviousUids"] = listOrNull(a.Roles), nil, listOrNull(a.PreviousUIDs)
	if len(a.CustomFields) > 0 {
		p["CustomFields"] = a.CustomFields
	}
	p["RegistrationProvider"], p["RegistrationSource"] = a.Provider, "https://"+appName+".hub.loginradius.com/auth.aspx"
	p["LastLoginLocation"] = "Oslo, Norway"
	p["SignupDate"], p["CreatedDate"], p["ModifiedDate"] = t.date(a.created), t.date(a.created), t.date(a.modified)
	p["LastLoginDate"], p["LastPasswordChangeDate"] = t.date(a.lastLogin), t.date(a.password)
	return p
}

// date writes a time as the API does: with 0 to 7 digits of a second, here each time
// another number of them.
func (t *tenant) date(at time.Time) any {
	if at.IsZero() {
		return nil
	}
	t.dates++
	digits := (t.dates + t.dates/8) % 8 // every number of digits in every field, in time
	if digits == 0 {
		return at.UTC().Format("2006-01-02T15:04:05Z")
	}
	return at.UTC().Format("2006-01-02T15:04:05." + strings.Repeat("0", digits) + "Z")
}

func orNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func listOrNull(list []string) any {
	if len(list) == 0 {
		return nil
	}
	return list
}
