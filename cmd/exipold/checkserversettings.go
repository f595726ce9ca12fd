package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"exipol/generator/plan"
	"exipol/helper/store/mysql/hosts"
)

// What a server must have, and what it should.
const (
	// leastPacket is for the statement of many waiting questions, and for evidence, in bytes.
	leastPacket = 4 << 20
	// besides are the connections of a gateway that are not among those of store.connections: those that look how
	// the hosts are, the desk's, and a command's.
	besides = 6
)

// judgeServer is what there is to say of a host that answers. only: it is the one host of the store; gateways is
// how many share it.
func judgeServer(f serverFacts, s plan.Store, only bool, gateways int) (findings []finding) {
	say := func(level, text, mend string) {
		findings = append(findings, finding{level, "host", f.host + ": " + text, mend})
	}
	if !hosts.Supported(f.version) {
		say(broken, "it is "+f.version+", too old: what is needed is "+hosts.Needed, "upgrade it")
		return findings
	}
	judgeAccess(f, s, say)
	for _, name := range []string{"read_only", "super_read_only", "innodb_read_only"} {
		if on(f.variables[name]) {
			level := warning
			if only {
				level = broken
			}
			say(level, "it cannot be written to: "+name+" is on", "where it is to be the one that is written to, SET GLOBAL "+name+" = 0, and the same in its configuration")
			break
		}
	}
	if f.galera() {
		judgeGalera(f, only, say)
	}
	judgeDurability(f, say)
	judgeLimits(f, s, gateways, say)
	if f.skew.Abs() > largeSkew {
		say(warning, fmt.Sprintf("its clock and this host's differ by %s: what is read from this host's log is counted at another time than all else", f.skew.Abs().Round(100*time.Millisecond)),
			"let both keep the time (chrony, systemd-timesyncd)")
	}
	var other []string
	for table, engine := range f.engines {
		if !strings.EqualFold(engine, "InnoDB") {
			other = append(other, table)
		}
	}
	if slices.Sort(other); len(other) > 0 {
		say(broken, fmt.Sprintf("not all tables are InnoDB (%s): after a crash, or in a cluster, what they hold may be gone or differ", strings.Join(other, ", ")),
			"ALTER TABLE ... ENGINE = InnoDB")
	}
	if len(findings) == 0 {
		cluster := ""
		if f.galera() {
			cluster = ", a cluster of " + f.status["wsrep_cluster_size"] + " nodes"
		}
		secured := ""
		if f.cipher != "" {
			secured = ", encrypted"
		}
		say(fine, "it is "+f.version+cluster+", and can be used"+secured, "")
	}
	return findings
}

// judgeAccess is about who may do what, and who could listen.
func judgeAccess(f serverFacts, s plan.Store, say func(level, text, mend string)) {
	r := judgeRights(f.grants, s.Database)
	switch {
	case len(r.missing) > 0 && !r.roles: // what a role gives is not always said
		say(broken, fmt.Sprintf("user %s lacks rights on %s: %s", s.User, s.Database, strings.Join(r.missing, ", ")), grantWords(r.missing, s.Database, s.User))
	case len(r.missing) > 0:
		say(warning, fmt.Sprintf("user %s may lack rights on %s, unless its roles give them: %s", s.User, s.Database, strings.Join(r.missing, ", ")), grantWords(r.missing, s.Database, s.User))
	}
	if len(r.server) > 0 {
		say(warning, fmt.Sprintf("user %s has rights over the whole server that exipold does not need (%s): whoever reads its password has them, too", s.User, shortList(r.server)),
			"REVOKE them, and GRANT what INSTALL.txt names on the one database")
	}
	if len(r.others) > 0 {
		say(warning, fmt.Sprintf("user %s may use other databases (%s)", s.User, shortList(r.others)), "REVOKE that: one user for exipold alone")
	}
	if s.TLS != plan.TLSOff && f.cipher == "" && !strings.HasPrefix(f.host, "/") {
		say(broken, "the connection is not encrypted", "let the server have a certificate (ssl_cert, ssl_key)")
	}
}

// judgeDurability is about what a crash of the server would cost.
func judgeDurability(f serverFacts, say func(level, text, mend string)) {
	if v := f.variables["innodb_flush_log_at_trx_commit"]; v != "" && v != "1" {
		text := "a crash of it loses up to a second of counts, blocks and releases that answers have gone by"
		if f.galera() {
			text = "when all nodes lose their power at once, up to a second of counts, blocks and releases is lost"
		}
		say(warning, fmt.Sprintf("innodb_flush_log_at_trx_commit is %s: %s", v, text), "SET GLOBAL innodb_flush_log_at_trx_commit = 1, and the same in its configuration")
	}
	if !on(f.variables["log_bin"]) {
		return
	}
	if strings.EqualFold(f.variables["binlog_format"], "STATEMENT") {
		say(broken, "binlog_format is STATEMENT, with which the server refuses all writes of transactions with READ COMMITTED, as exipold's are", "binlog_format = ROW (or MIXED), also in its configuration")
	}
	if v := f.variables["sync_binlog"]; v != "1" && !f.galera() {
		say(warning, fmt.Sprintf("sync_binlog is %s: after a crash of it its replicas may have more, or less, than it has itself", v), "SET GLOBAL sync_binlog = 1, and the same in its configuration, where replicas are to take over")
	}
}

// judgeLimits is about what it has room for.
func judgeLimits(f serverFacts, s plan.Store, gateways int, say func(level, text, mend string)) {
	if n, err := strconv.ParseInt(f.variables["max_allowed_packet"], 10, 64); err == nil && n < leastPacket {
		say(broken, fmt.Sprintf("max_allowed_packet is %d KiB: it would refuse what many waiting questions are kept with", n>>10), "max_allowed_packet = 16M in its configuration, and SET GLOBAL max_allowed_packet = 16777216")
	}
	need := gateways * (s.Connections + besides)
	for _, name := range []string{"max_connections", "max_user_connections"} {
		if n, err := strconv.Atoi(f.variables[name]); err == nil && n > 0 && n < need {
			say(warning, fmt.Sprintf("%s is %d, and %s with store.connections = %d may want %d", name, n, number(gateways, "gateway", "gateways"), s.Connections, need),
				fmt.Sprintf("SET GLOBAL %s = %d, and the same in its configuration, or lower connections in the policies", name, need+need/4))
		}
	}
}

// shortList is a list for people, of which the first few are enough.
func shortList(all []string) string {
	const most = 4
	if len(all) > most {
		return strings.Join(all[:most], ", ") + fmt.Sprintf(" and %d more", len(all)-most)
	}
	return strings.Join(all, ", ")
}
