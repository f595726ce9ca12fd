// Package mysqltest runs real database servers for tests: MariaDB or MySQL, each with a data folder of its own in a
// temporary folder, on 127.0.0.1 and a port of its own, without privilege. It does to them what
// happens to servers.
//
//	s := mysqltest.Start(t)              // or Shared(t), for tests that do not hurt it
//	made := s.Database()                 // a plan.Store: an empty database, with a user and a password file
//	p := mysqltest.NewProxy(t, s.Addr()) // the network in between
//	made.Hosts = []string{p.Addr()}
//	...
//	s.Kill()
//	s.Start()
//
//	g := mysqltest.Cluster(t, 3)
//	made := g.Database()                 // with all nodes as hosts
//	g.Isolate(0)
//	g.Wait(0, "wsrep_cluster_status", "non-Primary")
//	g.Rejoin(0)
//
// # Who runs it
//
// The servers run as the caller; where the caller is root, as nobody. They take nothing from this machine but the
// programs of mariadb-server, galera-4 and rsync: no configuration, no service, no data. A test fails where these are missing.
//
// The variable EXIPOL_MYSQLD names another server's program, MariaDB's or MySQL's, such as /opt/mysql/bin/mysqld; the
// rest of it is looked for below the parent of that folder (--basedir, and Galera's library). Without it, mariadbd or
// else mysqld is run, from PATH or where systems keep servers. MySQL has no clusters of this kind.
//
// # What stays
//
// Nothing. Each process of tests has one folder in the temporary folder, which a shell removes that waits for the process's end; servers
// get SIGKILL from the kernel when the process ends that started them. Neither needs the tests to end well.
//
// # What is not as in production
//
// The servers are small (32 MB of buffers, an 8 MB redo log), and have no performance schema. A commit is on the disk when
// it is answered, as ever. A database is made as the server makes it by itself, which for MariaDB means latin1: a schema that
// wants something else has to say so. [Timeouts] are those of a cluster.
//
// # What was found (MariaDB 10.11, Galera 26.4)
//
//   - A node finds itself in a cluster at once, without taking over any data, where its folder has the two small files that
//     a cluster leaves which lost its power: grastate.dat and gvwstate.dat. Three nodes stand in two seconds (and
//     in nine where one is the first and the others join it).
//   - evs.keepalive_period must be less than a third of evs.suspect_timeout, or the node does not start.
//   - Even a node that only catches up (IST) runs the script wsrep_sst_rsync, which takes two seconds and needs ss or lsof.
//   - A node that was just busy is cut off by the others where evs.suspect_timeout is a second (see [Timeouts]).
//   - MariaDB 11.8 has a plugin wsrep_provider that makes each of the provider's options a variable, but gmcast.isolate, and makes
//     wsrep_provider_options read-only; the nodes here are without it.
//   - What is committed on one node is not there yet on another that is asked at once: not even the table (wsrep_sync_wait).
//   - A full disk (a file that cannot grow) is error 1114 for InnoDB; deletes, and a restart, go on working. Where the kernel refuses to let
//     a file grow by RLIMIT_FSIZE, the server has to be made to ignore SIGXFSZ. MariaDB 11.8 ends itself where a row of a megabyte does
//     not fit ("Out of disk space in rollback"); one of a few kilobytes is refused as by 10.11.
package mysqltest
