package main

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// smtpClients is how many sessions are held at a time.
const smtpClients = 8

// sessions holds SMTP sessions with Exim for d, from so many clients at a time, and
// says how many a second there were, and how many in all. Each has one message to so
// many recipients, all of which must be accepted.
func sessions(port int, from string, recipients int, d time.Duration) (rate float64, held int64, err error) {
	var count atomic.Int64
	errs := make([]error, smtpClients)
	start := time.Now()
	var done sync.WaitGroup
	for i := range errs {
		done.Go(func() {
			for n := i; time.Since(start) < d && errs[i] == nil; n += smtpClients {
				if errs[i] = session(port, from, n, recipients); errs[i] == nil {
					count.Add(1)
				}
			}
		})
	}
	done.Wait()
	elapsed := time.Since(start)
	for _, err := range errs {
		if err != nil {
			return 0, 0, err
		}
	}
	held = count.Load()
	return float64(held) / elapsed.Seconds(), held, nil
}

// smtpSenders is how many senders take turns.
const smtpSenders = 500

func smtpSender(n int) string         { return fmt.Sprintf("sender%d@remote.test", n%smtpSenders) }
func smtpRecipient(n int) string      { return fmt.Sprintf("user%d@local.test", n%100) }
func firstRecipient(sender int) int   { return sender % smtpSenders % 100 }
func smtpAddress(from string) net.IP  { return net.ParseIP(from) }
func replyCode(line string) string    { return line[:min(3, len(line))] }
func lastOfReply(line string) bool    { return len(line) < 4 || line[3] != '-' }
func unexpected(what, s string) error { return fmt.Errorf("%s: %q", what, strings.TrimSpace(s)) }

// session is one session: pipelined, and closed for writing right after QUIT, for
// Exim waits up to 200 ms for a client to close first.
func session(port int, from string, n, recipients int) error {
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: smtpAddress(from)}, Timeout: 30 * time.Second}
	conn, err := dialer.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
	in := bufio.NewReader(conn)
	expect := func(code, what string) error {
		for {
			line, err := in.ReadString('\n')
			if err != nil {
				return fmt.Errorf("%s: %w", what, err)
			}
			if !lastOfReply(line) {
				continue
			}
			if replyCode(line) != code {
				return unexpected(what, line)
			}
			return nil
		}
	}
	if err := expect("220", "greeting"); err != nil {
		return err
	}
	if _, err := conn.Write([]byte("EHLO mail.remote.test\r\n")); err != nil {
		return err
	}
	if err := expect("250", "EHLO"); err != nil {
		return err
	}
	var all bytes.Buffer
	fmt.Fprintf(&all, "MAIL FROM:<%s>\r\n", smtpSender(n))
	for i := range recipients {
		fmt.Fprintf(&all, "RCPT TO:<%s>\r\n", smtpRecipient(firstRecipient(n)+i))
	}
	all.WriteString("DATA\r\n")
	if _, err := conn.Write(all.Bytes()); err != nil {
		return err
	}
	for range recipients + 1 {
		if err := expect("250", "MAIL and RCPT"); err != nil {
			return err
		}
	}
	if err := expect("354", "DATA"); err != nil {
		return err
	}
	if _, err := conn.Write([]byte("Subject: hello\r\n\r\nHello.\r\n.\r\nQUIT\r\n")); err != nil {
		return err
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.CloseWrite()
	}
	if err := expect("250", "message"); err != nil {
		return err
	}
	return expect("221", "QUIT")
}
