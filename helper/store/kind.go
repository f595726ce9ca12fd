package store

import (
	"context"
	"time"

	"exipol/generator/plan"
	"exipol/helper/engine"
)

// Store is all that exipold uses of a store, of whichever kind.
type Store interface {
	engine.Store
	Desk

	// Name is the store's for people: the file, or the database and the host in use.
	Name() string
	// Now is the time that all who share the store go by: the database's where there is a server,
	// which is asked every few seconds. All times that are given to the store are of this clock.
	Now() time.Time
	// Health is how well it is, without a look into it.
	Health() Health

	// Migrate brings the store to what these tables need: it makes what is missing and drops
	// nothing. It says which statements it ran. Where several processes do so at once, one does it, and
	// the others come back when it is done.
	Migrate(ctx context.Context, tables []plan.Table) (ran []string, err error)
	// Pending are the statements that Migrate would run.
	Pending(ctx context.Context, tables []plan.Table) ([]string, error)

	// Runtime is what was said at run time and has not ended at now, and how keys stand.
	Runtime(ctx context.Context, now int64) (engine.Runtime, error)
	Allow(ctx context.Context, a engine.Allowance) (id int64, err error)
	Disallow(ctx context.Context, id int64) (found bool, err error)
	ListAllowances(ctx context.Context) ([]engine.Allowance, error)
	SwitchOff(ctx context.Context, w engine.Switch) error
	SwitchOn(ctx context.Context, policy string) (found bool, err error)

	// Cleanup removes at most batch rows of each table that ended at now or before; more says that it is
	// to be called again. Who calls it holds the lease CleanupLease.
	Cleanup(ctx context.Context, now int64, batch int) (removed int, more bool, err error)

	// Lease takes or prolongs a lease, until lasts from now; held is false where another holder
	// has it. One holder at a time has it, as long as it asks in time and clocks go.
	Lease(ctx context.Context, name, holder string, lasts time.Duration) (held bool, err error)
	// Yield gives a lease back; that of another holder stays.
	Yield(ctx context.Context, name, holder string) error
	// Holder says who has a lease now, and until when (Unix milliseconds); "" for nobody.
	Holder(ctx context.Context, name string) (holder string, until int64, err error)
	// SeeGateway notes that a gateway is there; Seen is filled in.
	SeeGateway(ctx context.Context, g Gateway) error
	// LeaveGateway notes that the gateway which was started then has ended as it should.
	LeaveGateway(ctx context.Context, name string, started int64) error
	// Gateways are all that were seen in the last week, by name.
	Gateways(ctx context.Context) ([]Gateway, error)

	Stats(ctx context.Context, now int64) (Stats, error)
	Top(ctx context.Context, policy string, n int, now int64) ([]TopKey, error)
	Whys(ctx context.Context, policy string, since, now int64) ([]WhyCount, error)
	Recent(ctx context.Context, policy string, most int, now int64) ([]Contact, error)
	SeenKeys(ctx context.Context, policy string, most int, now int64) ([]SeenKey, error)
	Learned(ctx context.Context, policy string, now int64) (Learned, error)
	Untold(ctx context.Context) ([]Notice, error)
	Bouncers(ctx context.Context, hour, day int64, most int) ([]Bouncer, error)
	Places(ctx context.Context) ([]engine.PutPlace, error)

	// Close answers what still waits. Nothing that was answered is lost without it.
	Close() error
}

// Names of leases.
const (
	CleanupLease = "cleanup"
	MigrateLease = "migrate"
)

// Gateway is one exipold that shares a store. Times are Unix milliseconds of the store's clock.
type Gateway struct {
	Name    string   `json:"name"`
	Version string   `json:"version"` // of exipold
	Plans   []string `json:"plans"`   // that it answers by, newest first
	Started int64    `json:"started"`
	Seen    int64    `json:"seen"`
	Ended   bool     `json:"ended,omitempty"` // as it should
}

// Health is how well a store is, as this process sees it.
type Health struct {
	Kind  string        `json:"kind"`            // plan.SQLite or plan.MySQL
	Host  string        `json:"host,omitempty"`  // in use; "" for none, and for a file
	Away  string        `json:"away,omitempty"`  // why nothing of it can be had; "": it can
	Since time.Time     `json:"since,omitzero"`  // since when Host is in use, or the store away
	Skew  time.Duration `json:"skew"`            // how far this host's clock is ahead of the store's
	Hosts []HostHealth  `json:"hosts,omitempty"` // as configured

	Failures int64 `json:"failures"` // of connections and statements, since the start
	Retries  int64 `json:"retries"`  // of transactions that the database gave up: deadlocks, lock waits, failed certifications
	Moves    int64 `json:"moves"`    // from one host to another
	Slow     bool  `json:"slow"`     // its replicas or the cluster lag: nothing that can wait should be done
}

// HostHealth is how well one of several hosts is.
type HostHealth struct {
	Host    string        `json:"host"`
	Use     string        `json:"use"`               // one of the words below
	Why     string        `json:"why,omitempty"`     // where it cannot be used
	Version string        `json:"version,omitempty"` // of the server
	Cluster string        `json:"cluster,omitempty"` // of a Galera node: "Primary, Synced, 3 nodes"
	Lag     time.Duration `json:"lag,omitempty"`     // behind the host in use
}

// What a host is used for.
const (
	HostInUse   = "in use"
	HostStandby = "standby"
	HostAway    = "away"      // it does not answer
	HostUnready = "not ready" // it answers, and is no good: read-only, not in the cluster's primary component, a schema of another version
)
