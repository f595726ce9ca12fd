# The first mail from a network, sender and recipient that were never seen together
# is deferred, and its retry let in.

greylist "classic" {
  traffic  = "inbound"
  key      = [client.net, sender, recipient]
  delay    = "5m"  # an earlier retry is deferred again
  retry    = "24h" # a later retry starts anew
  remember = "36d" # after the last use
  give_up  = "4h"  # in all, for senders that retry from many networks
  except   = [list.friends]

  # A network that has come back five times, in five different hours, is no longer
  # asked.
  trust {
    key      = [client.net]
    after    = 5
    per      = "1h"
    remember = "36d"
  }
}
