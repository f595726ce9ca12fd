package plan

import "testing"

// TestFactNames: what a fact is called in answers and logs. A customer's key that is
// part of a list's zone is not told.
func TestFactNames(t *testing.T) {
	for fact, want := range map[Fact]string{
		{Name: NoReverseDNS}:                                          "no_reverse_dns",
		{Name: NoDNSWL, Arg: "list.dnswl.org"}:                        "no_dnswl",
		{Name: DNSWL, Arg: "list.dnswl.org"}:                          "dnswl",
		{Name: SPFPass, Arg: "correspondents_of_ours"}:                "spf_pass.correspondents_of_ours",
		{Name: DNSList, Arg: "zen.spamhaus.org=127.0.0.2,127.0.0.3"}:  "dnslist.zen.spamhaus.org",
		{Name: DNSList, Arg: "abcdefghij0123456789ab.zen.dq.example"}: "dnslist.key.zen.dq.example",
		{Name: DNSList, Arg: "dnsbl-of-a-long-name.example"}:          "dnslist.dnsbl-of-a-long-name.example",
	} {
		if got := fact.String(); got != want {
			t.Errorf("%+v is called %q, want %q", fact, got, want)
		}
	}
}
