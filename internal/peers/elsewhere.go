package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// errNotHere means that a contender cannot run on this machine.
var errNotHere = errors.New("cannot be had on this machine")

var oauth2ProxyProgram = filepath.Join("oauth2proxy", "oauth2proxy.out")

// oauth2Proxy builds the contender in the module oauth2proxy, which is one of its
// own because its dependencies are many.
func oauth2Proxy(ctx context.Context) (*exec.Cmd, error) {
	program, err := filepath.Abs(oauth2ProxyProgram)
	if err != nil {
		return nil, err
	}
	if err := prepare(ctx, "oauth2proxy", "go", "build", "-o", program, "."); err != nil {
		return nil, err
	}
	return exec.Command(program), nil
}

// express installs the contender's packages as its lock file says.
func express(ctx context.Context) (*exec.Cmd, error) {
	node, err := exec.LookPath("node")
	if err != nil {
		return nil, fmt.Errorf("%w: there is no node", errNotHere)
	}
	// npm writes this file last.
	if _, err := os.Stat(filepath.Join("express", "node_modules", ".package-lock.json")); err != nil {
		if err := prepare(ctx, "express", "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"); err != nil {
			return nil, err
		}
	}
	return exec.Command(node, filepath.Join("express", "server.js")), nil
}

// prepare runs a command in a directory beside this file. That it fails is mostly a
// registry that cannot be reached.
func prepare(ctx context.Context, dir, name string, args ...string) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	var out tail
	cmd.Stdout, cmd.Stderr = os.Stderr, &out
	if err := cmd.Run(); err != nil {
		fmt.Fprintln(os.Stderr, out.String())
		return fmt.Errorf("%w: %s %s: %w", errNotHere, name, args[0], err)
	}
	return nil
}
