# The same as stolen-password.hcl for hosts that may relay without a password: the
# infected machine of a customer. The owner is the host's address, or, with relay_id in
# the site block, the name that a lookup of yours has for it.
#
# Programs that send by SMTP to this very host (webmail, mailing lists) are together the
# relay host 127.0.0.1: except them by a list, or have them log in.
#
# Put abuse-desk.hcl beside it, and have exipold-desk run.

limit "stolen_relay" {
  traffic = "relay"
  event   = invalid_recipient
  key     = [owner]
  callout = "10s"

  tier "block" {
    over   = "100/1h"
    notify = [notice.desk]
    block {
      queued     = "freeze"
      add_header = { "X-Relayed-From" = "${owner}" }
      freeze {
        most = 500
        free = "10%"
      }
      probation {
        lasts = "24h"
        share = "50%"
      }
    }
  }
}
