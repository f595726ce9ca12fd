// Package mainlog reads lines of Exim's main log: what happened to which message, and the
// fields of the line. It is pure: bytes in, an [Entry] out; it opens no file and looks at no
// clock. Whoever follows a log hands it line by line to [Parse]; whoever follows syslog puts a
// [Joiner] in front.
//
// What a line looks like is in the Exim specification, chapter "Log files"; where that leaves a
// detail open, receive.c, deliver.c, smtp_in.c and log.c of Exim decide, from 4.92 to 4.99.
//
// # Whom a line can be made to lie for
//
// Exim quotes little of what it logs. An address, a login's id, a subject or the text of a remote
// host may hold " ** ", " <= ", " A=plain:victim" or " S=1". So nothing here is searched for:
// each field is taken where it has to stand, behind the one before it. Where that leaves two
// readings of the same bytes, the one is taken that gives least to those who can choose their bytes
// most cheaply:
//
//   - In an arrival, A= is not quoted. It ends at the " S=" behind which everything up to the end
//     of the line is well-formed. There is one such place only: an address, an id= and a T= have
//     balanced quotes, so that whoever begins to read inside one is still inside one at the end.
//   - The ident of U= beside H= (of a site that asks clients' ident servers), DN= and SNI= are
//     a client's free choice. In an arrival they end as late as they can, which only an id
//     that some administrator gave can make use of; in a rejection A= is not believed behind them.
//   - An address that failed is logged without its quotes, and the original one with them behind it.
//     The longest first part that is what the second says counts, whatever else the line holds. A remote host
//     that repeats the whole line in its reply could outdo that, and win little: its reply
//     decides the class in any case. Aliases that lead to such addresses are told by the RCPT TO in Exim's text.
//   - In a rejection, the id of A= ends at the first " rejected " command, since recipients and
//     reasons are cheaper to choose than ids.
//   - " K", " PRDR" and " PRX=address" at the end of an id are none of it, for a client adds the
//     first two as it likes.
//
// Two settings of Exim let clients write more than that, and Parse has to be told of them
// in [Options]: helo_accept_junk_hosts, and the log selector smtp_mailauth (+all has it).
//
// # Lines that no reader can tell from true ones
//
// Exim 4.96 writes a newline into its log as it is where one gets into these fields (seen, see the tests):
//
//   - with the selector smtp_mailauth, AUTH=x+0Ay of a MAIL command, from any client that is
//     logged in. Logs that decide about somebody should not have it: +all -smtp_mailauth;
//   - the sender that a trusted local caller gives with -f, and with the selector received_recipients a
//     recipient on the command line, of any local caller: local users can forge lines there.
//
// What follows the newline looks like a line of its own. Over syslog it does not: Exim marks it as a part, and
// [Joiner] puts it back. Nor can a line be told from Exim's own that an ACL writes with logwrite,
// beginning with something that a client said.
package mainlog
