package secrets

import (
	"regexp"
	"strings"
)

// sink is a place where something comes out.
type sink string

const (
	logText     sink = "log line, text"
	logJSON     sink = "log line, JSON"
	logServer   sink = "ErrorLog of the server"
	logRedis    sink = "log of the Redis client"
	hookError   sink = "problem in a hook"
	anError     sink = "returned error"
	printed     sink = "print of a value"
	answerHead  sink = "header of an answer"
	answerBody  sink = "body of an answer"
	apiAddress  sink = "address of a call to the API"
	apiHead     sink = "header of a call to the API"
	redisSaid   sink = "command to Redis"
	redisKept   sink = "key or value in Redis"
	processSays sink = "output of a process"
)

var allSinks = []sink{logText, logJSON, logServer, logRedis, hookError, anError, printed, answerHead, answerBody,
	apiAddress, apiHead, redisSaid, redisKept, processSays}

// allowed are the places where a secret belongs. A place is the name that the entry has
// there, such as that of the header.
var allowed = []struct {
	sink  sink
	place string // regular expression
	kinds []kind
	text  string // regular expression of what the entry looks like; "" for any
	why   string
}{
	{answerHead, `^Set-Cookie .*-session$`, []kind{sessionToken}, "", "gives it to its browser"},
	{answerHead, `^Set-Cookie .*-login$`, []kind{bindingCookie}, "", "gives it to its browser"},
	{answerHead, `^Location from /`, []kind{loginState}, `^HUB/auth\.aspx\?action=`, "the way to the hosted page, and back with the state"},
	{answerHead, `^Location from //auth/callback$`, []kind{loginState, accessToken}, `^/auth/callback\?`, "the standard library's mux cleans a path, on the same host"},
	{answerBody, `^//auth/callback$`, []kind{loginState, accessToken}, `^<a href="/auth/callback\?`, "the same"},
	{answerBody, `^/(|dashboard/.*|admin|verified|checked|fresh)$`, []kind{profileData}, `^user `, "the application's own page says who is there"},
	{answerBody, `^/(|dashboard|account|admin|scrap|nowhere|auth/devices)$`, []kind{profileData, userID}, `<form class="who"`, "the pages of the example say who is there"},
	{answerBody, `^/api/me$`, []kind{profileData, userID}, `^\{"email":`, "the example's answer to programs of the user"},
	{printed, `^(identity|webhook) in a `, []kind{profileData, userID}, "", "an application that prints a user sees the user; no token, no hash"},
	{apiHead, `^Authorization to /identity/v2/auth/`, []kind{accessToken}, `^Bearer `, "a call in the name of the user"},
	{apiHead, `^X-Loginradius-Apisecret to /identity/v2/manage/account/`, []kind{apiSecret}, "", "a call in the name of the application"},
	{apiAddress, `^/identity/v2/manage/account/`, []kind{userID}, "", "names the account that is read"},
}

// rule is one row of the table, made ready.
type rule struct {
	sink        sink
	place, text *regexp.Regexp
	kinds       map[kind]bool
}

func rules(hub string) []rule {
	var all []rule
	for _, row := range allowed {
		r := rule{sink: row.sink, kinds: make(map[kind]bool)}
		r.place = regexp.MustCompile(row.place)
		r.text = regexp.MustCompile(strings.ReplaceAll(row.text, "HUB", regexp.QuoteMeta(hub)))
		for _, k := range row.kinds {
			r.kinds[k] = true
		}
		all = append(all, r)
	}
	return all
}

func (r rule) allows(e entry, k kind) bool {
	return r.sink == e.sink && r.kinds[k] && r.place.MatchString(e.place) && r.text.MatchString(e.text)
}
