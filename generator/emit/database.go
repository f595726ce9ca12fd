package emit

import (
	"path"
	"slices"
	"strings"

	"exipol/generator/plan"
)

// databaseRights are all that exipold needs: its rows, and the tables and indexes that
// `exipold migrate` makes and, when it is told to, takes away.
const databaseRights = "SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, INDEX, DROP"

// database is what the steps say of a store on a server.
func database(s plan.Store) *databaseData {
	d := &databaseData{
		Name: s.Database, User: s.User, Hosts: s.Hosts, PasswordFile: s.PasswordFile,
		PasswordDir: path.Dir(s.PasswordFile), CAFile: s.CAFile,
	}
	known := " IDENTIFIED BY 'PASSWORD'"
	if s.PasswordFile == "" {
		known = " IDENTIFIED VIA unix_socket"
	}
	var accounts, create []string
	for _, from := range comesFrom(s.Hosts) {
		account := "'" + s.User + "'@'" + from + "'"
		accounts = append(accounts, account)
		create = append(create, account+known)
		d.Far = d.Far || from == "%"
	}
	const next, indent = ",\n", "      "
	d.Accounts, d.Create = indent+strings.Join(accounts, next+indent), indent+strings.Join(create, next+indent)
	socket := slices.ContainsFunc(s.Hosts, func(h string) bool { return strings.HasPrefix(h, "/") })
	if s.TLS != plan.TLSOff && d.Far && !socket { // which is not encrypted

		d.Create += " REQUIRE SSL"
	}
	return d
}

// comesFrom is what the server at each host takes for the host that a gateway asks from:
// localhost for a socket, an address of loopback for loopback, and else an address that is
// the gateway's and not known here.
func comesFrom(hosts []string) []string {
	var from []string
	for _, h := range hosts {
		switch {
		case strings.HasPrefix(h, "/"):
			from = append(from, "localhost")
		case strings.HasPrefix(h, "127."):
			from = append(from, "127.0.0.1")
		case strings.HasPrefix(h, "[::1]:"):
			from = append(from, "::1")
		case strings.HasPrefix(h, "localhost:"):
			from = append(from, "127.0.0.1", "::1")
		default:
			return []string{"%"} // with which all others are meant, too
		}
	}
	slices.Sort(from)
	return slices.Compact(from)
}

// Rights are what the user may do, behind the word GRANT.
func (databaseData) Rights() string { return databaseRights }

// Pattern is the database where a right is given: there an underscore is any character.
func (d databaseData) Pattern() string { return strings.ReplaceAll(d.Name, "_", `\_`) }

// PasswordOwn says whether the password's file goes away with the plan's directory.
func (d databaseData) PasswordOwn() bool { return strings.HasPrefix(d.PasswordFile, "/etc/exipol/") }
