package eximtest

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// FakeHelper stands at a Unix socket in a helper's place and misbehaves as told. It
// can be told otherwise at any time; connections that are open then are closed.
type FakeHelper struct {
	Path string

	t    T
	mu   sync.Mutex
	mode Mode

	listener  net.Listener
	stop      context.CancelFunc
	running   sync.WaitGroup
	fillers   []int // descriptors that keep the backlog of a deaf socket full
	questions []string
	calls     int
}

// Mode is a way to behave: one of the constants, or made by [Says], [Answers],
// [Slowly], [CutOff].
type Mode struct {
	name   string
	listen bool
	// talk has the question, as far as it came, and may write to the connection until
	// ctx is done.
	talk func(ctx context.Context, question []byte, conn net.Conn)
}

// String is the mode's name, for the names of subtests.
func (m Mode) String() string { return m.name }

// The ways to be of no use.
var (
	// Absent: there is no socket.
	Absent = Mode{name: "absent"}
	// Stale: a socket file without a listener, as a killed process leaves it.
	Stale = Mode{name: "stale"}
	// Forbidden: a socket that Exim's user may not connect to.
	Forbidden = Mode{name: "forbidden", listen: true, talk: silent}
	// Deaf: the socket is listened on, nobody accepts, and the backlog is full: what is
	// left of a stopped service whose socket the system keeps.
	Deaf = Mode{name: "deaf"}
	// Hung: accepts, reads, never answers.
	Hung = Mode{name: "hung", listen: true, talk: silent}
	// Closing: accepts and closes at once, without reading.
	Closing = Mode{name: "closing", listen: true}
	// Mute: reads the question and closes without an answer.
	Mute = Mode{name: "mute", listen: true, talk: func(context.Context, []byte, net.Conn) {}}
	// Rubbish: a megabyte of random bytes.
	Rubbish = Mode{name: "rubbish", listen: true, talk: func(_ context.Context, _ []byte, conn net.Conn) {
		_, _ = conn.Write(junk())
	}}
	// Endless: an answer that goes on and on, a few bytes at a time; for four seconds,
	// which is longer than anybody waits who has a timeout. More would test Exim: its
	// timeout is an alarm that ends a read, and where it comes between two of them
	// (seen under load), Exim reads on for as long as anything comes.
	Endless = Mode{name: "endless", listen: true, talk: func(ctx context.Context, _ []byte, conn net.Conn) {
		end := time.Now().Add(4 * time.Second)
		for word := "v=1"; ctx.Err() == nil && time.Now().Before(end); word = " verdict=accept" {
			if _, err := io.WriteString(conn, word); err != nil {
				return
			}
			time.Sleep(50 * time.Millisecond)
		}
	}}
	// Nulls: NUL bytes and newlines.
	Nulls = Says("nulls", "\x00\x00\n\n\x00v=1\x00\n\n")
	// Lines: an answer with newlines in it.
	Lines = Says("lines", "v=1\naction=accept\nend=1\n")
)

// junk is a megabyte, the same in each run.
var junk = sync.OnceValue(func() []byte {
	r := rand.NewChaCha8([32]byte{1})
	b := make([]byte, 1<<20)
	_, _ = r.Read(b)
	return b
})

// Useless are all of the modes above and the half of an answer.
func Useless() []Mode {
	return []Mode{Absent, Stale, Forbidden, Deaf, Hung, Closing, Mute, CutOff("v=1 action=den"), Rubbish, Endless, Nulls, Lines}
}

func silent(ctx context.Context, _ []byte, _ net.Conn) { <-ctx.Done() }

// Says always answers the same.
func Says(name, answer string) Mode {
	return Answers(name, func(string) string { return answer })
}

// CutOff answers with the beginning of something and closes.
func CutOff(part string) Mode { return Says("cut off", part) }

// Answers computes the answer from the question. The function may be called by several
// goroutines at once.
func Answers(name string, answer func(question string) string) Mode {
	return Mode{name: name, listen: true, talk: func(_ context.Context, q []byte, conn net.Conn) {
		_, _ = io.WriteString(conn, answer(string(q)))
	}}
}

