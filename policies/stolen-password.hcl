# A stolen password: who writes to many addresses that do not exist uses somebody
# else's list of them, and mostly somebody else's login. After a hundred in an hour his
# mail is still accepted, but kept frozen, as evidence; the desk hears of it once.
#
#   exipold case list              who is blocked, and why
#   exipold case show 17           what led to it, and what is held
#   exipold case release 17 --reason "..."   mail flows again, what was held goes out
#   exipold case remove 17 --reason "..."    what is held is deleted, without a bounce
#
# Put abuse-desk.hcl beside it, and have exipold-desk run: it does what the desk decides.

limit "stolen_password" {
  traffic = "submission"
  event   = invalid_recipient
  key     = [auth]

  # Ask the recipients' own hosts, too. Without this only what this host cannot route
  # counts: domains that do not exist, and its own users that do not. A temporary answer
  # never counts, nor one that is about the sender. Some hosts dislike callouts.
  callout = "10s"

  tier "block" {
    over   = "100/1h"
    notify = [notice.desk]
    block {
      queued     = "freeze" # what waits already, too
      add_header = { "X-Authenticated-As" = "${auth}" }
      freeze {
        most = 500   # messages; then further ones are deferred,
        free = "10%" # and so they are with less room than this for the spool
      }
      probation {
        lasts = "24h" # after a release, half as many are enough
        share = "50%"
      }
    }
  }
}
