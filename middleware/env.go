package middleware

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/idxauth/idxauth/idx"
	"github.com/idxauth/idxauth/session"
)

// FromEnv returns a Config from the environment, without checking it: [New] does.
//
//	BASE_URL                public address of the application
//	LOGINRADIUS_APP_NAME    name of the LoginRadius app
//	LOGINRADIUS_API_KEY     its key
//	LOGINRADIUS_API_SECRET  its secret (optional)
//	LOGINRADIUS_HUB_URL     custom domain of the hosted page (optional)
//	LOGINRADIUS_API_URL     another API host (optional)
//	REDIS_URL               see [session.ParseRedisURL]
//
// LOGINRADIUS_API_SECRET and REDIS_URL can be in files instead: then
// LOGINRADIUS_API_SECRET_FILE and REDIS_URL_FILE name them. The error says which
// variable is unusable, and never its value.
func FromEnv() (Config, error) {
	secret, errSecret := secretVariable("LOGINRADIUS_API_SECRET")
	address, errAddress := secretVariable("REDIS_URL")
	cfg := Config{
		BaseURL: os.Getenv("BASE_URL"),
		IDX: idx.Config{
			AppName:   os.Getenv("LOGINRADIUS_APP_NAME"),
			APIKey:    os.Getenv("LOGINRADIUS_API_KEY"),
			APISecret: idx.Secret(secret),
			HubURL:    os.Getenv("LOGINRADIUS_HUB_URL"),
			APIURL:    os.Getenv("LOGINRADIUS_API_URL"),
		},
	}
	if address != "" {
		options, err := session.ParseRedisURL(address)
		if err != nil {
			errAddress = fmt.Errorf("middleware: REDIS_URL: %w", err)
		} else {
			cfg.Store = session.NewRedis(redis.NewUniversalClient(options), nil)
		}
	}
	return cfg, errors.Join(errSecret, errAddress)
}

// secretVariable reads name, or the file that name_FILE names.
func secretVariable(name string) (string, error) {
	file := os.Getenv(name + "_FILE")
	if file == "" {
		return os.Getenv(name), nil
	}
	if os.Getenv(name) != "" {
		return "", fmt.Errorf("middleware: both %s and %s_FILE are set: want one", name, name)
	}
	content, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("middleware: %s_FILE: %w", name, err)
	}
	return strings.TrimSpace(string(content)), nil
}
