package diag

import "strings"

// Pieces of the examples.

func tarpit(delay string) string {
	return "limit \"tarpit\" {\n  event = unknown_recipient\n  key   = [client.ip]\n  tier \"slow\" {\n    over = \"5/4h\"\n    delay {\n      " + delay + "\n    }\n  }\n}"
}

func twoTiers(more string) string {
	return "limit \"rate\" {\n  event = recipient\n  key   = [client.ip]\n" + more +
		"  tier \"slow\" {\n    over = \"100/1h\"\n    defer {}\n  }\n  tier \"stop\" {\n    over = \"500/1h\"\n    deny {}\n  }\n}"
}

const onlyBulk = "limit \"bulk\" {\n  event = recipient\n  key   = [client.ip]\n  only  = [list.bulk]\n  tier \"slow\" {\n    over = \"100/1h\"\n    defer {}\n  }\n}"

func header(name string) string {
	return "limit \"mark\" {\n  event = recipient\n  key   = [client.ip]\n  tier \"mark\" {\n    over       = \"100/1h\"\n    add_header = { \"" + name + "\" = \"yes\" }\n  }\n}"
}

func helo(more, key string) string {
	return "limit \"noisy\" {\n  " + more + "\n  key = [" + key + "]\n  tier \"slow\" {\n    over = \"60/1h\"\n    defer {}\n  }\n}"
}

func forRecipients(event string) string {
	return "list \"boxes\" {\n  recipients = [\"support@example.com\"]\n}\n" +
		"limit \"rate\" {\n  event  = " + event + "\n  key    = [client.ip]\n  except = [list.boxes]\n  tier \"slow\" {\n    over = \"60/1h\"\n    defer {}\n  }\n}"
}

func learning(more string) string {
	return "list \"correspondents\" {\n  learn {}\n}\n" + more
}

func remembering(time string) string {
	return "list \"correspondents\" {\n  learn {\n    remember = \"" + time + "\"\n  }\n}\ngreylist \"inbound\" {\n  except = [list.correspondents.sender]\n}"
}

func eximRate(rate string) string {
	return "limit \"noisy\" {\n  event  = helo\n  engine = \"exim\"\n  key    = [client.ip]\n  tier \"slow\" {\n    over = \"" + rate + "\"\n    defer {}\n  }\n}"
}

const desk = "notice \"desk\" {\n  mail = [\"abuse@example.com\"]\n}\n"

func bounces(more, over string) string {
	return desk + "limit \"bounces\" {\n  event   = bounce\n  classes = [no_such_user]\n  key     = [owner]\n" + more + "  tier \"warn\" {\n    over   = \"" + over + "\"\n    notify = [notice.desk]\n  }\n}"
}

func abuse(key, block string) string {
	notify := "notice.desk, owner"
	if key != "auth" {
		notify = "notice.desk"
	}
	return desk + "limit \"abuse\" {\n  traffic = \"submission\"\n  event   = invalid_recipient\n  key     = [" + key + "]\n" +
		"  tier \"block\" {\n    over   = \"100/1h\"\n    notify = [" + notify + "]\n    block {\n      " + block + "\n    }\n  }\n}"
}

func scripts(notify string) string {
	return "limit \"scripts\" {\n  traffic = \"local\"\n  event   = unknown_recipient\n  key     = [user]\n  tier \"block\" {\n    over = \"100/1h\"\n" + notify + "    block {\n      freeze {}\n    }\n  }\n}"
}

func stranger(until string) string {
	return desk + "limit \"noisy\" {\n  event = unknown_recipient\n  key   = [client.ip]\n  tier \"block\" {\n    over   = \"100/1h\"\n    notify = [notice.desk]\n    block {\n" + until + "      deny {}\n    }\n  }\n}"
}

func database(hosts, more string) string {
	return "store \"mysql\" {\n  hosts         = [\"" + hosts + "\"]\n  database      = \"exipol\"\n  user          = \"exipol\"\n  password_file = \"/etc/exipol/db-password\"\n" + more + "}"
}

func overSocket(user string) string {
	return "store \"mysql\" {\n  hosts    = [\"/run/mysqld/mysqld.sock\"]\n  database = \"exipol\"\n  user     = \"" + user + "\"\n}"
}

func digest(every string) string {
	return "notice \"desk\" {\n  mail   = [\"abuse@example.com\"]\n  digest = \"" + every + "\"\n}\n" + strings.TrimPrefix(bounces("", "300/24h"), desk)
}
