package main

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// The longest timeouts of a cluster with which the doctor is content; docs/operations.md has what is recommended. A
// node that is cut off from the others goes on answering, with what was true before, until they have passed: gateways that
// write hang for as long.
const (
	mostSuspect  = 3 * time.Second // evs.suspect_timeout
	mostInactive = 6 * time.Second // evs.inactive_timeout
)

// leastNodes make a cluster in which one can be lost: of two the other is no majority.
const leastNodes = 3

// judgeGalera is what there is to say of a node. only: it is the one host of the store.
func judgeGalera(f serverFacts, only bool, say func(level, text, mend string)) {
	// What keeps it from being used is an error where there is no other.
	unusable := warning
	if only {
		unusable = broken
	}
	const look = "SHOW STATUS LIKE 'wsrep%' and its error log say why; where the whole cluster is so, bring the node with the newest state up first (galera_new_cluster)"
	status := f.status["wsrep_cluster_status"]
	switch comment := f.status["wsrep_local_state_comment"]; {
	case status != "Primary":
		say(unusable, fmt.Sprintf("it is not in the primary component of its cluster: %s", status), look)
		return
	case comment != "Synced":
		say(unusable, "it is not in step with its cluster: "+comment, "wait until it has caught up; its error log says how far it is")
	case !on(f.status["wsrep_ready"]):
		say(unusable, "it takes no statements: wsrep_ready is "+f.status["wsrep_ready"], look)
	}
	if reject := f.variables["wsrep_reject_queries"]; reject != "" && !strings.EqualFold(reject, "none") {
		say(unusable, "it rejects statements: wsrep_reject_queries is "+reject, "SET GLOBAL wsrep_reject_queries = NONE")
	}
	if size, err := strconv.Atoi(f.status["wsrep_cluster_size"]); err == nil && size < leastNodes {
		text := fmt.Sprintf("its cluster has %d nodes: when one is lost, the other is no majority, and both stop", size)
		if size == 1 {
			text = "its cluster has no other node"
		}
		say(warning, text, "bring up the third; one that only votes (garbd) is enough")
	}
	options := providerOptions(f.variables["wsrep_provider_options"])
	for _, t := range []struct {
		name string
		most time.Duration
	}{{"evs.suspect_timeout", mostSuspect}, {"evs.inactive_timeout", mostInactive}} {
		if is, ok := isoDuration(options[t.name]); ok && is > t.most {
			say(warning, fmt.Sprintf("%s is %s: for so long a node that is cut off goes on with what was true before, and whoever writes to it hangs", t.name, options[t.name]),
				fmt.Sprintf("%s=PT%dS in wsrep_provider_options of all nodes (docs/operations.md has all of them)", t.name, int(t.most/time.Second)))
		}
	}
	if wait := f.variables["wsrep_sync_wait"]; wait != "" && wait != "0" {
		say(warning, "wsrep_sync_wait is "+wait+": each lookup waits for the whole cluster, which it need not, as all gateways use one node", "SET GLOBAL wsrep_sync_wait = 0, and the same in its configuration")
	}
}

// providerOptions takes "evs.suspect_timeout = PT5S; gcache.size = 128M" apart.
func providerOptions(text string) map[string]string {
	options := map[string]string{}
	for _, option := range strings.Split(text, ";") {
		if name, value, found := strings.Cut(option, "="); found {
			options[strings.TrimSpace(name)] = strings.TrimSpace(value)
		}
	}
	return options
}

var isoForm = regexp.MustCompile(`^P(?:([0-9.]+)D)?(?:T(?:([0-9.]+)H)?(?:([0-9.]+)M)?(?:([0-9.]+)S)?)?$`)

// isoDuration reads a time as Galera writes it: PT5S, PT1M30S, PT0.5S.
func isoDuration(text string) (time.Duration, bool) {
	m := isoForm.FindStringSubmatch(text)
	if m == nil {
		return 0, false
	}
	seconds, any := 0.0, false
	for i, unit := range []float64{24 * 3600, 3600, 60, 1} {
		if m[i+1] == "" {
			continue
		}
		n, err := strconv.ParseFloat(m[i+1], 64)
		if err != nil {
			return 0, false
		}
		seconds, any = seconds+n*unit, true
	}
	return time.Duration(math.Round(seconds*1000)) * time.Millisecond, any
}