// Slowly lets another mode answer after a while.
func Slowly(wait time.Duration, then Mode) Mode {
	return Mode{name: "slow " + then.name, listen: true, talk: func(ctx context.Context, q []byte, conn net.Conn) {
		select {
		case <-ctx.Done():
		case <-time.After(wait):
			then.talk(ctx, q, conn)
		}
	}}
}

// NewFakeHelper puts a helper at a path (see [Bed.SocketPath]). It ends with the test.
func NewFakeHelper(t T, path string, mode Mode) *FakeHelper {
	t.Helper()
	h := &FakeHelper{Path: path, t: t}
	h.Set(mode)
	t.Cleanup(func() { h.Set(Absent) })
	return h
}

// Set changes the mode, at once.
func (h *FakeHelper) Set(mode Mode) {
	h.t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.clear()
	h.mode = mode
	var err error
	switch {
	case mode.name == Absent.name:
	case mode.name == Stale.name:
		err = h.leaveStale()
	case mode.name == Deaf.name:
		err = h.listenDeaf()
	default:
		err = h.listen()
	}
	if err != nil {
		h.t.Fatalf("fake helper, %s: %v", mode, err)
	}
}

// clear ends whatever there is.
func (h *FakeHelper) clear() {
	if h.listener != nil {
		h.listener.Close()
		h.stop()
		h.mu.Unlock() // connections note their questions while they end
		h.running.Wait()
		h.mu.Lock()
		h.listener = nil
	}
	for _, fd := range h.fillers {
		_ = syscall.Close(fd)
	}
	h.fillers = nil
	_ = os.Remove(h.Path)
}

func (h *FakeHelper) leaveStale() error {
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: h.Path, Net: "unix"})
	if err != nil {
		return err
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	return os.Chmod(h.Path, 0o666) //nolint:gosec // Exim is another user
}

// listenDeaf listens with the smallest backlog and fills it. (Go's own Listen has no
// say in the length of the backlog.)
func (h *FakeHelper) listenDeaf() error {
	addr := &syscall.SockaddrUnix{Name: h.Path}
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	h.fillers = append(h.fillers, fd)
	if err := syscall.Bind(fd, addr); err != nil {
		return err
	}
	if err := syscall.Listen(fd, 0); err != nil {
		return err
	}
	if err := os.Chmod(h.Path, 0o666); err != nil { //nolint:gosec // Exim is another user
		return err
	}
	for range 16 {
		c, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC|syscall.SOCK_NONBLOCK, 0)
		if err != nil {
			return err
		}
		h.fillers = append(h.fillers, c)
		if err := syscall.Connect(c, addr); err == syscall.EAGAIN {
			return nil
		}
	}
	return nil
}

func (h *FakeHelper) listen() error {
	l, err := net.Listen("unix", h.Path)
	if err != nil {
		return err
	}
	perm := os.FileMode(0o666)
	if h.mode.name == Forbidden.name {
		perm = 0
	}
	if err := os.Chmod(h.Path, perm); err != nil {
		l.Close()
		return err
	}
	ctx, stop := context.WithCancel(context.Background())
	h.listener, h.stop = l, stop
	mode := h.mode
	h.running.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			h.running.Go(func() { h.serve(ctx, mode, conn) })
		}
	})
	return nil
}

func (h *FakeHelper) serve(ctx context.Context, mode Mode, conn net.Conn) {
	defer conn.Close()
	h.mu.Lock()
	h.calls++
	h.mu.Unlock()
	if mode.talk == nil {
		return
	}
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	var q bytes.Buffer
	_ = conn.SetDeadline(time.Now().Add(patience))
	// Exim ends its half of the connection after the question.
	_, err := io.Copy(&q, io.LimitReader(conn, 1<<20))
	h.mu.Lock()
	h.questions = append(h.questions, q.String())
	h.mu.Unlock()
	if err == nil {
		mode.talk(ctx, q.Bytes(), conn)
	}
}

// Questions returns what was asked so far, whatever was answered, in the order in which
// the questions were complete.
func (h *FakeHelper) Questions() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]string(nil), h.questions...)
}

// Calls counts the connections that were accepted.
func (h *FakeHelper) Calls() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.calls
}

// Forget drops the questions and the count.
func (h *FakeHelper) Forget() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.questions, h.calls = nil, 0
}
