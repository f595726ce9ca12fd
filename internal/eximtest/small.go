package eximtest

import "strings"

// smallRcpt is the site's own RCPT ACL of the small configuration: the few rules
// that every site has.
const smallRcpt = `  accept hosts = +relay_from_hosts
  accept authenticated = *
  require message = relay not permitted
          domains = +local_domains : +relay_to_domains
  require verify = recipient
  accept
`

// stages in the order of a session, by the end of their acl_smtp_ option. not_smtp has
// an option of another form.
var stages = []string{"connect", "helo", "auth", "mail", "rcpt", "predata", "dkim", "data", "quit", "notquit", "not_smtp"}

func aclOption(stage string) string {
	if stage == "not_smtp" {
		return "acl_not_smtp"
	}
	return "acl_smtp_" + stage
}

func (b *Bed) smallConfig() string {
	settings := append(b.unprivileged(),
		setting{"primary_hostname", "mx.test"},
		setting{"qualify_domain", "local.test"},
		setting{"spool_directory", b.Path("spool")},
		setting{"never_users", ""},
		setting{"keep_environment", ""},
	)
	var acls strings.Builder
	for _, stage := range stages {
		body, site := b.Site[stage]
		if name, ok := b.Enter[stage]; ok {
			settings = append(settings, setting{aclOption(stage), name})
		} else if site {
			settings = append(settings, setting{aclOption(stage), "acl_check_" + stage})
		}
		if site {
			acls.WriteString("\nacl_check_" + stage + ":\n" + line(body))
		}
	}
	return b.options(settings) + `
domainlist local_domains = local.test
domainlist relay_to_domains = relayed.test
hostlist relay_from_hosts = ` + strings.Join(b.RelayHosts, " : ") + "\n\n" + line(b.Main) +
		"\nbegin acl\n" + line(b.ACL) + acls.String() +
		"\nbegin routers\n" + b.routers(true) +
		"\nbegin transports\n" + b.transports() +
		"\nbegin retry\n* * F,1h,5m\n" +
		"\nbegin authenticators\n" + authenticators
}

// users are the local parts with a mailbox where the layout's own routers decide
// about all others.
const users = "alice : bob : carol : dave : postmaster : abuse : ^user"

// routers are the bed's own, put before all others. With all, every local part but
// nosuch* has a mailbox; else the users have one, and the routers that follow decide
// about other local parts.
func (b *Bed) routers(all bool) string {
	unknown, known := "relayed.test : remote.test", "\n  local_parts = "+users
	if all {
		unknown, known = unknown+" : local.test", ""
	}
	return `
bed_unknown:
  driver = redirect
  domains = ` + unknown + `
  local_parts = ^nosuch
  allow_fail
  data = :fail: no such user

bed_later:
  driver = redirect
  domains = local.test
  local_parts = ^later
  allow_defer
  data = :defer: lookup did not complete

bed_later_domain:
  driver = redirect
  domains = defer.test
  allow_defer
  data = :defer: lookup did not complete

bed_mailbox:
  driver = accept
  domains = local.test` + known + `
  transport = bed_mailbox

bed_remote:
  driver = accept
  domains = remote.test : *.remote.test : relayed.test
  transport = bed_mailbox

bed_nowhere:
  driver = redirect
  domains = ! +local_domains
  allow_fail
  data = :fail: Unrouteable address

`
}

// transports: one folder for all mail, a file per message and recipient, with nothing
// escaped or added but the three header lines that say what the envelope was.
func (b *Bed) transports() string {
	return `
bed_mailbox:
  driver = appendfile
  directory = ` + b.Path("mail") + `
  maildir_format
  create_directory
  return_path_add
  envelope_to_add
  message_prefix =
  message_suffix =
  check_string =
  escape_string =
  user = ` + b.ID.User + `
  group = ` + b.ID.Group + `

`
}

// authenticators let anybody in who knows the password, so that a test can log in as
// any name, hostile ones too.
const authenticators = `
plain_server:
  driver = plaintext
  public_name = PLAIN
  server_advertise_condition = yes
  server_prompts = :
  server_condition = ${if eq{$auth3}{` + Password + `}}
  server_set_id = $auth2

`
