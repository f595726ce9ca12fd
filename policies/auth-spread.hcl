# One login from many networks: mostly a password that has been sold. More than five
# networks in an hour, or ten in a day, and the desk hears of it; more than fifteen in
# a day, and the mail of that login is kept frozen until somebody has looked.
#
# Put abuse-desk.hcl beside it, and have exipold-desk run.

limit "auth_spread" {
  event = login
  key   = [auth]
  count = distinct(net(client.ip, 24, 48))

  tier "warn" {
    over   = ["5/1h", "10/24h"]
    notify = [notice.desk]
  }
  tier "block" {
    over   = "15/24h"
    notify = [notice.desk]
    block {
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
