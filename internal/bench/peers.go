package main

import (
	_ "embed"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strconv"
)

// acceptedAnswer is what exipold says where it has nothing against a recipient.
const acceptedAnswer = "v=1 verdict=accept waive=no end=1"

// acceptLoop is the source of the loop in C.
//
//go:embed peer/accept.c
var acceptLoop []byte

// startC compiles and starts the loop in C, nil where there is no compiler.
func (b *bench) startC() *process {
	compiler, err := exec.LookPath("cc")
	if err != nil {
		b.leaveOut("the accept loop in C: there is no cc.")
		return nil
	}
	if err := os.WriteFile(b.path("accept.c"), acceptLoop, 0o600); err != nil {
		b.Fatalf("write the loop in C: %v", err)
	}
	program := b.path("accept")
	if out, err := exec.Command(compiler, "-O2", "-D_GNU_SOURCE", "-pthread", "-o", program, b.path("accept.c")).CombinedOutput(); err != nil {
		b.leaveOut("the accept loop in C: %v: %s", err, out)
		return nil
	}
	socket := b.path("c.sock")
	return b.start("C accept loop", socket, program, socket, strconv.Itoa(runtime.NumCPU()), acceptedAnswer)
}

// startEcho starts the Go echo server: this program again.
func (b *bench) startEcho() *process {
	socket := b.path("echo.sock")
	return b.start("Go echo", socket, b.exe, "go-echo", socket)
}

// serveEcho is that server, as anybody would write it: a goroutine for each
// connection, which reads what comes and answers it.
func serveEcho(socket string) error {
	ln, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	for {
		conn, err := ln.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer conn.Close()
			var buf [4096]byte
			n, err := conn.Read(buf[:])
			if err != nil || n == 0 {
				return
			}
			_, _ = io.WriteString(conn, acceptedAnswer)
		}()
	}
}

// greylistdConfig has Debian's own settings, but for the folder and the owner, and a
// delay of one second so that keys can become known.
const greylistdConfig = `[timeouts]
retryMin = 1
retryMax = 28800
expire = 5184000
[socket]
path = %[1]s/greylistd.sock
mode = 0660
owner = root
[data]
update = 600
statefile = %[1]s/greylistd.states
tripletfile = %[1]s/greylistd.triplets
savetriplets = true
singlecheck = false
singleupdate = false
`

// startGreylistd starts Debian's greylistd in the bench's folder, nil where it is not
// installed. It takes the name of its configuration as an argument.
func (b *bench) startGreylistd() *process {
	const program = "/usr/sbin/greylistd"
	if _, err := os.Stat(program); err != nil {
		b.leaveOut("greylistd: it is not installed (apt-get install greylistd).")
		return nil
	}
	config := b.path("greylistd.conf")
	if err := os.WriteFile(config, fmt.Appendf(nil, greylistdConfig, b.dir), 0o600); err != nil {
		b.Fatalf("write greylistd's configuration: %v", err)
	}
	_ = os.Remove(b.path("greylistd.states"))
	_ = os.Remove(b.path("greylistd.sock"))
	return b.start("greylistd", b.path("greylistd.sock"), program, config)
}
