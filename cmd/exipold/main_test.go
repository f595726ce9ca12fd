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
	"exipol/helper/engine"
	"exipol/helper/store/sqlite"
	"exipol/helper/testplan"
	"exipol/internal/dnstest"
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
			"lean":   leanPlan,
			"debian": debianPlan,
			"dns":    startDNS,
			"grey":   greyPlan,
			"learn":  learnSome,
			"client": askAsClient,
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

// lean FILE writes a plan of greylists alone, which needs the tables that all do.
func leanPlan(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(writePlan(ts.Getenv("WORK"), args[0], lean))
}

func lean(p *plan.Plan) {
	p.Limits, p.Notices, p.Tables = nil, nil, plan.Tables(plan.Needs{})
	for i := range p.Stages {
		p.Stages[i].Before = nil
	}
}

// debian FILE LOG writes a plan of the layout debian, with Exim's log.
func debianPlan(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(writePlan(ts.Getenv("WORK"), args[0], func(p *plan.Plan) {
		p.Layout, p.Mainlog = "debian", []string{ts.MkAbs(args[1])}
	}))
}

// dns FILE starts a name server with the records of a file; $DNS is where it listens.
func startDNS(ts *testscript.TestScript, _ bool, args []string) {
	s, err := dnstest.New("127.0.0.1:0")
	ts.Check(err)
	ts.Defer(s.Close)
	ts.Check(s.Add(ts.ReadFile(args[0])))
	ts.Setenv("DNS", s.Address())
}

// grey FILE [pinned FILE] [gives NETWORK] [observe] [dead] writes a plan that asks $DNS: a greylist for
// clients without reverse DNS and of the list bl.example, a pool, and a list that learns.
func greyPlan(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(writePlan(ts.Getenv("WORK"), args[0], func(p *plan.Plan) {
		p.DNS = []string{ts.Getenv("DNS")}
		p.Pools = []plan.Pool{{Name: "big", SPF: []string{"_spf.big.example"}, Clients: []string{"203.0.113.0/28"}}}
		p.Lists = []plan.List{{
			Name: "friends", Origin: plan.Origin{File: "a.hcl", Line: 9}, Reviewed: "2020-01-01",
			Learn: []plan.Learn{{Traffic: plan.Submission, From: "recipient", Remember: plan.Duration(1440 * time.Hour)}},
			Entries: []plan.Entry{
				{Field: "client", Pattern: "198.51.100.0/24", Owner: "joe", Why: "ticket 4711"},
				{Field: "client", Pattern: "198.51.100.7/32", Until: "2020-02-02T00:00:00Z"},
				{Field: "client", Pattern: "198.51.100.8/32"},
			},
		}}
		g := &p.Greylists[0]
		g.Trust, p.Limits[1].Except = nil, nil
		g.Except = []plan.Ref{{Pool: "big"}, {List: "friends"}}
		g.Suspicious = []plan.Fact{{Name: plan.NoReverseDNS}, {Name: plan.DNSList, Arg: "bl.example"}}
		for i, word := range args {
			switch word {
			case "pinned":
				p.PoolsFile = ts.MkAbs(args[i+1])
			case "gives":
				p.Pools[0].Clients = args[i+1 : i+2]
			case "observe":
				g.Mode = plan.Observe
			case "dead":
				p.DNS = []string{"127.0.0.1:1"}
			}
		}
	}))
}

// learn writes into the store of plan.json what a submission would have taught the list.
func learnSome(ts *testscript.TestScript, _ bool, _ []string) {
	s, err := sqlite.Open(context.Background(), filepath.Join(ts.Getenv("WORK"), "exipol.db"), sqlite.Options{})
	ts.Check(err)
	ts.Check(s.Update(context.Background(), func(engine.State) ([]engine.Write, error) {
		row := engine.SeenRow{First: 1, Counted: 1, Expires: 1 << 50}
		return []engine.Write{engine.PutSeen{Policy: "list.friends", Key: "a@b.example", Row: row}, engine.PutSeen{Policy: "list.friends", Key: "@c.example", Row: row}}, nil
	}))
	ts.Check(s.Close())
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

// client IP NONCE WANT asks what the greylist says to a client, until the answer matches.
func askAsClient(ts *testscript.TestScript, _ bool, args []string) {
	p, err := plan.Decode(strings.NewReader(ts.ReadFile("plan.json")))
	ts.Check(err)
	question := fmt.Sprintf("v=1 plan=%s at=rcpt.after traffic=inbound events=recipient nonce=1.%s ip=%s helo= sender=YUBiLmV4YW1wbGU= rcpt=Y0BkLmV4YW1wbGU= auth=", p.ID, args[1], args[0])
	askCommandLine(ts, false, []string{question, args[2]})
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
