package main

import (
	"encoding/gob"
	"fmt"
	"time"

	"github.com/idxauth/idxauth/internal/peers/site"
)

// Profile is what LoginRadius tells about a user, as an application would model it
// that keeps the whole of it in its session: 47 fields, 1.6 KB as JSON.
type Profile struct {
	UID, ID, Provider                               string
	Prefix, FirstName, MiddleName, LastName, Suffix string
	FullName, NickName, ProfileName, UserName       string
	Email                                           []Email
	EmailVerified                                   bool
	BirthDate, Gender                               string
	Website, Company, Industry, About               string
	ImageURL, ThumbnailImageURL, ProfileURL         string
	City, State, HomeTown, TimeZone                 string
	LocalLanguage, Language                         string
	Country                                         Country
	PhoneID                                         string
	PhoneIDVerified                                 bool
	IsActive, IsDeleted, IsLoginLocked, FirstLogin  bool
	NoOfLogins                                      int
	Roles                                           []string
	CustomFields                                    map[string]string
	RegistrationProvider, RegistrationSource        string
	LastLoginLocation                               string
	CreatedDate, ModifiedDate, SignupDate           time.Time
	LastLoginDate, LastPasswordChangeDate           time.Time
}

type Email struct{ Type, Value string }

type Country struct{ Code, Name string }

// User is what most applications need of it: 0.2 KB as JSON.
type User struct {
	UID, Email, FirstName, LastName, Provider string
	AuthTime                                  time.Time
	Roles                                     []string
}

func init() {
	gob.Register(Profile{})
	gob.Register(User{})
}

func profileOf(n int) Profile {
	at := time.Date(2026, 11, 3, 9, 26, 53, 0, time.UTC)
	name := site.Name(n)
	return Profile{
		UID: uidOf(n), ID: fmt.Sprintf("6d1f0a9c54e84b7f9f0c%012d", n), Provider: "Email",
		Prefix: "Ms", FirstName: name, MiddleName: "Augusta", LastName: "Lovelace", Suffix: "",
		FullName: name + " Augusta Lovelace", NickName: "ada", ProfileName: "ada-lovelace", UserName: name,
		Email:         []Email{{"Primary", emailOf(n)}, {"Secondary", "work." + emailOf(n)}},
		EmailVerified: true,
		BirthDate:     "12-10-1985", Gender: "F",
		Website: "https://www.example.com/people/" + name, Company: "Analytical Engines Ltd", Industry: "Computing",
		About:    "Writes programs for machines that are yet to be built.",
		ImageURL: "https://images.example.com/profiles/large/" + name + ".jpg", ThumbnailImageURL: "https://images.example.com/profiles/small/" + name + ".jpg",
		ProfileURL: "https://social.example.com/" + name,
		City:       "London", State: "England", HomeTown: "Marylebone", TimeZone: "Europe/London",
		LocalLanguage: "en-GB", Language: "en",
		Country: Country{"GB", "United Kingdom"},
		PhoneID: "+442079460000", PhoneIDVerified: true,
		IsActive: true, NoOfLogins: 42,
		Roles: []string{"editor", "reader"}, CustomFields: map[string]string{"plan": "pro", "newsletter": "weekly"},
		RegistrationProvider: "Email", RegistrationSource: "https://my-app.hub.loginradius.com/auth.aspx",
		LastLoginLocation: "London, United Kingdom",
		CreatedDate:       at.AddDate(-2, 0, 0), ModifiedDate: at, SignupDate: at.AddDate(-2, 0, 0),
		LastLoginDate: at, LastPasswordChangeDate: at.AddDate(-1, 0, 0),
	}
}

func userOf(n int) User {
	p := profileOf(n)
	return User{
		UID: p.UID, Email: emailOf(n), FirstName: p.FirstName, LastName: p.LastName,
		Provider: p.Provider, AuthTime: p.LastLoginDate, Roles: p.Roles,
	}
}

func uidOf(n int) string   { return fmt.Sprintf("2f8e4b6a90c14d53a7be%012d", n) }
func emailOf(n int) string { return site.Name(n) + "@example.com" }
