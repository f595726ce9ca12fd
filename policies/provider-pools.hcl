# Large senders that retry from another address each time. exipold finds out their
# networks by their SPF records, and again several times a day; "exipold pools" shows
# them, and what has changed. Names and records as of 2026-11-22.
#
# A greylist uses them with key = [client.pool, ...], and with spare = [pool] where
# it is to leave them alone from the first contact on: a host that queues and retries
# as these do will always come back.

pool "google" {
  spf = ["_spf.google.com"]
}

pool "outlook" {
  spf = ["spf.protection.outlook.com"]
}

pool "yahoo" {
  spf = ["_spf.mail.yahoo.com"]
}

pool "apple" {
  spf = ["icloud.com", "_spf.apple.com"]
}

pool "amazonses" {
  spf = ["amazonses.com"]
}

pool "sendgrid" {
  spf = ["sendgrid.net"]
}

pool "mailchimp" {
  spf = ["servers.mcsv.net", "spf.mandrillapp.com"]
}

pool "mailgun" {
  spf = ["mailgun.org"]
}

pool "mailjet" {
  spf = ["spf.mailjet.com"]
}

pool "ovh" {
  spf = ["mx.ovh.com"]
}
