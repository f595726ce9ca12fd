# Who asks for more than five recipients that do not exist within four hours waits
# longer and longer for each refusal. The refusal itself stays Exim's own.

limit "tarpit" {
  traffic = "inbound"
  event   = unknown_recipient
  key     = [client.ip]
  except  = [list.friends, greylist.selective.trusted]

  tier "slow" {
    over = "5/4h"
    delay {
      each     = "2s"  # times all that were counted
      max      = "25s" # other hosts' callouts give up after 30
      sleepers = 10    # connections that may wait at a time
    }
  }
}
