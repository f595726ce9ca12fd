# Whose mail keeps bouncing is slowed down: over sixty addresses in an hour that turned
# out not to exist, or three hundred in a day, his next recipients are deferred until
# enough of that is past. exipold reads the failures from Exim's main log. A mailbox
# that is full, or a host that dislikes the message, does not count.

limit "bounce_slow" {
  event   = bounce
  classes = [no_such_user, no_such_domain]
  key     = [owner] # who is answerable: the login, the local user, or the relay host

  # With list-owner-hygiene.hcl beside this file: except = [list.list_owners]

  tier "slow" {
    over = ["60/1h", "300/24h"]
    defer {
      message = "too many of your messages came back; try again later"
    }
  }
}
