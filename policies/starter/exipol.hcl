# What every set of policies has once: the language, the site, the helper and
# where it keeps its state. "exipol check ." judges this directory, and
# "exipol build -o OUT ." makes the text for Exim, with an INSTALL.txt.

exipol {
  format = 1
}

site {
  exim   = "4.94"   # the oldest Exim that must run the text
  layout = "debian" # or "upstream" for Exim's own default configuration, or "custom"

  # "observe" changes nothing and logs what would have happened: a good first week.
  mode = "enforce"

  # What inbound mail may be for, as in Exim's own acl_check_rcpt.
  domains = ["+local_domains", "+relay_to_domains"]

  # Who answers for the mail of this site: reports of abuse go there.
  admin = "postmaster@localhost"

  # Hosts that send through this one without a password, as in relay_from_hosts:
  # never greylisted, never kept waiting.
  relay_hosts = ["127.0.0.1", "::1"]

  # No answer to a client takes longer than this, whatever the policies say.
  max_delay = "25s"
}

helper {
  socket     = "/run/exipol/exipold.sock"
  timeout    = "3s"
  on_failure = "last_known"
  mainlog    = ["/var/log/exim4/mainlog"]
}

store "sqlite" {
  path = "/var/lib/exipol/exipol.db"
}

# Several gateways share what they know in a database of MariaDB, MySQL or a Galera
# cluster: the first host that is well is the one in use, the others are failover. In
# place of the block above, on all of them (without ca_file, where the system knows
# who vouches for the hosts):
#
# store "mysql" {
#   hosts         = ["db1.example.net", "db2.example.net"]
#   database      = "exipol"
#   user          = "exipol"
#   password_file = "/etc/exipol/db-password"
#   ca_file       = "/etc/exipol/db-ca.pem"
# }

# Who is never greylisted and never kept waiting.
list "friends" {
  clients = []
  senders = []
}
