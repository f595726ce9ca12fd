# Owners of mailing lists have bounces: people leave. They are told, with the addresses
# that are dead, so that they can clean their lists; they are not held. Say who they are,
# and have the other policies except them: except = [list.list_owners].

list "list_owners" {
  auth = ["newsletter@example.com"]
}

limit "list_owner_hygiene" {
  event   = bounce
  classes = [no_such_user, no_such_domain]
  key     = [owner]
  only    = [list.list_owners]

  tier "warn" {
    over   = "300/24h"
    notify = [owner]
  }
}
