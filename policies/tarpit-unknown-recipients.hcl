# A tarpit for those who guess addresses: who asks for more than five recipients
# that do not exist within four hours waits longer and longer for each answer.
# Put this file beside your exipol, site, helper and store blocks.
#
# The refusal itself stays the site's own. Nobody waits longer than 25 seconds,
# because other hosts that verify a sender give up after 30; and no more than ten
# connections wait at a time, because each is a process and one of smtp_accept_max.

limit "tarpit_unknown_recipients" {
  traffic = "inbound"
  event   = unknown_recipient
  key     = [client.ip]

  # With greylist-classic.hcl beside this file, hosts that it trusts need not wait:
  # except = [greylist.classic.trusted]

  tier "slow" {
    over = "5/4h"
    delay {
      each     = "2s" # times all that were counted
      max      = "25s"
      sleepers = 10
    }
  }
}
