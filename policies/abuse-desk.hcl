# Who hears of it. The policies beside this file that say notify = [notice.desk] send
# one mail for each case, with what led to it and the command that undoes it.

notice "desk" {
  mail   = [site.admin]
  digest = "24h" # a summary of the cases, where there are any
  # webhook = "https://desk.example.com/hook"
}
