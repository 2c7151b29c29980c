package idxtest_test

import (
	"encoding/json"
	"net/url"
	"testing"

	"github.com/idxauth/idxauth/idx/idxtest"
)

func TestNestedFields(t *testing.T) {
	srv := idxtest.NewServer(t)
	srv.UpdateUser(idxtest.Ada.Email, func(u *idxtest.User) { u.CustomFields = map[string]string{"plan": "pro", "seats": "3"} })
	const email = `"Email":[{"Type":"Primary","Value":"ada@example.com"}]`
	for fields, want := range map[string]string{
		"FirstName":                         `{"FirstName":"Ada"}`,
		"firstname,LASTNAME":                `{"FirstName":"Ada","LastName":"Lovelace"}`,
		"CustomFields/plan":                 `{"CustomFields":{"plan":"pro"}}`,
		"customfields/PLAN":                 `{"CustomFields":{"plan":"pro"}}`,
		"CustomFields(plan)":                `{"CustomFields":{"plan":"pro"}}`,
		"CustomFields/plan,FirstName":       `{"CustomFields":{"plan":"pro"},"FirstName":"Ada"}`,
		"CustomFields/none":                 `{"CustomFields":{}}`,
		"CustomFields/*":                    `{"CustomFields":{"plan":"pro","seats":"3"}}`,
		"CustomFields/plan,CustomFields":    `{"CustomFields":{"plan":"pro","seats":"3"}}`,
		"CustomFields,CustomFields/plan":    `{"CustomFields":{"plan":"pro","seats":"3"}}`,
		"CustomFields/plan,CustomFields/x":  `{"CustomFields":{"plan":"pro"}}`,
		"Email":                             `{` + email + `}`,
		"Email/Value":                       `{"Email":[{"Value":"ada@example.com"}]}`,
		"Email(Value)":                      `{"Email":[{"Value":"ada@example.com"}]}`,
		"Email(Type,Value)":                 `{` + email + `}`,
		" Email ( Value ) , FirstName ":     `{"Email":[{"Value":"ada@example.com"}],"FirstName":"Ada"}`,
		"Email(Value,CustomFields(plan":     `{"Email":[{"Value":"ada@example.com"}]}`,
		"Country/Code":                      `{"Country":null}`,
		"FirstName/Code":                    `{}`,
		"Roles/Code":                        `{"Roles":[]}`,
		"Email/Value/Deeper":                `{"Email":[{}]}`,
		"Nothing":                           `{}`,
		"Uid(),FirstName,(LastName),/Email": `{"FirstName":"Ada","Uid":"` + idxtest.Ada.UID + `"}`,
	} {
		path := managePath + "/" + idxtest.Ada.UID + "?fields=" + url.QueryEscape(fields)
		got, err := json.Marshal(newAPI(t, srv).get(path).wantOK(t, path))
		if err != nil || string(got) != want {
			t.Errorf("fields=%s: got %s, want %s (%v)", fields, got, want, err)
		}
	}
}
