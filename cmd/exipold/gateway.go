package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"exipol/cmd/internal/cli"
	"exipol/generator/ddl"
)

// addGateway adds --gateway.
func addGateway(cmd *cobra.Command, name *string) {
	cmd.Flags().StringVar(name, "gateway", "", "this host's name among those that share the store; the host's name by default")
}

// gatewayName is what was given, or the host's name. It stands in the rows of what this host has counted and
// holds: under another name they are another gateway's.
func gatewayName(given string) (string, error) {
	if given == "" {
		host, err := os.Hostname()
		if err != nil || !isGateway(host) {
			return "", errors.Join(fmt.Errorf("the name of this host, %q, cannot serve; give it one with --gateway", host), err)
		}
		return host, nil
	}
	if !isGateway(given) {
		return "", cli.WrongUsage("--gateway %q: up to %d visible characters belong there, as in mx1.example.net", given, ddl.NameLength)
	}
	return given, nil
}

func isGateway(name string) bool {
	return name != "" && len(name) <= ddl.NameLength && !strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r > '~' })
}
