package mainlog

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// pieces are what hostile text is made of here: all that stands for something in a line.
var pieces = []string{" ", " S=1", " S=22", `"`, `\`, "@", "<", ">", ":", ": ", " : ", "=", "x", "bob", " A=plain:victim", " P=local", " U=root", " id=", ` T="`,
	" from <", " for ", " for a@b", " K", " PRDR", " PRX=1.2.3.4", " <a@b.test>", " R=r", " T=t", " H=h [1.2.3.4]", " F=<a@b.test>", " defer (-1)", " rejected RCPT <v@v>: ",
	" after RCPT TO:<", "550 5.1.1 ", "\r", "\t", "\xff", "\xc3\xbc", " ** ", " <= ", ") [9.9.9.9]", "(", " Completed", " DN=", " SNI=x", " X=y", "S=3", "id=m@x", "[", "]", " ,", ";", ".",
	" M8S=0", " RT=1s", " Q=q", "{$x}", "`id`"}

func hostileText(r *rand.Rand) string {
	var s strings.Builder
	for range 1 + r.IntN(7) {
		s.WriteString(pieces[r.IntN(len(pieces))])
	}
	return s.String()
}

// escape is what stands in quotes.
func escape(s string) string {
	return strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s)
}

// printable is string_printing of Exim's source.
func printable(s string) string {
	var b strings.Builder
	for i := range len(s) {
		switch c := s[i]; {
		case c == '\r':
			b.WriteString(`\r`)
		case c == '\t':
			b.WriteString(`\t`)
		case c < 32 || c > 126:
			fmt.Fprintf(&b, `\%03o`, c)
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

// mailbox is an address, in one case of two with a hostile local part: as in the envelope, and as Exim logs it
// when it delivers to it.
func mailbox(r *rand.Rand) (address, loggedAs string) {
	if r.IntN(2) == 0 {
		a := fmt.Sprintf("user%d@d%d.test", r.IntN(9), r.IntN(9))
		return a, a
	}
	h := hostileText(r)
	d := fmt.Sprintf("@d%d.test", r.IntN(9))
	return `"` + escape(h) + `"` + d, lowered(h) + d
}

// lowered leaves bytes alone that are no ASCII.
func lowered(s string) string {
	b := []byte(s)
	for i := range b {
		b[i] = lower(b[i])
	}
	return string(b)
}

// TestHostileArrivals renders arrivals of hostile senders, ids, subjects, message ids and recipients as receive.c
// does, and wants every field back.
func TestHostileArrivals(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 30_000 {
		sender, _ := mailbox(r)
		login := "bob"
		for r.IntN(2) == 0 {
			login = printable(hostileText(r))
			if login == ownID(login) && !strings.HasPrefix(login, " ") {
				break
			}
			login = "bob"
		}
		messageID, _ := mailbox(r)
		messageID = printable(messageID)
		subject := printable(escape(hostileText(r)))
		var line strings.Builder
		fmt.Fprintf(&line, "%s<= %s H=(cl.test) [10.0.0.1] P=esmtpa", at, sender)
		if r.IntN(2) == 0 {
			line.WriteString(" X=TLS1.3:E:256 CV=no")
		}
		fmt.Fprintf(&line, " A=plain:%s", login)
		if r.IntN(2) == 0 {
			line.WriteString(" PRDR K")
		}
		line.WriteString(" S=216")
		if r.IntN(2) == 0 {
			line.WriteString(" M8S=0 RT=0.1s")
		}
		fmt.Fprintf(&line, " id=%s", messageID)
		withSubject := r.IntN(3) > 0
		if withSubject {
			fmt.Fprintf(&line, ` T="%s"`, subject)
		}
		if r.IntN(2) == 0 {
			fmt.Fprintf(&line, " from <%s>", sender)
		}
		if r.IntN(2) == 0 {
			line.WriteString(" for")
			for range 1 + r.IntN(3) {
				to, _ := mailbox(r)
				line.WriteString(" " + to)
			}
		}
		e, ok := Parse([]byte(line.String()), Options{})
		if !ok || e.Damaged || e.Kind != Arrived || string(e.Sender) != sender || string(e.Host.Helo) != "cl.test" || string(e.Protocol) != "esmtpa" ||
			string(e.Auth.Driver) != "plain" || string(e.Auth.ID) != login || e.Size != 216 || string(e.MessageID) != messageID ||
			withSubject && string(e.Subject) != subject || len(e.Ident) > 0 || len(e.Reference) > 0 {
			t.Fatalf("sender %q login %q id %q subject %q\n%s\n%s", sender, login, messageID, subject, line.String(), show(e))
		}
	}
}

// TestHostileAddresses does the same with what becomes of hostile recipients.
func TestHostileAddresses(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	replies := []string{"550 5.1.1 no such user", "550-5.1.1 <x@y.test>: no\\n550 5.1.1 see <z@y.test>", "550 5.1.1 <a b@c>: R=r T=t H=h: F=<x@y.test> \"q\" \\"}
	for range 30_000 {
		to, name := mailbox(r)
		original := ""
		if to != name {
			original = to
		}
		target := name
		if original != "" {
			target += " <" + original + ">"
		}
		from, _ := mailbox(r)
		if r.IntN(2) == 0 {
			target += " F=<" + from + ">"
		}
		sep := []string{": ", " : "}[r.IntN(2)]
		text, class, stage := "Unrouteable address", NoSuchDomain, NoStage
		tail := " R=out T=smtp H=h.test [10.0.0.1]"
		if r.IntN(4) > 0 {
			text, class, stage = er+"<"+printable(to)+">: "+replies[r.IntN(len(replies))], NoSuchUser, StageRcpt
		} else if r.IntN(2) == 0 {
			tail = ""
		}
		line := at + "** " + target + tail + sep + text
		e, ok := Parse([]byte(line), Options{})
		if !ok || e.Damaged || e.Kind != Failed || string(e.Address) != name || string(e.Original) != original || string(e.Text) != text || e.Class != class || e.Stage != stage ||
			e.HasSender && string(e.Sender) != from {
			t.Fatalf("%q %q\n%q\n%s", name, original, line, show(e))
		}
		line = at + "=> " + target + ` R=out T=smtp H=h.test [10.0.0.1] C="250 ok"`
		if e, ok := Parse([]byte(line), Options{}); !ok || e.Damaged || string(e.Address) != name || string(e.Original) != original || string(e.Transport) != "smtp" || string(e.Confirmation) != "250 ok" {
			t.Fatalf("%q %q\n%q\n%s", name, original, line, show(e))
		}
	}
}

// TestHostileRejections does the same with recipients that are refused.
func TestHostileRejections(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for range 30_000 {
		from, _ := mailbox(r)
		to, name := mailbox(r)
		login := "bob"
		if r.IntN(2) == 0 {
			login = printable(hostileText(r))
		}
		if strings.Contains(login, " rejected ") || string(trimWord([]byte(login), " SPF")) != login {
			continue // see the package comment
		}
		arg := "<" + to + ">"
		if len(arg) > maxCommand {
			continue
		}
		reason := []string{"no such user", "no " + name + " here", hostileText(r)}[r.IntN(3)]
		line := tm + "H=(cl.test) [10.0.0.1] F=<" + from + "> A=plain:" + login + " rejected RCPT " + arg + ": " + reason
		e, ok := Parse([]byte(line), Options{})
		if !ok || e.Kind != Rejected || string(e.Sender) != from || string(e.Auth.ID) != login || string(e.Address) != to || string(e.Text) != reason || e.Temporary || e.Cut {
			t.Fatalf("%q %q %q\n%q\n%s", from, login, to, line, show(e))
		}
	}
}

// FuzzParse wants no panic, slices that are parts of the line, and that an entry says the same
// when it is written down and read again.
func FuzzParse(f *testing.F) {
	for _, c := range forms {
		f.Add([]byte(strings.Replace(c.line, "~", at, 1)), true, false)
		f.Add([]byte("Nov 22 05:34:31 host exim[12]: [1/2] "+strings.Replace(c.line, "~", at, 1)), false, true)
	}
	f.Fuzz(func(t *testing.T, line []byte, mailAuth, junk bool) {
		var j Joiner
		j.Add(line)
		o := Options{MailAuth: mailAuth, JunkHelo: junk, Now: time.Unix(1.8e9, 0)}
		before := string(line)
		e, ok := Parse(line, o)
		k, id, glanced := Glance(line, &o)
		if glanced != ok || ok && k != e.Kind && k != Rejected || !bytes.Equal(id, e.ID) {
			t.Fatalf("glance: %v %q %v, parse: %v %q %v", k, id, glanced, e.Kind, e.ID, ok)
		}
		if string(line) != before {
			t.Fatal("Parse wrote into the line")
		}
		if !ok {
			return
		}
		if e.Kind == Rejected && len(e.Command) == 0 || len(e.Rest) > len(line) {
			t.Fatalf("%+v", e)
		}
		again := e.Time.Format("2006-01-02 15:04:05.999999999 -0700 ")
		if e.PID > 0 {
			again += fmt.Sprintf("[%d] ", e.PID)
		}
		if len(e.ID) > 0 {
			again += string(e.ID) + " "
		}
		if y := e.Time.Year(); y < 1 || y > 9999 || bytes.HasPrefix(e.Rest, []byte("[")) || idLength(e.Rest) > 0 {
			return
		}
		e2, ok := Parse([]byte(again+string(e.Rest)), o)
		if !ok || show(e2) != show(e) || !e2.Time.Equal(e.Time) || e2.PID != e.PID {
			t.Fatalf("%q\n%s\n%q\n%s", line, show(e), again+string(e.Rest), show(e2))
		}
	})
}
