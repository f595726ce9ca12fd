package eximtest

import (
	"bufio"
	"io"
	"net"
	"strings"
	"time"
)

// visitor is one connection.
type visitor struct {
	sink *Sink
	conn net.Conn
	in   *bufio.Reader

	visit  int // the place of the transaction in the sink's visits; -1: there is none
	sender string
	to     []string // accepted
}

func (v *visitor) serve() {
	v.reply("220 sink.test ESMTP")
	for {
		line, err := v.line()
		if err != nil {
			return
		}
		verb, rest, _ := strings.Cut(line, " ")
		more := true
		switch strings.ToUpper(verb) {
		case "EHLO":
			more = v.reply("250-sink.test\r\n250-SIZE\r\n250 8BITMIME")
		case "HELO", "NOOP":
			more = v.reply("250 sink.test")
		case "RSET":
			v.visit, v.to = -1, nil
			more = v.reply("250 reset")
		case "MAIL":
			more = v.mail(path(rest))
		case "RCPT":
			more = v.rcpt(path(rest))
		case "DATA":
			more = v.data()
		case "QUIT":
			v.reply("221 bye")
			return
		default:
			more = v.reply("500 unknown command")
		}
		if !more {
			return
		}
	}
}

// path is what stands between the angle brackets of MAIL and RCPT.
func path(s string) string {
	_, s, _ = strings.Cut(s, "<")
	if i := strings.LastIndexByte(s, '>'); i >= 0 {
		s = s[:i]
	}
	return s
}

func (v *visitor) line() (string, error) {
	_ = v.conn.SetReadDeadline(time.Now().Add(2 * patience))
	line, err := v.in.ReadString('\n')
	return strings.TrimRight(line, "\r\n"), err
}

// reply says whether the dialogue goes on.
func (v *visitor) reply(text string) bool {
	_ = v.conn.SetWriteDeadline(time.Now().Add(patience))
	_, err := io.WriteString(v.conn, text+"\r\n")
	return err == nil
}

// ask is what the rule says; "" becomes a reply.
func (v *visitor) ask(c Command) Answer {
	v.sink.mu.Lock()
	rule := v.sink.rule
	v.sink.mu.Unlock()
	if a := rule(c); a != "" {
		return a
	}
	return "250 fine"
}

// say says whether the dialogue goes on.
func (v *visitor) say(a Answer) bool {
	switch a {
	case Closes:
		return false
	case Hangs:
		<-v.sink.gone
		return false
	}
	return v.reply(string(a))
}

func (v *visitor) mail(sender string) bool {
	v.sender, v.to, v.visit = sender, nil, -1
	a := v.ask(Command{Stage: "mail", Sender: sender})
	if a.takes() {
		v.sink.mu.Lock()
		v.visit = len(v.sink.visits)
		v.sink.visits = append(v.sink.visits, Visit{Sender: sender})
		v.sink.mu.Unlock()
	}
	return v.say(a)
}

func (v *visitor) rcpt(to string) bool {
	if v.visit < 0 {
		return v.reply("503 MAIL first")
	}
	a := v.ask(Command{Stage: "rcpt", Sender: v.sender, Recipient: to})
	v.sink.mu.Lock()
	visit := &v.sink.visits[v.visit]
	visit.Recipients, visit.Replies = append(visit.Recipients, to), append(visit.Replies, a)
	v.sink.mu.Unlock()
	if a.takes() {
		v.to = append(v.to, to)
	}
	return v.say(a)
}

func (v *visitor) data() bool {
	if len(v.to) == 0 {
		return v.reply("554 no valid recipients")
	}
	if !v.reply("354 go on") {
		return false
	}
	var raw strings.Builder
	for {
		line, err := v.line()
		if err != nil {
			return false
		}
		if line == "." {
			break
		}
		raw.WriteString(strings.TrimPrefix(line, ".") + "\n")
	}
	a := v.ask(Command{Stage: "data", Sender: v.sender, Recipient: v.to[0]})
	// It is noted before it is answered for: who has the reply finds it here.
	v.sink.mu.Lock()
	v.sink.visits[v.visit].Data = true
	if a.takes() {
		v.sink.mail = append(v.sink.mail, Sent{Sender: v.sender, Recipients: v.to, Raw: raw.String()})
	}
	v.sink.mu.Unlock()
	v.visit, v.to = -1, nil
	return v.say(a)
}
