# Whom one's own users write to: their answers are not greylisted for 60 days. A
# greylist uses it with except = [list.correspondents.sender].
#
# It learns from messages that were accepted from authenticated users. Where users
# send through a web mail on a relay host, add a second learn block with
# traffic = "relay". With from = recipient.domain it learns whole domains: more is
# let in at once, at a large mail provider perhaps too much.

list "correspondents" {
  learn {
    traffic  = "submission"
    from     = recipient
    remember = "60d"
  }
}
