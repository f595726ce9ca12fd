package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"time"

	"exipol/generator/plan"
	"exipol/helper/store"
	"exipol/helper/store/mysql/hosts"
)

// hostsSeen is how long the doctor waits for a host to be used: it has looked at each itself.
const hostsSeen = 4 * time.Second

// servers are what the hosts of a store say of themselves, in the order of the plan.
type servers struct {
	found []serverFacts
	errs  []error
}

// askServers asks all hosts of a store, and says why one cannot be used. usable: one of them can.
func (d *doctor) askServers(ctx context.Context) (all servers, usable bool) {
	d.checkHealth()
	password, ok := d.checkPassword()
	if !ok {
		return all, false
	}
	s := d.plan.Store
	all = servers{make([]serverFacts, len(s.Hosts)), make([]error, len(s.Hosts))}
	var wg sync.WaitGroup
	for i, host := range s.Hosts {
		wg.Go(func() { all.found[i], all.errs[i] = lookAt(ctx, s, password, host) })
	}
	wg.Wait()
	for _, err := range all.errs {
		usable = usable || err == nil
	}
	for i, err := range all.errs {
		if err != nil {
			d.badHost(s.Hosts[i], err, !usable)
		}
	}
	return all, usable
}

// judgeServers says what there is to say of the hosts that have answered; s is nil where the store cannot be opened.
func (d *doctor) judgeServers(ctx context.Context, all servers, s store.Store) {
	gateways := 1 // this one
	if s != nil {
		if others, err := s.Gateways(ctx); err == nil { // else what the store lacks is said of it
			gateways = max(gateways, len(others))
			d.checkTwin(others)
		}
	}
	for i, err := range all.errs {
		if err == nil {
			d.findings = append(d.findings, judgeServer(all.found[i], d.plan.Store, len(all.errs) == 1, gateways)...)
		}
	}
}

// checkPassword reads the password's file, and sees whether exipold can. The password is not given to anybody else.
func (d *doctor) checkPassword() (password string, ok bool) {
	file := d.plan.Store.PasswordFile
	if file != "" {
		remedy := "chown root:" + cmp.Or(d.helper.name, "exipold") + " " + file + "; chmod 0640 " + file
		var err error
		switch password, err = hosts.ReadPassword(file); {
		case errors.Is(err, fs.ErrPermission):
			d.say(warning, "password", err.Error(), asRoot(file))
			return "", false
		case errors.Is(err, fs.ErrNotExist):
			d.say(broken, "password", err.Error(), "write the password into it, and "+remedy)
			return "", false
		case err != nil:
			d.say(broken, "password", err.Error(), remedy)
			return "", false
		}
		d.checkReadable("password", file, remedy)
	}
	if ca := d.plan.Store.CAFile; ca != "" {
		d.checkReadable("certificates", ca, "chmod a+r "+ca)
	}
	return password, true
}

// checkReadable sees whether exipold can read a file.
func (d *doctor) checkReadable(check, file, remedy string) {
	switch o, err := d.helper.obstacle(file, toRead); {
	case errors.Is(err, fs.ErrNotExist):
		d.say(broken, check, file+" is not there", "put it there")
	case err != nil:
		d.say(warning, check, err.Error(), asRoot(file))
	case o != nil && o.info.IsDir():
		d.kept(check, "cannot read "+file, o, o.mend(d.helper, toPass))
	case o != nil:
		d.kept(check, "cannot read "+file, o, remedy)
	default:
		d.say(fine, check, fmt.Sprintf("exipold (user %s) can read %s", d.helper.name, file), "")
	}
}

// badHost says why a host cannot be used. alone: no other can.
func (d *doctor) badHost(host string, err error, alone bool) {
	level, remedy := warning, "start it, or open the way to it (ping, firewall, bind_address); the other hosts are in use meanwhile"
	if alone {
		level, remedy = broken, "start it, or open the way to it (firewall, bind_address)"
	}
	switch {
	case errors.Is(err, store.ErrRefused):
		level, remedy = broken, mendServer(err, d.plan)
		if remedy == "" || d.plan.Store.PasswordFile != "" {
			remedy = "compare the database, the user, from where it may come, and its password with the statements of INSTALL.txt"
		}
	case hosts.Untrusted(err):
		level, remedy = broken, "let ca_file name who vouches for its certificate, and hosts name it as the certificate does"
	case hosts.Unencrypted(err):
		level, remedy = broken, "let the server have a certificate (ssl_cert, ssl_key)"
	}
	d.say(level, "host", host+": "+err.Error(), remedy)
}

// checkTwin sees whether another gateway has the name of this one.
func (d *doctor) checkTwin(all []store.Gateway) {
	r := d.running
	if r == nil || r.Gateway == "" {
		return
	}
	for _, g := range all {
		started := time.UnixMilli(g.Started)
		if g.Name != r.Gateway || started.Truncate(time.Second).Equal(r.Started.Truncate(time.Second)) || time.UnixMilli(g.Seen).Before(r.Started.Add(time.Minute)) {
			continue
		}
		d.say(broken, "gateway", fmt.Sprintf("another exipold that shares the store calls itself %s, too (started %s, seen %s): each counts of the log what the other has left, and their held mail is mixed up",
			g.Name, rfc3339(g.Started), rfc3339(g.Seen)), "start each with a name of its own (exipold serve, watch and desk --gateway)")
	}
}

// checkHealth says how the running exipold sees a store on a server.
func (d *doctor) checkHealth() {
	r := d.running
	if r == nil || r.Store.Kind != plan.MySQL {
		return
	}
	h := r.Store
	if h.Away != "" {
		d.say(broken, "store", fmt.Sprintf("exipold has no database since %s: %s", h.Since.UTC().Format(time.RFC3339), readable(h.Away)), "see the findings about the hosts; meanwhile on_failure holds")
	}
	if h.Slow {
		d.say(warning, "store", "replicas, or nodes of the cluster, lag: what has expired is left for later", "look at the slowest of them (exipold status)")
	}
}
