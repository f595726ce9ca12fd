# The same for mail that programs on this host give to sendmail: a web form that
# somebody found, or a script that was broken into. The key is the login that the
# program runs as. Exim can only ask its own routing there, not other hosts.
#
# Put abuse-desk.hcl beside it, and have exipold-desk run.

# Logins whose mail is never counted: cron's, for instance.
list "system_users" {
  users = ["root"]
}

limit "local_scripts" {
  traffic = "local"
  event   = unknown_recipient
  key     = [user]
  except  = [list.system_users]

  tier "block" {
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
