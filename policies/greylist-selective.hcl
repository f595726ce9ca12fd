# Greylisting of what looks bad, and of nothing else. A first contact is deferred
# only where the client or the sender is suspicious; its retry is let in. A login
# code of a well-run sender does not wait.
#
# It stands beside provider-pools.hcl, known-correspondents.hcl, code-senders.hcl and
# a list of friends, as "exipol init" writes them. With mode = "observe" in the first
# week, "exipold status" says whom it would have deferred, and why.

greylist "selective" {
  traffic = "inbound"

  # The pool that the client belongs to, else the sender's domain where SPF passes,
  # else the network: large senders retry from another host each time.
  key = [client.pool, sender, recipient]

  # One of these is enough. What the DNS does not answer is not suspicious.
  suspicious = [
    no_reverse_dns,
    helo_mismatch,
    dynamic_name,
    spf_fail,
    dnslist("zen.spamhaus.org"), # from a resolver of your own: it refuses public ones
  ]

  # One of these is enough to be spared, however suspicious the rest.
  spare = [pool, dnswl]

  except = [list.friends, list.correspondents.sender]

  # Never deferred where SPF or DKIM proves that it is they. A message must be there
  # to check its DKIM signature: that is why deferrals come after DATA.
  urgent = [list.code_senders]

  delay    = "5m"  # an earlier retry is deferred again
  retry    = "24h" # some hosts wait for hours; a later retry starts anew
  remember = "36d" # a monthly mail finds the door open
  give_up  = "4h"  # from whatever networks: for senders that retry from many

  # Who has come back five times, in five different hours, is no longer asked.
  trust {
    key      = [client.pool]
    after    = 5
    per      = "1h"
    remember = "36d"
  }
}
