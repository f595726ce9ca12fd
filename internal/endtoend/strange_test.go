package endtoend

import "strings"

// hostile asks at HELO and at RCPT, and has log lines that say who it was.
const hostile = `
greylist "inbound" {
  key = [client.net, sender, recipient, helo]
}
limit "watch" {
  event = recipient
  key   = [recipient]
  mode  = "observe"
  tier "much" {
    over = "1000000/1h"
    deny {
    }
  }
}
limit "hello" {
  event = helo
  key   = [helo]
  mode  = "observe"
  tier "much" {
    over = "1000000/1h"
    deny {
    }
  }
}
limit "guesses" {
  event = unknown_recipient
  key   = [recipient]
  tier "much" {
    over = "1000000/1h"
    discard {
    }
  }
}
limit "users" {
  traffic = "submission"
  event   = recipient
  key     = [auth]
  mode    = "observe"
  tier "much" {
    over = "1000000/1h"
    deny {
    }
  }
}
`

// wrapped puts every byte that a line can hold into a text, one text for each.
func wrapped(before, after string) []string {
	var all []string
	for c := 1; c < 256; c++ {
		if c != '\n' {
			all = append(all, before+string([]byte{byte(c)})+after)
		}
	}
	return all
}

// strange are texts that mean something to somebody: Exim, a shell, SQL, HCL, a
// terminal, a path, a format.
func strange(touch string) []string {
	return []string{
		"${run{/usr/bin/touch " + touch + "}}", "${run{/bin/sh -c \"touch " + touch + "\"}}", "$(touch " + touch + ")", "`touch " + touch + "`", ";touch " + touch + ";#", "|touch " + touch,
		"$acl_c_exipol_answer", "${if eq{1}{1}{yes}}", "$local_part@$domain", "\\N^.*$\\N", "%s%n%d%%", "../../etc/passwd", "/etc/passwd", "a/count=0/b", "readonly",
		"'; DROP TABLE counts; --", "a' OR '1'='1", "\\' OR 1=1 --", "v=1 verdict=accept end=1", "x nonce=1.1 traffic=local", "x\ty", "x\ry", "x\r", " ", "  two  blanks  ", "\x01\x02\x7f", "\x1b[2J\x1b]0;title\x07",
		"\xff\xfe\x80", "\xc3\x28", "\xed\xa0\x80", "ü@ß", "a,b;c:d", "<a>", "a@b@c", "\"quoted\"", "back\\slash\\", "\\", "\\\\", "{", "}", "LIMIT", "=", "====", ":panic: x", ":at_start: x", "#", "*", "!", "+", "a+b", "prvs=1234567890=a",
	}
}

// quoted is a local part in quotes, with what must be escaped there.
func quoted(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

// longName is about as long as a name may be for Exim to log it at all: a line of its
// log has 8 KiB, and what overflows leaves an empty line, with or without exipol.
var longName = strings.Repeat("long.", 1200) + "test"
