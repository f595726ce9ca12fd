package mysqltest

import (
	"fmt"
	"os"
	"regexp"
	"strings"
)

// Timeouts are the settings by which the nodes of a cluster find out that one of them is gone, as docs/operations.md recommends
// them. Measured with three nodes on one busy machine, where one was killed, frozen or cut off: the others commit again after 4.1 to
// 4.5 seconds, which is when the one that is cut off knows it, too (non-Primary). With Galera's own settings (1, 5, 15 and 7.5 seconds)
// it takes 5.3 to 6.4 seconds, with a suspicion after two seconds 3.1 to 3.5. After one second it falls upon
// nodes that are merely busy: the cluster loses its primary component though nothing is broken.
const Timeouts = "evs.keepalive_period=PT0.5S;evs.suspect_timeout=PT3S;evs.inactive_timeout=PT6S;evs.install_timeout=PT6S"

// provider finds Galera's library.
func provider() (string, error) {
	p, err := find()
	if err != nil {
		return "", err
	}
	for _, path := range []string{
		"lib/galera/libgalera_smm.so", "lib/libgalera_smm.so", "lib64/galera-4/libgalera_smm.so", "lib64/galera/libgalera_smm.so",
	} {
		if _, err := os.Stat(p.base + "/" + path); err == nil {
			return p.base + "/" + path, nil
		}
	}
	return "", fmt.Errorf("no libgalera_smm.so below %s/lib; %s", p.base, howToInstall)
}

// arguments are the options of a server's program that make it a node of a cluster.
func (n node) arguments(library, name string, peers []string) []string {
	return []string{
		"--loose-plugin-wsrep-provider=OFF", // of newer servers: with it wsrep_provider_options cannot be set at run time
		"--wsrep-on=ON", "--wsrep-provider=" + library, "--binlog-format=ROW", "--innodb-autoinc-lock-mode=2",
		"--wsrep-cluster-name=tests", "--wsrep-cluster-address=gcomm://" + strings.Join(peers, ","), "--wsrep-node-name=" + name, "--wsrep-node-address=127.0.0.1",
		"--wsrep-sst-method=rsync", "--wsrep-sst-receive-address=" + n.whole.address(),
		"--wsrep-provider-options=base_port=" + n.talk.String() + ";gmcast.listen_addr=tcp://" + n.talk.address() + ";ist.recv_addr=" + n.parts.address() +
			";gcache.size=16M;" + Timeouts,
	}
}

var position = regexp.MustCompile(`WSREP: Recovered position:? *(\S+:-?\d+)`)

// recover finds out how far the data of a node goes that was killed.
func (s *server) recover() (string, error) {
	log := s.path("recover.log")
	_ = os.Remove(log)
	out, err := s.command("--log-error="+log, "--wsrep-recover").CombinedOutput()
	said, _ := os.ReadFile(log)
	if err != nil {
		return "", fmt.Errorf("%s --wsrep-recover: %w\n%s%s", s.home.program.path, err, tail(string(out), 20), tail(string(said), 40))
	}
	found := position.FindStringSubmatch(string(said))
	if found == nil {
		return "", fmt.Errorf("%s --wsrep-recover does not say how far the data goes:\n%s", s.home.program.path, tail(string(said), 40))
	}
	return found[1], nil
}
