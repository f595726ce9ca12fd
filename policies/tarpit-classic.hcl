# The tarpit in the numbers of twenty years ago: from the sixth unknown recipient
# within four hours two seconds for each, up to two minutes, and as many
# connections waiting as Exim allows. Put this file beside your exipol, site,
# helper and store blocks, and set max_delay = "120s" in the site block.
#
# exipol warns about it: a host that verifies one of your senders gives up after
# 30 seconds, so mail to those that are kept waiting may no longer be taken; and
# twenty connections asleep are all that Exim's default smtp_accept_max has.
# tarpit-unknown-recipients.hcl is the same without these two faults.

limit "tarpit_classic" {
  traffic = "inbound"
  event   = unknown_recipient
  key     = [client.ip]

  # With greylist-classic.hcl beside this file, hosts that it trusts need not wait:
  # except = [greylist.classic.trusted]

  tier "slow" {
    over = "5/4h"
    delay {
      each     = "2s"
      max      = "120s"
      sleepers = 0 # any number
    }
    deny {
      message = "no such recipient here, and too many of them asked for"
    }
  }
}
