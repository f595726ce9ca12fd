package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"exipol/generator/plan"
	"exipol/helper/testplan"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"exipold": main,
		"exim":    fakeExim,
	})
}

// TestScript runs the commands as a user does. UPDATE=1 rewrites what they print.
func TestScript(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		UpdateScripts:       os.Getenv("UPDATE") != "",
		Setup: func(e *testscript.Env) error {
			e.Setenv("USER", "jane")
			me, err := user.Current()
			if err != nil {
				return err
			}
			e.Setenv("ME", me.Username)
			e.Setenv("GROUP", groupName(uint32(os.Getegid())))
			return writePlan(e.WorkDir, "plan.json", nil)
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"socket": waitForSocket,
			"ask":    askCommandLine,
			"delay":  changeDelay,
			"byexim": countByExim,
			"astray": moveFiles,
			"debian": debianPlan,
			"signal": sendSignal,
			"logs":   waitForText,
		},
	})
}

// writePlan writes the test plan, with its files in dir.
func writePlan(dir, name string, change func(*plan.Plan)) error {
	p := testplan.New(dir)
	if change != nil {
		change(p)
	}
	if err := p.Seal(); err != nil {
		return err
	}
	b, err := p.Encode()
	if err != nil {
		return err
	}
	acl := fmt.Sprintf("exipol_rcpt:\n  warn set acl_m_q = v=1 plan=%s at=rcpt.after\n", p.ID)
	if err := os.WriteFile(filepath.Join(dir, "exipol.acl"), []byte(acl), 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, name), b, 0o644)
}

// delay FILE DURATION writes a plan with another greylisting delay.
func changeDelay(ts *testscript.TestScript, _ bool, args []string) {
	d, err := plan.ParseDuration(args[1])
	ts.Check(err)
	ts.Check(writePlan(ts.Getenv("WORK"), args[0], func(p *plan.Plan) { p.Greylists[0].Delay = d }))
}

// byexim FILE writes a plan whose limit.rate Exim counts.
func countByExim(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(writePlan(ts.Getenv("WORK"), args[0], func(p *plan.Plan) {
		p.Limits[0].Engine = plan.EngineExim
		a := &p.Stages[0].Before[0]
		a.Exim, a.Policies = a.Policies, nil
	}))
}

// astray FILE STORE SOCKET writes a plan with other files.
func moveFiles(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(writePlan(ts.Getenv("WORK"), args[0], func(p *plan.Plan) {
		p.Store.Path, p.Socket = ts.MkAbs(args[1]), ts.MkAbs(args[2])
	}))
}

// debian FILE LOG writes a plan of the layout debian, with Exim's log.
func debianPlan(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(writePlan(ts.Getenv("WORK"), args[0], func(p *plan.Plan) {
		p.Layout, p.Mainlog = "debian", []string{ts.MkAbs(args[1])}
	}))
}

// socket PATH waits until somebody answers there.
func waitForSocket(ts *testscript.TestScript, _ bool, args []string) {
	patiently(ts, "no answer on "+args[0], func() bool {
		b, err := askSocket(context.Background(), ts.MkAbs(args[0]), "exipold status\n", time.Second)
		return err == nil && len(b) > 0
	})
}

// ask QUESTION WANT asks on the socket, until the answer matches. In QUESTION,
// PLAN stands for the id of plan.json; "grey N" and "unknown N" are the usual ones.
func askCommandLine(ts *testscript.TestScript, _ bool, args []string) {
	question := args[0] + "\n"
	if what, nonce, found := strings.Cut(args[0], " "); found && (what == "grey" || what == "unknown") {
		at, event := "rcpt.after", "recipient"
		if what == "unknown" {
			at, event = "rcpt.before", "unknown_recipient"
		}
		p, err := plan.Decode(strings.NewReader(ts.ReadFile("plan.json")))
		ts.Check(err)
		question = fmt.Sprintf("v=1 plan=%s at=%s traffic=inbound events=%s nonce=1.%s ip=192.0.2.1 helo= sender=YUBiLmV4YW1wbGU= rcpt=Y0BkLmV4YW1wbGU= auth=\n", p.ID, at, event, nonce)
	}
	var got []byte
	patiently(ts, "no such answer", func() bool {
		var err error
		got, err = askSocket(context.Background(), ts.MkAbs("exipold.sock"), question, 5*time.Second)
		ts.Logf("%s -> %s %v", args[0], got, err)
		return err == nil && strings.Contains(string(got), args[1])
	})
}

// signal WORD SIGNAL sends a signal to the background commands with that word.
func sendSignal(ts *testscript.TestScript, _ bool, args []string) {
	number := map[string]syscall.Signal{"HUP": syscall.SIGHUP, "TERM": syscall.SIGTERM, "KILL": syscall.SIGKILL}[args[1]]
	for _, c := range ts.BackgroundCmds() {
		if strings.Contains(strings.Join(c.Args, " "), args[0]) {
			ts.Check(c.Process.Signal(number))
		}
	}
}

// logs FILE TEXT waits until a file holds a text.
func waitForText(ts *testscript.TestScript, _ bool, args []string) {
	patiently(ts, "the file never said so", func() bool {
		b, err := os.ReadFile(ts.MkAbs(args[0]))
		return err == nil && strings.Contains(string(b), args[1])
	})
}

func patiently(ts *testscript.TestScript, otherwise string, ok func() bool) {
	for end := time.Now().Add(30 * time.Second); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			ts.Fatalf("%s", otherwise)
		}
	}
}

// fakeExim answers -bP from EXIM_SAYS ("name = value;..."), as Exim prints options.
func fakeExim() {
	says := os.Getenv("EXIM_SAYS")
	if says == "" {
		fmt.Println("Exim configuration error in line 1")
		os.Exit(1)
	}
	_, _ = io.WriteString(os.Stdout, strings.ReplaceAll(says, ";", "\n")+"\n")
}
