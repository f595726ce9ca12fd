package mainlog

import (
	"fmt"
	"strings"
)

// show is an entry in a line: what is set, in the order of the fields.
func show(e Entry) string {
	var s strings.Builder
	put := func(name string, v []byte) {
		if len(v) > 0 {
			fmt.Fprintf(&s, " %s=%s", name, v)
		}
	}
	fmt.Fprint(&s, e.Kind)
	put("id", e.ID)
	if e.HasSender {
		fmt.Fprintf(&s, " from=<%s>", e.Sender)
	}
	put("ref", e.Reference)
	put("name", e.Host.Name)
	put("helo", e.Host.Helo)
	if e.Host.IP.IsValid() {
		fmt.Fprintf(&s, " ip=%s", e.Host.IP)
	}
	if e.Host.Port != 0 {
		fmt.Fprintf(&s, " port=%d", e.Host.Port)
	}
	put("ident", e.Ident)
	put("proto", e.Protocol)
	put("driver", e.Auth.Driver)
	put("auth", e.Auth.ID)
	if e.Size > 0 {
		fmt.Fprintf(&s, " size=%d", e.Size)
	}
	put("mid", e.MessageID)
	put("subject", e.Subject)
	put("addr", e.Address)
	put("orig", e.Original)
	put("R", e.Router)
	put("T", e.Transport)
	put("C", e.Confirmation)
	put("cmd", e.Command)
	if e.Errno != 0 {
		fmt.Fprintf(&s, " errno=%d", e.Errno)
	}
	if e.Code != 0 {
		fmt.Fprintf(&s, " code=%d", e.Code)
	}
	if e.Enhanced != [3]int{} {
		fmt.Fprintf(&s, " enh=%d.%d.%d", e.Enhanced[0], e.Enhanced[1], e.Enhanced[2])
	}
	if e.Class != NoClass {
		fmt.Fprintf(&s, " class=%v", e.Class)
	}
	put("text", e.Text)
	if e.Temporary {
		s.WriteString(" temporary")
	}
	if e.Created {
		s.WriteString(" created")
	}
	if e.Cut {
		s.WriteString(" cut")
	}
	if e.Damaged {
		s.WriteString(" damaged")
	}
	return s.String()
}

const (
	tm = "2026-11-22 05:34:30 "
	id = "1xV0De-0006Ja-2Y"
	at = tm + id + " "
	er = "SMTP error from remote mail server after RCPT TO:"
)

