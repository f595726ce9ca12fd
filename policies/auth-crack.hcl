# Somebody tries passwords: more than seven different logins from one network within
# five minutes that were refused. One login counts once, however often it is tried: a
# phone with an old password is not an attack. For an hour the network cannot log in;
# its mail may still come in, for other people's servers are in the same networks.

limit "auth_crack" {
  event = auth_failure
  key   = [net(client.ip, 32, 56)]
  count = distinct(login)

  # While exipold is away, Exim alone cannot look networks up: then they may try.
  on_failure = "pass"

  tier "block" {
    over = "7/5m"
    block {
      until = "1h"
      at    = "auth"
      deny {
        message = "too many failed logins from your network"
      }
    }
  }
}
