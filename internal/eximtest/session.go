package eximtest

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Reply is what Exim said to one command.
type Reply struct {
	Code  int
	Lines []string // whole, with the code, without CRLF
	Took  time.Duration
}

// String is the reply as it was sent, with LF between the lines.
func (r Reply) String() string { return strings.Join(r.Lines, "\n") }

// Text is the reply without codes, with LF between the lines.
func (r Reply) Text() string {
	var out []string
	for _, l := range r.Lines {
		out = append(out, l[min(4, len(l)):])
	}
	return strings.Join(out, "\n")
}

var acceptedID = regexp.MustCompile(`^250 OK id=([0-9A-Za-z]+-[0-9A-Za-z]+-[0-9A-Za-z]+)`)

// MessageID is the id that Exim gave to a message that it accepted with this reply,
// or "".
func (r Reply) MessageID() string {
	if m := acceptedID.FindStringSubmatch(r.String()); m != nil {
		return m[1]
	}
	return ""
}

// Session is one SMTP dialogue. Methods with an error can be used from any goroutine,
// the others end the test where something is not as they want it.
type Session struct {
	Greeting Reply // 220, unless the connect ACL had something against it

	bed  *Bed
	conn net.Conn
	in   *bufio.Reader
	exim *exec.Cmd // of a session over standard input
	log  []string
}

// proxyAddress is the address from which the bed's Exim believes the PROXY protocol:
// that is how a session gets the address of a client anywhere.
const proxyAddress = "127.0.0.250"

// proxyLine says who the client is.
func proxyLine(client netip.Addr) string {
	if client.Is4() {
		return "PROXY TCP4 " + client.String() + " 127.0.0.1 40000 25\r\n"
	}
	return "PROXY TCP6 " + client.String() + " ::1 40000 25\r\n"
}

// supports holds, by the path of an Exim, whether it has the PROXY protocol.
var supports sync.Map

// takesProxy says whether Exim has the PROXY protocol: Debian's light daemon has not.
func (b *Bed) takesProxy() bool {
	if known, ok := supports.Load(b.exim); ok {
		return known.(bool)
	}
	out, _, err := b.Exec("", "-bV")
	if err != nil {
		return true // what is wrong is better said by the session
	}
	takes := regexp.MustCompile(`(?m)^Support for:.* PROXY\b`).MatchString(out)
	supports.Store(b.exim, takes)
	return takes
}

// Connect opens a session with the daemon as a client with this address, which may be
// any: IPv4, IPv6, or an IPv4-mapped one, which Exim keeps as it is. Addresses of
// 127.0.0.0/8, and ::1 where the bed has IPv6, are really dialled from; for all others
// the PROXY protocol is used. "" is 127.0.0.1. With an Exim that does not have the PROXY
// protocol, all others get a session of [Bed.ConnectBs].
func (b *Bed) Connect(clientIP string) (*Session, error) {
	if clientIP == "" {
		clientIP = "127.0.0.1"
	}
	client, err := netip.ParseAddr(clientIP)
	if err != nil {
		return nil, err
	}
	from, to, proxied := client, "127.0.0.1", !client.IsLoopback() || client.Is4In6()
	if proxied && !b.takesProxy() {
		return b.ConnectBs(clientIP)
	}
	if proxied {
		from = netip.MustParseAddr(proxyAddress)
	} else if client.Is6() {
		to = "::1"
	}
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IP(from.AsSlice())}, Timeout: patience}
	conn, err := d.Dial("tcp", net.JoinHostPort(to, strconv.Itoa(b.port)))
	if err != nil {
		return nil, fmt.Errorf("connect to Exim: %w", err)
	}
	s := &Session{bed: b, conn: conn}
	if proxied {
		_, _ = io.WriteString(conn, proxyLine(client)) // the greeting shows if it went wrong
	}
	return b.greet(s)
}

// Dial is [Bed.Connect], and ends the test if there is no greeting of any kind.
func (b *Bed) Dial(clientIP string) *Session {
	b.t.Helper()
	s, err := b.Connect(clientIP)
	if err != nil {
		b.t.Fatalf("%v", err)
	}
	b.t.Cleanup(s.Close)
	return s
}

