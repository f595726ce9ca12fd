# How much a user may send, in recipients: a plain limit, for those who want one. It
# inconveniences honest people now and then (a club's invitation, a yearly bill): that
# is what the override is for. What it refused counts, too, so waiting helps and trying
# again at once does not.
#
# Put abuse-desk.hcl beside it, and have exipold-desk run.

list "bulk_users" {
  auth = ["newsletter@example.com"]
}

limit "rate_user" {
  traffic  = "submission"
  event    = recipient
  attempts = true
  key      = [auth]

  tier "warn" {
    over   = "500/24h"
    notify = [notice.desk]
  }
  tier "slow" {
    over = ["200/1h", "1000/24h"]
    defer {
      message = "you are sending too fast; try again later"
    }
  }
  tier "stop" {
    over   = "5000/24h"
    notify = [notice.desk]
    block {
      freeze {
        most = 500
        free = "10%"
      }
    }
  }

  override "bulk" {
    only = [list.bulk_users]
    over = { warn = "10000/24h", slow = "20000/24h", stop = "50000/24h" }
  }
}
