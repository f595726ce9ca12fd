package hosts

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"exipol/generator/plan"
)

// Config says which servers there are, and how they are spoken to.
type Config struct {
	Store    plan.Store    // of kind plan.MySQL
	Password string        // of Store.User; it is in no error and in no log
	Gateway  string        // who this is, in what it writes: a name of the table lease
	Timeout  time.Duration // of an answer: an operation is to give up before that. 3 s where it is 0
	Log      *slog.Logger  // nil: slog.Default()
	Every    time.Duration // how often each host is looked at; 1 s where it is 0
}

// What stands for a setting that was not made.
const (
	defaultTimeout     = 3 * time.Second
	defaultEvery       = time.Second
	defaultConnections = 8 // for two cores here, and a hundred gateways at one server
	defaultPort        = "3306"
)

// shortestTimeout is for a timeout so short that the driver's parts of it would be none.
const shortestTimeout = 200 * time.Millisecond

func (c Config) filled() Config {
	if c.Timeout <= 0 {
		c.Timeout = defaultTimeout
	}
	c.Timeout = max(c.Timeout, shortestTimeout)
	if c.Every <= 0 {
		c.Every = defaultEvery
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.Store.Connections <= 0 {
		c.Store.Connections = defaultConnections
	}
	return c
}

// check says what is wrong with a configuration before any server is asked.
func (c Config) check() error {
	switch {
	case c.Store.Kind != plan.MySQL:
		return fmt.Errorf("a store of kind %q has no hosts", c.Store.Kind)
	case len(c.Store.Hosts) == 0:
		return errors.New("no host is named")
	case c.Store.Database == "":
		return errors.New("no database is named")
	case c.Store.User == "":
		return errors.New("no user is named")
	}
	for i, host := range c.Store.Hosts {
		if slices.Contains(c.Store.Hosts[:i], host) {
			return fmt.Errorf("host %s is named twice", host)
		}
		if _, _, err := address(host); err != nil {
			return err
		}
	}
	return nil
}

// address is a host of the configuration as the network and the address to connect to:
// "db1", "db1:3307", "192.0.2.1", "[2001:db8::1]:3306", "2001:db8::1", "/run/mysqld/mysqld.sock".
func address(host string) (network, addr string, err error) {
	if strings.HasPrefix(host, "/") {
		return "unix", filepath.Clean(host), nil
	}
	if ip := net.ParseIP(strings.Trim(host, "[]")); ip != nil {
		return "tcp", net.JoinHostPort(ip.String(), defaultPort), nil
	}
	name, port := host, defaultPort
	if strings.Contains(host, ":") {
		if name, port, err = net.SplitHostPort(host); err != nil {
			return "", "", fmt.Errorf("host %q: want host:port, or a socket's path", host)
		}
	}
	if n, err := strconv.Atoi(port); name == "" || err != nil || n < 1 || n > 65535 {
		return "", "", fmt.Errorf("host %q: want host:port, or a socket's path", host)
	}
	return "tcp", net.JoinHostPort(name, port), nil
}

// encryption is how connections over TCP are encrypted, nil for not at all. The files are read here, once.
//
// Without TLS, and not over a socket, the driver can log in by caching_sha2_password (MySQL 8's way)
// only after it was told the server's public key, and it takes the one that the server, or whoever
// answers in its place, sends. So TLSOff is for loopback.
func encryption(s plan.Store) (*tls.Config, error) {
	switch s.TLS {
	case plan.TLSOff:
		return nil, nil
	case plan.TLSRequired:
		return &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: true}, nil
	case plan.TLSVerified, "":
	default:
		return nil, fmt.Errorf("tls %q: want %s, %s or %s", s.TLS, plan.TLSVerified, plan.TLSRequired, plan.TLSOff)
	}
	if s.CAFile == "" {
		roots, err := x509.SystemCertPool()
		if err != nil {
			return nil, fmt.Errorf("the system's certificates: %w", err)
		}
		return &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots}, nil
	}
	text, err := os.ReadFile(s.CAFile)
	if err != nil {
		return nil, fmt.Errorf("CA file: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("CA file %s: there is no PEM certificate in it", s.CAFile)
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots}, nil
}

// untrusted says whether a connection failed because of the host's certificate.
func untrusted(err error) bool {
	var wrong *tls.CertificateVerificationError
	return errors.As(err, &wrong)
}
