package hosts

import (
	"maps"
	"strings"
	"testing"
)

func TestSupported(t *testing.T) {
	for version, want := range map[string]bool{
		"10.11.19-MariaDB-0+deb12u1": true, "11.8.2-MariaDB": true, "10.6.18-MariaDB": false, "10.5.0-MariaDB-log": false,
		"8.0.36": true, "8.4.3": true, "9.1.0": true, "8.0.35-27.1": true, "5.7.44-log": false, "": false, "x": false,
		"8.0.mysql_aurora.3.04.0": true,
	} {
		if got := supported(version); got != want {
			t.Errorf("%q: %v, want %v", version, got, want)
		}
	}
}

func TestJudge(t *testing.T) {
	maria := map[string]string{
		"version": "10.11.19-MariaDB", "clock": "1790000000123456", "read_only": "OFF", "innodb_read_only": "OFF",
		"wsrep_on": "OFF", "wsrep_provider": "none",
	}
	mysql8 := map[string]string{
		"version": "8.0.36", "clock": "1790000000123456", "read_only": "OFF", "super_read_only": "OFF", "innodb_read_only": "OFF",
	}
	node := map[string]string{
		"version": "10.11.19-MariaDB", "clock": "1790000000123456", "row": "1789999999000", "read_only": "OFF", "innodb_read_only": "OFF",
		"wsrep_on": "ON", "wsrep_provider": "/usr/lib/galera/libgalera_smm.so", "wsrep_reject_queries": "NONE",
		"wsrep_ready": "ON", "wsrep_cluster_status": "Primary", "wsrep_cluster_size": "3", "wsrep_local_state": "4",
		"wsrep_local_state_comment": "Synced", "wsrep_flow_control_paused_ns": "17", "wsrep_local_recv_queue": "3",
	}
	for _, c := range []struct {
		name   string
		of     map[string]string
		but    map[string]string
		state  state
		why    string
		galera bool
	}{
		{"MariaDB", maria, nil, well, "", false},
		{"MySQL", mysql8, nil, well, "", false},
		{"a node", node, nil, well, "", true},
		{"a replica", maria, map[string]string{"read_only": "ON"}, unready, "read-only (read_only)", false},
		{"a replica of MariaDB 12", maria, map[string]string{"read_only": "NO_LOCK"}, unready, "read-only (read_only)", false},
		{"a MySQL replica", mysql8, map[string]string{"super_read_only": "ON"}, unready, "read-only (super_read_only)", false},
		{"InnoDB read-only", maria, map[string]string{"innodb_read_only": "1"}, unready, "read-only (innodb_read_only)", false},
		{"old", maria, map[string]string{"version": "10.3.39-MariaDB"}, unready, "it is 10.3.39-MariaDB: what is needed is " + tooOld, false},
		{"cut off", node, map[string]string{"wsrep_cluster_status": "non-Primary", "wsrep_ready": "OFF"}, unready, "not in the cluster's primary component: it says non-Primary", true},
		{"joining", node, map[string]string{"wsrep_local_state": "1", "wsrep_local_state_comment": "Joining"}, unready, "not in step with the cluster: Joining", true},
		{"donor", node, map[string]string{"wsrep_local_state": "2", "wsrep_local_state_comment": "Donor/Desynced"}, donor, "Donor/Desynced", true},
		{"a donor that is not ready", node, map[string]string{"wsrep_local_state": "2", "wsrep_ready": "OFF"}, unready, "wsrep_ready is OFF", true},
		{"not ready", node, map[string]string{"wsrep_ready": "OFF"}, unready, "wsrep_ready is OFF", true},
		{"rejecting", node, map[string]string{"wsrep_reject_queries": "ALL"}, unready, "wsrep_reject_queries is ALL", true},
		{"a node that is read-only", node, map[string]string{"read_only": "ON"}, unready, "read-only", true},
	} {
		values := maps.Clone(c.of)
		maps.Copy(values, c.but)
		r := judge(values)
		if r.state != c.state || !strings.Contains(r.why, c.why) || (r.why == "") != (c.why == "") || r.galera != c.galera {
			t.Errorf("%s: %+v, want state %d (%s)", c.name, r, c.state, c.why)
		}
	}
	r := judge(node)
	if r.cluster != "Primary, Synced, 3 nodes" || r.row != 1789999999000 || r.clock != 1790000000123456 || r.paused != 17 || r.queue != 3 {
		t.Errorf("%+v", r)
	}
}
