package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"

	"github.com/idxauth/idxauth/idx"
	"github.com/idxauth/idxauth/internal/peers/site"
)

// contender is one way to have signed-in users, run as a server of its own.
type contender struct {
	name  string // for -only
	label string // for people

	// One of the two: what this program serves when it is started again under the
	// contender's name, or another program.
	open    func(surroundings, net.Listener) (*site.Site, error)
	program func(ctx context.Context) (*exec.Cmd, error)

	signIn    func(ctx context.Context, r *run, address string, n int) (cookie string, err error)
	anonymous bool // it has no users: its page greets user 0, whoever asks
	changes   int  // how many of its sessions are changed a second, by others, while it is measured
}

// surroundings are what contenders find already running.
type surroundings struct {
	redis string // host:port
	hub   idx.Config
}

// The contenders that ratios are taken of.
const (
	bareName = "bare"
	scsName  = "scs-goredis-profile"
)

func contenders() []contender {
	return []contender{
		{name: bareName, label: "the page alone, no login", open: openBare, anonymous: true},
		{name: "one-get", label: "one plain GET of Redis, no login", open: openOneGet, anonymous: true},
		{name: "ours-warm", label: "idxauth", open: openWarm, signIn: signInAsBrowser},
		{name: "ours-changing", label: "idxauth, 5,000 sessions a second change", open: openWarm, signIn: signInAsBrowser, changes: 5000},
		{name: "ours-cold", label: "idxauth, near cache off", open: openCold, signIn: signInAsBrowser},
		{name: "scs-goredis", label: "scs + goredisstore, small user", open: openSCS, signIn: signInByRoute},
		{name: scsName, label: "scs + goredisstore, whole profile", open: openSCSProfile, signIn: signInByRoute},
		{name: "scs-goredis-idle", label: "scs + goredisstore, whole profile, idle timeout", open: openSCSIdle, signIn: signInByRoute},
		{name: "gorilla", label: "gorilla + redistore, small user", open: openGorilla, signIn: signInByRoute},
		{name: "gorilla-profile", label: "gorilla + redistore, whole profile", open: openGorillaProfile, signIn: signInByRoute},
		{name: "oauth2-proxy", label: "oauth2-proxy's session middleware", program: oauth2Proxy, signIn: signInByRoute},
		{name: "express", label: "express-openid-connect, on Node", program: express, signIn: signInByRoute},
	}
}

// The variables by which a contender's process learns its surroundings; those of
// the hub have the names that middleware.FromEnv gives them.
const (
	nameVariable  = "PEERS_CONTENDER"
	redisVariable = "PEERS_REDIS"
)

func (s surroundings) environ() []string {
	return []string{
		redisVariable + "=" + s.redis,
		"LOGINRADIUS_APP_NAME=" + s.hub.AppName,
		"LOGINRADIUS_API_KEY=" + s.hub.APIKey,
		"LOGINRADIUS_API_SECRET=" + string(s.hub.APISecret),
		"LOGINRADIUS_HUB_URL=" + s.hub.HubURL,
		"LOGINRADIUS_API_URL=" + s.hub.APIURL,
	}
}

// serveIfContender serves, and does not return, if this process was started as a
// contender.
func serveIfContender() {
	name := os.Getenv(nameVariable)
	if name == "" {
		return
	}
	if err := serve(name); err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
		os.Exit(1)
	}
	os.Exit(0)
}

func serve(name string) error {
	env := surroundings{
		redis: os.Getenv(redisVariable),
		hub: idx.Config{
			AppName:   os.Getenv("LOGINRADIUS_APP_NAME"),
			APIKey:    os.Getenv("LOGINRADIUS_API_KEY"),
			APISecret: idx.Secret(os.Getenv("LOGINRADIUS_API_SECRET")),
			HubURL:    os.Getenv("LOGINRADIUS_HUB_URL"),
			APIURL:    os.Getenv("LOGINRADIUS_API_URL"),
		},
	}
	for _, c := range contenders() {
		if c.name != name || c.open == nil {
			continue
		}
		l, err := site.Listen()
		if err != nil {
			return err
		}
		s, err := c.open(env, l)
		if err != nil {
			return err
		}
		return s.Serve(l)
	}
	return errors.New("there is no such contender")
}

// command returns the command that starts c.
func (c contender) command(ctx context.Context, env surroundings) (*exec.Cmd, error) {
	var cmd *exec.Cmd
	if c.program != nil {
		var err error
		if cmd, err = c.program(ctx); err != nil {
			return nil, err
		}
	} else {
		self, err := os.Executable()
		if err != nil {
			return nil, err
		}
		cmd = exec.Command(self)
	}
	cmd.Env = append(append(os.Environ(), nameVariable+"="+c.name), env.environ()...)
	return cmd, nil
}