// forms are lines as Exim writes them (4.96 unless it is said otherwise), and what they say. In the first field "~"
// stands for time and id.
var forms = []struct{ line, want string }{
	{`~<= bob@local.test H=(cl.test) [127.0.0.1] P=esmtpa A=plain:bob S=202 id=m1@cl`,
		`arrived from=<bob@local.test> helo=cl.test ip=127.0.0.1 proto=esmtpa driver=plain auth=bob size=202 mid=m1@cl`},
	{`~<= <> R=1xV0De-0006Ja-2Y U=nobody P=local S=1904`,
		`arrived from=<> ref=1xV0De-0006Ja-2Y ident=nobody proto=local size=1904`},
	{`~<= a@b.test U=root P=local-esmtp S=4 id*=E1@mx.test`, `arrived from=<a@b.test> ident=root proto=local-esmtp size=4 mid=E1@mx.test created`},
	{`~(= a@b.test H=(cl.test) [127.0.0.1] P=esmtp S=220`, `fake-rejected from=<a@b.test> helo=cl.test ip=127.0.0.1 proto=esmtp size=220`},
	{`~<= "a b <= c@d ** e"@local.test H=(cl.test) [127.0.0.1] P=esmtpa A=plain:b c S=1 S=216 id=m1@cl`,
		`arrived from=<"a b <= c@d ** e"@local.test> helo=cl.test ip=127.0.0.1 proto=esmtpa driver=plain auth=b c S=1 size=216 mid=m1@cl`},
	{`~<= a\ S=1\ b@local.test H=x.test (y) [::1]:25 I=[::1]:587 P=esmtpsa X=TLS1.3:ECDHE_RSA:256 CV=no SNI=mx.test A=login:a:b@c K S=9 M8S=8 DKIM=x.test RT=0.1s Q=slow`,
		`arrived from=<a\ S=1\ b@local.test> name=x.test helo=y ip=::1 port=25 proto=esmtpsa driver=login auth=a:b@c size=9`},
	// 4.97 and later: Ci= before P=, long ids
	{tm + `1v2345-00000001abc-0XyZ <= a@b.test H=[10.1.2.3] Ci=1234 P=esmtp L* S=5 for c@d.test`, `arrived id=1v2345-00000001abc-0XyZ from=<a@b.test> ip=10.1.2.3 proto=esmtp size=5`},
	{`~<= a@b.test DS H=h.test [10.1.2.3] TFO* U=id ent P=x P=esmtpa A=plain:v P=esmtpa X=T:1 DN="CN="x" A=plain:w" A=plain:bob PRDR PRX=10.0.0.1 K S=5`,
		`arrived from=<a@b.test> name=h.test ip=10.1.2.3 ident=id ent P=x P=esmtpa A=plain:v proto=esmtpa driver=plain auth=bob size=5`},
	{`~<= a@b.test H=(x) [1.2.3.4] P=esmtpa A=plain:bob S=1 id="x S=2 "@y T="S=3 \" S=4" from <"q S=5"@b.test> for "z S=6"@c.test S=7@d.test`,
		`arrived from=<a@b.test> helo=x ip=1.2.3.4 proto=esmtpa driver=plain auth=bob size=1 mid="x S=2 "@y subject=S=3 \" S=4`},
	{`~<= a@b.test H=(x) [1.2.3.4] P=esmtp`, `arrived from=<a@b.test> damaged`},
	{`~<= a@b.test H=(x y) [1.2.3.4] P=esmtpa A=plain:bob S=1`, `arrived from=<a@b.test> size=1 damaged`},

	{`~=> ok1@a.remote.test R=remote T=smtp H=127.0.0.1 [127.0.0.1] C="250 queued as X1"`, `delivered name=127.0.0.1 ip=127.0.0.1 addr=ok1@a.remote.test R=remote T=smtp C=250 queued as X1`},
	{`~-> bad z@a.remote.test <"bad z"@a.remote.test> R=remote T=smtp H=127.0.0.1 [127.0.0.1] C="250 \"q\" as X1" QT=1s`,
		`also-delivered name=127.0.0.1 ip=127.0.0.1 addr=bad z@a.remote.test orig="bad z"@a.remote.test R=remote T=smtp C=250 \"q\" as X1`},
	{`~>> ok1@a.test F=<> R=remote T=smtp S=12 H=mx.test [10.0.0.1]:25* I=[10.0.0.2]:4 X=TLS1.2:A:1 CV=yes DN="CN=x" A=plain K C="250 OK"`,
		`cutthrough from=<> name=mx.test ip=10.0.0.1 port=25 addr=ok1@a.test R=remote T=smtp C=250 OK`},
	{`~*> a@b.test R=local T=mbox`, `suppressed addr=a@b.test R=local T=mbox`},
	{`~=> user0000 <user0000@local.test> R=local T=mbox`, `delivered addr=user0000 orig=user0000@local.test R=local T=mbox`},
	{`~=> x y: R=z <"x y: R=z"@local.test> R=local T=mbox`, `delivered addr=x y: R=z orig="x y: R=z"@local.test R=local T=mbox`},
	{`~=> |/bin/sh -c "a <b>" <bob@local.test> R=userforward T=address_pipe`, `delivered addr=|/bin/sh -c "a <b>" orig=bob@local.test R=userforward T=address_pipe`},
	{`~=> a@b.test (c@d.test, "e f"@g.test) <h@i.test> R=r T=t`, `delivered addr=a@b.test orig=h@i.test R=r T=t`},
	{`~=> /var/mail/a (c@d.test) <h@i.test> R=r T=address_file`, `delivered addr=/var/mail/a orig=h@i.test R=r T=address_file`},

	{`~** x@unroutable.test: Unrouteable address`, `failed addr=x@unroutable.test class=no_such_domain text=Unrouteable address`},
	{`~** x@unroutable.test : Unrouteable address DT=0.1s`, `failed addr=x@unroutable.test class=no_such_domain text=Unrouteable address`},
	{`~** userx@mxt1.test.ex R=others : lowest numbered MX record points to local host`,
		`failed addr=userx@mxt1.test.ex R=others class=other text=lowest numbered MX record points to local host`},
	{`~** x@y.test R=dnslookup: all relevant MX records point to non-existent hosts`, `failed addr=x@y.test R=dnslookup class=no_such_domain text=all relevant MX records point to non-existent hosts`},
	{`~** x@y.test <z@local.test>: retry timeout exceeded`, `failed addr=x@y.test orig=z@local.test class=other text=retry timeout exceeded`},
	{`~** bad1@a.test F=<bob@local.test> P=<bob@local.test> R=remote T=smtp H=127.0.0.1 [127.0.0.1]:2650 I=[127.0.0.1]:41814: ` + er + `<bad1@a.test>: 550 5.1.1 no such user here DT=0.000s`,
		`failed from=<bob@local.test> name=127.0.0.1 ip=127.0.0.1 port=2650 addr=bad1@a.test R=remote T=smtp code=550 enh=5.1.1 class=no_such_user text=` + er + `<bad1@a.test>: 550 5.1.1 no such user here`},
	{`~** bad: 550 x r=y@a.test <"bad: 550 x R=y"@a.test> R=remote T=smtp H=127.0.0.1 [127.0.0.1] X=TLS1.2:x:1 CV=no DN="CN=x" : ` + er + `<"bad: 550 x R=y"@a.test>: 550-5.1.1 no such\n550 5.1.1 user here "q" \ x`,
		`failed name=127.0.0.1 ip=127.0.0.1 addr=bad: 550 x r=y@a.test orig="bad: 550 x R=y"@a.test R=remote T=smtp code=550 enh=5.1.1 class=no_such_user text=` + er + `<"bad: 550 x R=y"@a.test>: 550-5.1.1 no such\n550 5.1.1 user here "q" \ x`},
	{`~** |/bin/false <a@local.test> R=f T=address_pipe: Child process of address_pipe transport returned 67 (could mean user nonexistent) from command: /bin/false`,
		`failed addr=|/bin/false orig=a@local.test R=f T=address_pipe class=no_such_user text=Child process of address_pipe transport returned 67 (could mean user nonexistent) from command: /bin/false`},

	{`~== tmp1@a.test R=remote T=smtp defer (-44) H=127.0.0.1 [127.0.0.1] DT=1s: ` + er + `<tmp1@a.test>: 450 4.2.0 greylisted`,
		`deferred name=127.0.0.1 ip=127.0.0.1 addr=tmp1@a.test R=remote T=smtp errno=-44 code=450 enh=4.2.0 text=` + er + `<tmp1@a.test>: 450 4.2.0 greylisted`},
	{`~== a@b.test R=r T=t defer (111): Connection refused H=h.test [10.0.0.1]`, `deferred name=h.test ip=10.0.0.1 addr=a@b.test R=r T=t errno=111 text=Connection refused`},
	{`~== a@b.test routing defer (-51): retry time not reached`, `deferred addr=a@b.test errno=-51 text=retry time not reached`},
	{`~== a@b.test R=r defer (-1): lookup did not complete`, `deferred addr=a@b.test R=r errno=-1 text=lookup did not complete`},

	{`~Completed`, `completed`},
	{`~Completed QT=3m`, `completed text=QT=3m`},
	{`~Frozen (delivery error message)`, `frozen text=(delivery error message)`},
	{`~frozen by ACL`, `frozen text=ACL`},
	{`~Message is frozen`, `still-frozen`},
	{`~Unfrozen by forced delivery`, `unfrozen text=forced delivery`},
	{`~unfrozen by root`, `unfrozen text=root`},
	{`~cancelled by timeout_frozen_after`, `cancelled text=timeout_frozen_after`},
	{`~removed by root`, `removed text=root`},
	{`~no immediate delivery: queued by ACL`, `other`},
	{`~Completedly`, `other`},

	{tm + `H=(cl.test) [127.0.0.1] F=<bob@local.test> A=plain:bob rejected RCPT <nosuch1@local.test>: no such user`,
		`rejected from=<bob@local.test> helo=cl.test ip=127.0.0.1 driver=plain auth=bob addr=nosuch1@local.test cmd=RCPT text=no such user`},
	{tm + `H=a.test (cl.test) [127.0.0.1]:25 I=[1.1.1.1]:25 X=TLS:x:1 CV=no SNI=x F=<> temporarily rejected RCPT a@b.test: x`,
		`rejected from=<> name=a.test helo=cl.test ip=127.0.0.1 port=25 addr=a@b.test cmd=RCPT text=x temporary`},
	{tm + ` DSH=a.test [127.0.0.1] rejected MAIL <a@b.test> SIZE=3`, `rejected from=<a@b.test> name=a.test ip=127.0.0.1 addr=a@b.test cmd=MAIL`},
	{tm + `H=[127.0.0.1] rejected EHLO or HELO x y: bad`, `rejected ip=127.0.0.1 cmd=EHLO or HELO text=bad`},
	{tm + `H=[127.0.0.1] rejected connection in "connect" ACL: bad`, `rejected ip=127.0.0.1 cmd=connection text=bad`},
	{`~H=(x) [1.2.3.4] F=<a@b.test> A=plain:b SPF=pass rejected after DATA: virus: x`, `rejected from=<a@b.test> helo=x ip=1.2.3.4 driver=plain auth=b cmd=after DATA text=virus: x`},
	{`~F=<a@b.test> rejected by non-SMTP ACL: no`, `rejected from=<a@b.test> cmd=by non-SMTP ACL text=no`},
	// A= is not believed behind an ident or a DN
	{tm + `H=(x) [1.2.3.4] U=x F=<a@b.test> A=plain:victim rejected RCPT <v@v.test>: r rejected MAIL <a@b.test>: r`,
		`rejected from=<a@b.test> helo=x ip=1.2.3.4 ident=x addr=v@v.test cmd=RCPT text=r rejected MAIL <a@b.test>: r`},
	{tm + `H=(x) [1.2.3.4] Warning: rejected RCPT <a@b.test>: x`, `other`},
	{tm + `H=(x) [1.2.3.4] sender verify fail for <a@b.test>: x`, `other`},

	{tm + `plain authenticator failed for (x) [1.2.3.4]:25 I=[1.1.1.1]:25: 535 Incorrect authentication data (set_id=a) b)`,
		`auth-failed helo=x ip=1.2.3.4 port=25 driver=plain auth=a) b code=535 text=535 Incorrect authentication data (set_id=a) b)`},
	{tm + `plain authenticator failed for H=h.test (x) [1.2.3.4]: 535 Incorrect authentication data`, // 4.99
		`auth-failed name=h.test helo=x ip=1.2.3.4 driver=plain code=535 text=535 Incorrect authentication data`},
	{tm + `plain authenticator failed for H=(x) [1.2.3.4] U=id: 435 Unable to authenticate at present (set_id=a b): db`,
		`auth-failed helo=x ip=1.2.3.4 ident=id driver=plain auth=a b code=435 text=435 Unable to authenticate at present (set_id=a b): db temporary`},
	{tm + `login authenticator failed for root: 501 Invalid base64 data`, `auth-failed ident=root driver=login code=501 text=501 Invalid base64 data`},
	{tm + `Start queue run: pid=1`, `other`},
}
