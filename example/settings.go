package main

import (
	"errors"
	"fmt"
	"net"
	"os"

	"github.com/idxauth/idxauth/middleware"
)

// settings reads the environment. [middleware.New] checks the values, and calls them
// by the names of its fields; what is missing is said here, by the variable's name.
func settings(listener net.Listener) (middleware.Config, error) {
	cfg, err := middleware.FromEnv()
	if err != nil {
		return cfg, err
	}
	if cfg.BaseURL == "" {
		cfg.BaseURL = baseURL(listener)
	}
	return cfg, checkApp(cfg.IDX.AppName)
}

// checkApp refuses half a set of credentials: with a key but without a name, the
// emulator would run where somebody meant the real hosted page.
func checkApp(appName string) error {
	if appName != "" {
		if os.Getenv("LOGINRADIUS_API_KEY") == "" {
			return errors.New("LOGINRADIUS_API_KEY is empty: copy the key of LOGINRADIUS_APP_NAME from the LoginRadius console")
		}
		return nil
	}
	for _, name := range [...]string{
		"LOGINRADIUS_API_KEY", "LOGINRADIUS_API_SECRET", "LOGINRADIUS_API_SECRET_FILE",
		"LOGINRADIUS_HUB_URL", "LOGINRADIUS_API_URL",
	} {
		if os.Getenv(name) != "" {
			return fmt.Errorf("%s is set, and LOGINRADIUS_APP_NAME is not: set both for the real hosted page, or none for the emulator", name)
		}
	}
	return nil
}