// ConnectBs opens a session with an Exim of its own (exim -bs), without a daemon. ""
// is a local caller without an address, as a program that runs "sendmail -bs"; else
// the client has this address, as with [Bed.Connect], but logged with U= and greeted
// with the name of Exim's user. Exim gets a Unix socket for its standard input and
// output, so that the end of the connection looks to it as it does on the net. All ACLs
// run, connect and quit too, and delays are slept.
//
// The address goes in by the PROXY protocol here, too, where Exim has it. The plain way,
// -oMa ADDRESS, makes a session that no network client can have: the address is tainted.
// Then ${mask:$sender_host_address/24} ends the process on 4.96 ("Taint mismatch", 421),
// and ${eval:} of it is refused from 4.100 on.
func (b *Bed) ConnectBs(clientIP string) (*Session, error) {
	args := []string{"-bs"}
	var client netip.Addr
	proxied := false
	if clientIP != "" {
		var err error
		if client, err = netip.ParseAddr(clientIP); err != nil {
			return nil, err
		}
		from := clientIP
		if proxied = b.takesProxy(); proxied {
			from = proxyAddress
		}
		args = append(args, "-oMa", "["+from+"]:40000")
	}
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("socket pair: %w", err)
	}
	theirs := os.NewFile(uintptr(pair[0]), "exim")
	ours := os.NewFile(uintptr(pair[1]), "client")
	// Only Exim may keep its end, or we would not see it close.
	defer theirs.Close()
	conn, err := net.FileConn(ours)
	ours.Close()
	if err != nil {
		return nil, fmt.Errorf("socket pair: %w", err)
	}
	cmd := b.command(context.Background(), args...)
	cmd.Stdin, cmd.Stdout = theirs, theirs
	if stderr, err := os.OpenFile(b.Path("log/stderr"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644); err == nil {
		defer stderr.Close()
		cmd.Stderr = stderr
	}
	if err := cmd.Start(); err != nil {
		conn.Close()
		return nil, fmt.Errorf("exim -bs: %w", err)
	}
	theirs.Close()
	if proxied {
		_, _ = io.WriteString(conn, proxyLine(client))
	}
	return b.greet(&Session{bed: b, conn: conn, exim: cmd})
}

// BsSession is [Bed.ConnectBs], and ends the test if there is no greeting of any kind.
func (b *Bed) BsSession(clientIP string) *Session {
	b.t.Helper()
	s, err := b.ConnectBs(clientIP)
	if err != nil {
		b.t.Fatalf("%v", err)
	}
	b.t.Cleanup(s.Close)
	return s
}

func (b *Bed) greet(s *Session) (*Session, error) {
	s.in = bufio.NewReader(s.conn)
	var err error
	if s.Greeting, err = s.ReadReply(); err != nil {
		s.Close()
		return nil, fmt.Errorf("greeting: %w", err)
	}
	return s, nil
}

// Send writes bytes as they are.
func (s *Session) Send(raw []byte) error {
	for _, l := range bytes.SplitAfter(raw, []byte("\n")) {
		if len(l) > 0 {
			s.log = append(s.log, "C: "+printable(strings.TrimSuffix(string(l), "\r\n")))
		}
	}
	_ = s.conn.SetWriteDeadline(time.Now().Add(patience))
	_, err := s.conn.Write(raw)
	return err
}

// ReadReply reads one whole reply. io.EOF: Exim has closed the connection.
func (s *Session) ReadReply() (Reply, error) {
	var r Reply
	begin := time.Now()
	_ = s.conn.SetReadDeadline(begin.Add(2 * patience))
	for {
		text, err := s.in.ReadString('\n')
		if err != nil {
			if errors.Is(err, syscall.ECONNRESET) {
				err = io.EOF
			}
			return r, err
		}
		text = strings.TrimSuffix(strings.TrimSuffix(text, "\n"), "\r")
		s.log = append(s.log, "S: "+printable(text))
		r.Lines = append(r.Lines, text)
		r.Took = time.Since(begin)
		if len(text) < 3 {
			return r, fmt.Errorf("not a reply: %q", text)
		}
		if r.Code, err = strconv.Atoi(text[:3]); err != nil {
			return r, fmt.Errorf("not a reply: %q", text)
		}
		if len(text) == 3 || text[3] != '-' {
			return r, nil
		}
	}
}

// Do sends a line, with CRLF behind it, and returns the reply. The line may hold any
// bytes.
func (s *Session) Do(command string) (Reply, error) {
	begin := time.Now()
	if err := s.Send([]byte(command + "\r\n")); err != nil {
		return Reply{}, fmt.Errorf("%s: %w", printable(command), err)
	}
	r, err := s.ReadReply()
	r.Took = time.Since(begin)
	if err != nil {
		return r, fmt.Errorf("reply to %s: %w", printable(command), err)
	}
	return r, nil
}

// Cmd is [Session.Do], and ends the test if there is no reply.
func (s *Session) Cmd(command string) Reply {
	s.bed.t.Helper()
	r, err := s.Do(command)
	if err != nil {
		s.bed.t.Fatalf("%v\n%s", err, s.Transcript())
	}
	return r
}

