# Whose mail bounces at more than a hundred addresses in an hour sends with a list that
# is not his, or with a login that is not: his mail is accepted and kept frozen until
# the desk has looked. It belongs beside bounce-slow.hcl, as the next step, and needs
# abuse-desk.hcl and a running exipold-desk.

limit "bounce_hold" {
  event   = bounce
  classes = [no_such_user, no_such_domain]
  key     = [owner]

  # With list-owner-hygiene.hcl beside this file: except = [list.list_owners]

  tier "hold" {
    over   = "100/1h"
    notify = [notice.desk]
    block {
      queued = "freeze"
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
