// Package eximtest runs a real Exim for tests (and for the demonstration): an Exim
// of its own per bed, without privilege, in a temporary folder, on a port of its
// own on loopback, with its own spool, logs and mailboxes. It knows three
// configurations: a small one of ours, Debian's (made by the real
// update-exim4.conf, split and unsplit) and Exim's own default configuration.
//
//	b := eximtest.New(t, eximtest.Small)
//	b.Main = "acl_smtp_rcpt = exipol_rcpt\n"
//	b.ACL = text
//	b.Start()
//	s := b.Dial("127.0.0.2")
//	s.Ehlo("client.test")
//	s.Expect(250, "MAIL FROM:<a@remote.test>")
//	...
//	b.CheckLogs()
//
// # Who runs it
//
// Exim is run as the caller; a caller who is root runs it as nobody. The program is
// usually setuid root; with -C it gives that up for a caller who is not root, so
// nothing here ever runs with privilege. For that to work exim_user and exim_group
// name that same user (else -bd is "permission denied"), deliver_drop_privilege is
// set, and each transport that a test reaches names the user.
//
// # The same world in all configurations
//
//	local.test            the site's domain
//	  alice bob carol dave postmaster abuse user*     have a mailbox
//	  nosuch*             unknown (in Small with the text "no such user", and every
//	                      other name has a mailbox there)
//	  later*              routing fails for the moment
//	relayed.test          in relay_to_domains; nosuch* is unknown there
//	remote.test           and all below it: routes, ends in the same mailbox folder
//	defer.test            routing fails for the moment
//	any other domain      "Unrouteable address", without asking the DNS
//
// Any name may log in (AUTH PLAIN) with [Password]. 127.0.0.9 is in
// relay_from_hosts. Debian's configuration and Exim's default also relay for
// 127.0.0.1: strangers should have another address, of that net or any other
// ([Bed.Dial]). With an Exim that has no PROXY protocol, addresses other than
// 127.0.0.0/8 and ::1 exist only in sessions over standard input.
//
// No configuration asks the DNS for anything: host_lookup is emptied, all domains
// are routed by routers of the bed that come first. A test that wants names looked up, or
// the keys of signatures, runs [Alone], with a name server of its own at [NameServer], and
// sets host_lookup and host_lookup_order itself; clients on the net are then dialled from
// 127.0.0.0/8, for the name of a proxied one is looked up in any case.
//
// # What was found (Exim 4.96, Debian 12)
//
//   - update-exim4.conf -d DIR, unsplit, reads DIR/exim4.conf.localmacros only if
//     /etc/exim4/exim4.conf.localmacros exists, too (its test names the wrong file).
//     Where it does not, the bed runs a private copy of the script with that one
//     path mended.
//   - Debian's configuration needs these to run in a private folder: the macros
//     SPOOLDIR, CONFDIR, MAIN_HARDCODE_PRIMARY_HOSTNAME, MAIN_HOST_LOOKUP (empty)
//     and MAIN_QUALIFY_DOMAIN, and, as it has no macro for them, the options
//     exim_user, exim_group, log_file_path, deliver_drop_privilege,
//     tls_advertise_hosts and never_users written into the file of local macros, which
//     is part of the main section.
//   - Exim takes -oX for the addresses to listen on in place of the configured ones,
//     so the port need not be in the configuration; it then writes no pid file.
//   - The line "daemon started" in mainlog comes after listen(): waiting for it
//     needs no connection, which the connect ACL would see.
//   - Exim takes any client address by the PROXY protocol from a host in
//     hosts_proxy, over TCP and in exim -bs on a socket pair alike. Everything is then as
//     if that client had connected. With exim -bs -oMa ADDRESS it is not: that address is
//     tainted, and ${mask:$sender_host_address/24} kills the session. exim -bh ADDRESS has
//     no such fault.
//   - A plain readsocket to a dead Unix socket does its harm where Exim opens a file
//     between the question and the next one or DATA: a logwrite after the first question
//     is enough. A log line before the first question hides it: the log selector
//     host_lookup_failed is therefore off, or each proxied session would begin with one,
//     and a bed that logs in its connect ACL cannot show the fault. See
//     TestPlainReadsocketCorrupts.
package eximtest
