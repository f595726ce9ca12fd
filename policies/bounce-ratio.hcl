# Who loses almost a third of his mail has a bad list, however small: the desk hears of
# it. Nothing is said below fifty recipients in a day; one bounce among three messages
# is an accident. Each accepted recipient costs a question, for they must be counted.
#
# Put abuse-desk.hcl beside it.

limit "bounce_ratio" {
  event   = bounce
  classes = [no_such_user, no_such_domain]
  key     = [owner]
  count   = share(recipient) # bounces among the owner's recipients
  floor   = 50

  tier "warn" {
    over   = "30%/24h"
    notify = [notice.desk]
  }
}