// Expect is [Session.Cmd], and ends the test unless the reply has this code.
func (s *Session) Expect(code int, command string) Reply {
	s.bed.t.Helper()
	r := s.Cmd(command)
	if r.Code != code {
		s.bed.t.Fatalf("%s: got %q, want %d\n%s", printable(command), r, code, s.Transcript())
	}
	return r
}

// Ehlo says EHLO, which must be answered with 250.
func (s *Session) Ehlo(name string) Reply {
	s.bed.t.Helper()
	return s.Expect(250, "EHLO "+name)
}

// Auth logs in with AUTH PLAIN; the name may hold any bytes.
func (s *Session) Auth(name, password string) Reply {
	s.bed.t.Helper()
	return s.Cmd("AUTH PLAIN " + base64.StdEncoding.EncodeToString([]byte("\x00"+name+"\x00"+password)))
}

// DoData sends DATA and a message, with LF or CRLF, and returns the reply to its
// final dot, or that to DATA where Exim did not want it.
func (s *Session) DoData(message string) (Reply, error) {
	r, err := s.Do("DATA")
	if err != nil || r.Code != 354 {
		return r, err
	}
	message = strings.ReplaceAll(strings.ReplaceAll(message, "\r\n", "\n"), "\n", "\r\n")
	if message != "" && !strings.HasSuffix(message, "\r\n") {
		message += "\r\n"
	}
	if strings.HasPrefix(message, ".") {
		message = "." + message
	}
	message = strings.ReplaceAll(message, "\r\n.", "\r\n..")
	begin := time.Now()
	if err := s.Send([]byte(message + ".\r\n")); err != nil {
		return r, fmt.Errorf("message: %w", err)
	}
	r, err = s.ReadReply()
	r.Took = time.Since(begin)
	if id := r.MessageID(); err == nil && id != "" {
		s.bed.mu.Lock()
		s.bed.accepted = append(s.bed.accepted, id)
		s.bed.mu.Unlock()
	}
	return r, err
}

// Data is [Session.DoData], and ends the test if there is no reply.
func (s *Session) Data(message string) Reply {
	s.bed.t.Helper()
	r, err := s.DoData(message)
	if err != nil {
		s.bed.t.Fatalf("%v\n%s", err, s.Transcript())
	}
	return r
}

// DoMail sends one message, and returns the reply to each RCPT and to the message;
// where no recipient was accepted, that is the zero Reply, and the transaction is
// reset. A refused MAIL is an error.
func (s *Session) DoMail(sender string, recipients []string, message string) (rcpt []Reply, data Reply, err error) {
	r, err := s.Do("MAIL FROM:<" + sender + ">")
	if err != nil {
		return nil, data, err
	}
	if r.Code != 250 {
		return nil, data, fmt.Errorf("MAIL FROM:<%s>: %s", sender, r)
	}
	some := false
	for _, to := range recipients {
		if r, err = s.Do("RCPT TO:<" + to + ">"); err != nil {
			return rcpt, data, err
		}
		rcpt = append(rcpt, r)
		some = some || r.Code/100 == 2
	}
	if some {
		data, err = s.DoData(message)
	} else {
		_, err = s.Do("RSET")
	}
	return rcpt, data, err
}

// Mail is [Session.DoMail], and ends the test on an error.
func (s *Session) Mail(sender string, recipients []string, message string) (rcpt []Reply, data Reply) {
	s.bed.t.Helper()
	rcpt, data, err := s.DoMail(sender, recipients, message)
	if err != nil {
		s.bed.t.Fatalf("%v\n%s", err, s.Transcript())
	}
	return rcpt, data
}

// Closed says whether Exim has closed the connection, or does so within a moment (drop,
// 421). A reply that comes instead is lost.
func (s *Session) Closed() bool {
	_ = s.conn.SetReadDeadline(time.Now().Add(2 * time.Second))
	_, err := s.in.ReadByte()
	return errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET)
}

// CloseWrite ends the client's half of the connection, as a program does that sends
// all its commands at once and leaves. Exim ends a delay at that.
func (s *Session) CloseWrite() error {
	if c, ok := s.conn.(interface{ CloseWrite() error }); ok {
		return c.CloseWrite()
	}
	return errors.New("the connection has no halves")
}

// Quit says QUIT and closes.
func (s *Session) Quit() Reply {
	s.bed.t.Helper()
	r := s.Cmd("QUIT")
	s.Close()
	return r
}

// Close closes the connection, without QUIT. It may be called again.
func (s *Session) Close() {
	s.conn.Close()
	if s.exim == nil {
		return
	}
	done := make(chan struct{})
	go func() { _ = s.exim.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(patience):
		_ = syscall.Kill(-s.exim.Process.Pid, syscall.SIGKILL)
		<-done
	}
	s.exim = nil
}
