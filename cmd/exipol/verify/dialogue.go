package verify

import (
	"encoding/base64"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"

	"exipol/generator/plan"
)

// Names of the site's in the sessions: of the Exim itself, and of a domain in every
// domain list that the policies name.
const (
	hostName   = "host.example"
	siteDomain = "site.example"
)

// domain is one that the policies take for the site's.
func domain(p *plan.Plan) string {
	for _, d := range p.Domains {
		switch name, wild := strings.CutPrefix(d, "*."); {
		case strings.ContainsFunc(d, func(r rune) bool { return r > '~' }):
			continue // a client would need SMTPUTF8 for it
		case d == "@":
			return hostName
		case wild:
			return "sub." + name
		case !strings.ContainsAny(d, "+*"):
			return d
		}
	}
	return siteDomain
}

// lists are the named domain lists that the policies speak of.
func lists(p *plan.Plan) []string {
	var names []string
	for _, d := range p.Domains {
		if name, ok := strings.CutPrefix(strings.TrimPrefix(d, "!"), "+"); ok && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// client is the address that a session of this traffic comes from: for a limit that
// Exim counts itself, one that it concerns. It is false where there is none.
func client(p *plan.Plan, traffic string, l *plan.Limit) (string, bool) {
	var only, except []string
	if l != nil {
		only, except = clients(p, l.Only), clients(p, l.Except)
	}
	// Addresses for documentation (RFC 5737, RFC 3849), besides those that are named.
	candidates := []string{"192.0.2.99", "198.51.100.99", "203.0.113.99", "2001:db8::99"}
	for _, cidr := range slices.Concat(p.RelayHosts, only) {
		if prefix, err := netip.ParsePrefix(cidr); err == nil {
			candidates = append(candidates, prefix.Addr().String())
		}
	}
	for _, c := range candidates {
		if traffic != plan.Submission && within(c, p.RelayHosts) != (traffic == plan.Relay) ||
			traffic == plan.Inbound && within(c, p.Forwarders) ||
			only != nil && !within(c, only) || within(c, except) {
			continue
		}
		return c, true
	}
	return candidates[0], false
}

// clients are the client addresses of the lists.
func clients(p *plan.Plan, refs []plan.Ref) (cidrs []string) {
	for _, ref := range refs {
		for _, l := range p.Lists {
			for _, e := range l.Entries {
				if l.Name == ref.List && e.Field == "client" {
					cidrs = append(cidrs, e.Pattern)
				}
			}
		}
	}
	return cidrs
}

func within(address string, cidrs []string) bool {
	addr := netip.MustParseAddr(address)
	return slices.ContainsFunc(cidrs, func(c string) bool {
		prefix, err := netip.ParsePrefix(c)
		return err == nil && prefix.Contains(addr)
	})
}

// signature is one that Exim sees to be invalid before it looks its key up, by its
// version; signatureACL takes it for a good one.
const signature = "DKIM-Signature: v=2; a=rsa-sha256; c=relaxed/relaxed; d=client.example; s=check; h=from; bh=eA==; b=eA==\r\n"

// signatureACL is the ACL that stands for the site's own where signatures are judged.
const signatureACL = "exipol_check_signature"

// letter is a message.
const letter = "From: sender@client.example\nSubject: check\n\ntext\n"

// dialogue is what the client says: two recipients that there are, one that there
// is not, and a message; all of it again, so that what an answer waives is met.
func dialogue(p *plan.Plan, s session) string {
	var b strings.Builder
	say := func(format string, args ...any) { fmt.Fprintf(&b, format+"\r\n", args...) }
	say("EHLO client.example")
	if s.traffic == plan.Submission || strings.HasPrefix(s.at, plan.Auth+".") {
		say("AUTH PLAIN %s", base64.StdEncoding.EncodeToString([]byte("\x00user@example.com\x00secret")))
	}
	sender := "sender@client.example"
	if s.null {
		sender = ""
	}
	text := strings.ReplaceAll(letter, "\n", "\r\n")
	if _, judged := p.Stage(plan.Dkim); judged {
		text = signature + text
	}
	for range 2 {
		say("MAIL FROM:<%s>", sender)
		say("RCPT TO:<known@%s>", domain(p))
		say("RCPT TO:<unknown@%s>", domain(p))
		say("RCPT TO:<other@%s>", domain(p))
		if s.chunks {
			say("BDAT %d LAST\r\n%s", len(text), strings.TrimSuffix(text, "\r\n"))
			continue
		}
		say("DATA")
		say("%s.", text)
	}
	say("QUIT")
	return b.String()
}

// configuration is an Exim around the text that delivers nothing: the site's ACLs
// accept, addresses that begin with "unknown" do not exist, anybody may log in.
func configuration(p *plan.Plan, dir string) string {
	var b strings.Builder
	say := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	say("primary_hostname = %s", hostName)
	say("spool_directory = %s/spool", dir)
	say("log_file_path = %s/log/%%slog", dir)
	if uid := os.Geteuid(); uid != 0 {
		// Exim gives the files of its spool to its own user, which only root may do.
		say("exim_user = %d", uid)
		say("exim_group = %d", os.Getegid())
	}
	say("keep_environment =")
	say("host_lookup =")
	say("rfc1413_hosts =")
	say("smtp_enforce_sync = false")
	say("queue_only = true\nqueue_only_override = true")
	say("deliver_drop_privilege = true")
	for _, name := range lists(p) {
		say("domainlist %s = %s", name, siteDomain)
	}
	say(".include %s/exipol.main", dir)
	own := map[string]bool{}
	for _, s := range p.Stages {
		if s.Name == plan.NotSMTP || s.Name == plan.Delivery {
			continue // Debian has no macro for these
		}
		upper := strings.ToUpper(s.Name)
		say(".ifdef MAIN_ACL_CHECK_%s", upper)
		say("acl_smtp_%s = MAIN_ACL_CHECK_%s", s.Name, upper)
		say(".endif")
	}
	say("begin acl")
	say(".include %s/exipol.acl", dir)
	for _, s := range p.Stages {
		if s.SiteACL != "" && !own[s.SiteACL] {
			own[s.SiteACL] = true
			say("%s:", s.SiteACL)
			if s.SiteACL == signatureACL {
				say(".ifdef _HAVE_DKIM\n  warn set dkim_verify_status = pass\n.endif")
			}
			say("  accept")
		}
	}
	say("begin routers\nknown:\n  driver = accept\n  local_parts = !^unknown\n  transport = nowhere")
	say("begin transports\nnowhere:\n  driver = appendfile\n  file = /dev/null")
	say("begin authenticators\nplain:\n  driver = plaintext\n  public_name = PLAIN\n  server_prompts = :\n  server_condition = yes\n  server_set_id = $auth2")
	return b.String()
}
