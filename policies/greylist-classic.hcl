# Greylisting of everybody: the first mail from a network, sender and recipient
# that were never seen together is deferred, and its retry let in. Put this file
# beside your exipol, site, helper and store blocks.
#
# It costs the first mail of every new correspondent some minutes. Run it with
# mode = "observe" for a week first: "exipold status" then says whom it would have
# delayed.

greylist "classic" {
  traffic = "inbound"

  # The whole network, because large senders retry from another host of it.
  key = [client.net, sender, recipient]

  delay    = "5m"  # an earlier retry is deferred again
  retry    = "24h" # some hosts wait for hours; a later retry starts anew
  remember = "36d" # a monthly mail finds the door open
  give_up  = "4h"  # from whatever networks: for senders that retry from many

  # A network that has come back five times, in five different hours, is no longer
  # asked. The tarpits beside this file may except greylist.classic.trusted.
  trust {
    key      = [client.net]
    after    = 5
    per      = "1h"
    remember = "36d"
  }
}
