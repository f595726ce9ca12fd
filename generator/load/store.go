package load

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"exipol/generator/diag"
	"exipol/generator/language"
	"exipol/generator/plan"
	"exipol/generator/policy"
)

// store reads the store block by its label; where there is none, it is the usual kind with
// its defaults.
func (l *loader) store() policy.Store {
	all := language.Root.Block("store")
	spec := &all.Kinds[0]
	blocks := l.blocks["store"]
	var c *content
	if len(blocks) > 0 {
		if kind := all.Of(blocks[0].Labels[0]); kind != nil { // else it was reported, and nothing in it can be judged
			spec = kind
			c = l.content(blocks[0], spec)
		}
	}
	c = orEmpty(c, spec)
	s := policy.Store{DeclRange: c.at, Kind: policy.Value[string]{V: spec.Kind, Range: c.at, Set: c.attrs != nil}}
	if spec.Kind == plan.MySQL {
		l.server(c, &s)
		return s
	}
	s.Path = read(l, c, "path", field.path)
	return s
}

// server reads what a store on a server has.
func (l *loader) server(c *content, s *policy.Store) {
	s.Hosts = l.distinct("hosts", readList(l, c, "hosts", field.database))
	s.Database = read(l, c, "database", field.databaseName)
	s.User = read(l, c, "user", field.databaseUser)
	s.PasswordFile = read(l, c, "password_file", field.path)
	s.TLS = l.word(c, "tls")
	s.CAFile = read(l, c, "ca_file", field.path)
	s.Connections = l.number(c, "connections")
	s.State = read(l, c, "state", field.path)
	if s.TLS.V == "" {
		s.TLS.V = plan.TLSOff
		if slices.ContainsFunc(s.Hosts, func(h policy.Value[string]) bool { return !policy.Near(h.V) }) {
			s.TLS.V = plan.TLSVerified
		}
	}
	if l.faulty(c) {
		return
	}
	far := slices.IndexFunc(s.Hosts, func(h policy.Value[string]) bool { return !strings.HasPrefix(h.V, "/") })
	switch {
	case len(s.Hosts) == 0:
		l.fail("EP123", c.attrs["hosts"].Expr.Range(), "hosts is empty", "", `name at least one: hosts = ["db1.example.net"]`)
	case far >= 0 && !s.PasswordFile.Set:
		l.fail("EP106", c.at, fmt.Sprintf("this %s has no argument %q", c.spec.Title(), "password_file"),
			fmt.Sprintf("Over a socket the server sees which user asks; over the network, as at %s, a password has to say so.", s.Hosts[far].V),
			`for example: password_file = "/etc/exipol/db-password"`)
	}
}

// Names of the database and its user.
var (
	databaseName = regexp.MustCompile(language.DBNamePattern)
	databaseUser = regexp.MustCompile(language.DBUserPattern)
)

// serversOwn are the databases in which a server keeps what it knows of itself.
var serversOwn = []string{"mysql", "sys", "information_schema", "performance_schema"}

func (f field) databaseName() (string, bool) {
	s, ok := f.str()
	switch {
	case !ok:
	case !databaseName.MatchString(s):
		f.fail("EP120", fmt.Sprintf("%q cannot be the name of a database", s), "of letters, digits, _ and -, at most 64")
		return "", false
	case slices.Contains(serversOwn, strings.ToLower(s)):
		f.fail("EP120", fmt.Sprintf("the database %q is the server's own", s), `one for exipol alone: database = "exipol"`)
		return "", false
	}
	return s, ok
}

func (f field) databaseUser() (string, bool) {
	s, ok := f.str()
	if ok && !databaseUser.MatchString(s) {
		f.fail("EP120", fmt.Sprintf("%q cannot be the name of a database user", s), "of letters, digits and _ . @ + -, at most 80")
		return "", false
	}
	return s, ok
}

// databasePort is the port of MariaDB and MySQL.
const databasePort = 3306

// database reads where a database server is, and gives it as the plan has it: with its
// port, or as a socket's path.
func (f field) database() (string, bool) {
	s, ok := f.str()
	if !ok {
		return "", false
	}
	if strings.HasPrefix(s, "/") {
		return f.path()
	}
	if strings.ContainsAny(s, "@(/?") { // perhaps with a password in it
		f.l.add(diag.Diagnostic{
			Code: "EP112", Severity: diag.Error, Subject: f.at(), Secret: true,
			Summary: "this is not a database server alone",
			Help:    "the host and its port: database, user and password_file are arguments of their own; a socket is named by its absolute path",
		})
		return "", false
	}
	host, port := strings.ToLower(s), databasePort
	if a, err := netip.ParseAddr(host); err == nil {
		return f.databaseAt(s, a, host, port)
	}
	if name, digits, found := cutPort(host); found {
		n, err := strconv.Atoi(digits)
		if err != nil || n < 1 || n > 65535 || digits != strconv.Itoa(n) {
			f.fail("EP112", fmt.Sprintf("%q is not a database server", s), "a port is a number from 1 to 65535")
			return "", false
		}
		host, port = name, n
	}
	a, _ := netip.ParseAddr(host)
	if inner, bracket := strings.CutPrefix(host, "["); bracket {
		a, _ = netip.ParseAddr(strings.TrimSuffix(inner, "]"))
	}
	return f.databaseAt(s, a, strings.TrimSuffix(host, "."), port)
}

// cutPort takes the port off "host:port" or "[address]:port".
func cutPort(s string) (host, port string, found bool) {
	if i := strings.LastIndex(s, "]"); i >= 0 {
		host, port = s[:i+1], s[i+1:]
		port, found = strings.CutPrefix(port, ":")
		return host, port, found
	}
	return strings.Cut(s, ":")
}

// databaseAt is what the plan says of a server whose address, or else name, and port are
// known; s is how it was written.
func (f field) databaseAt(s string, a netip.Addr, host string, port int) (string, bool) {
	help := `a host with its port, where that is not 3306, or a socket: "db1.example.net", "192.0.2.7:3307", "[2001:db8::7]:3306", "/run/mysqld/mysqld.sock"`
	switch {
	case a.Zone() != "" || a.IsUnspecified() || a.IsMulticast():
		help = "an address that can be connected to, without a zone"
	case a.IsValid():
		return netip.AddrPortFrom(a.Unmap(), uint16(port)).String(), true
	case isHostName(host):
		return host + ":" + strconv.Itoa(port), true
	}
	f.fail("EP112", fmt.Sprintf("%q is not a database server", s), help)
	return "", false
}
