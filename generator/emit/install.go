package emit

import (
	"fmt"
	"path"
	"regexp"
	"strings"

	"exipol/generator/plan"
	"exipol/templates"
)

// debianHook is the macro through which new ACLs enter Debian's configuration: the
// file that it names is included at the end of an ACL.
const debianHook = "LOCAL_DENY_EXCEPTIONS_LOCAL_ACL_FILE"

// installStage is a stage as INSTALL.txt speaks of it.
type installStage struct {
	Name    string
	Option  string // "acl_smtp_rcpt"
	SiteACL string // "" where the policies name none
}

// installData is what the templates of INSTALL.txt may print.
type installData struct {
	Plan, Dir, Exim     string
	Group               string         // Exim's, for a shell
	KnowsGroup          bool           // it is a name, not a variable that a command sets
	StoreDir            string         // directory of the store's file, where the units do not make it
	SocketDir, StateDir string         // directories of the socket and of the store's file
	Remembered          []string       // commands that delete what exipold knew
	Overrides           []string       // what the units need to be told, as a section and a setting
	Stages              []installStage //
	Wrapped, Unwrapped  []installStage // with and without an ACL of the site's
	Macros              []string       // Debian: definitions in exipol.main
	Direct              []installStage // Debian: stages that have no macro
	Options             []string       // other layouts: the site's lines that exipol.main replaces
	Restore             []string       // and those to write again afterwards
	Outputs             []string       // what the directory may hold of exipol's
	Dkim                bool           // signatures are judged

	Desk, Holds bool     // some tier opens cases; some block freezes
	Logs        []string // what exipold follows
	Blocked     string   // the file of blocks that Exim reads; "" where it never does
	Events      bool     // Exim tells of failed deliveries
	EventAction string   // how
	NotSMTP     bool
	Auth        bool

	Database *databaseData // nil where the store is a file
}

// databaseData is what the steps for a store on a server may print.
type databaseData struct {
	Name, User   string
	Hosts        []string
	PasswordFile string // "" where the server goes by which user of the system asks
	PasswordDir  string
	CAFile       string // "" where none is named
	Accounts     string // lines: the user, as the server knows it from where it may come
	Create       string // the same, with how it is known: what stands behind CREATE USER
	Far          bool   // it may come from any host
}

// The paths that exipold's units know.
const (
	unitSocket   = "/run/exipol/exipold.sock"
	unitStoreDir = "/var/lib/exipol"
)

// installText is INSTALL.txt: the steps for this layout, and only for the stages
// that this plan uses.
func installText(p *plan.Plan) (string, error) {
	d := installData{Plan: p.ID, Dir: p.Directory, Group: "$group", Exim: "/usr/sbin/exim"}
	if p.Layout == "debian" {
		d.Group, d.KnowsGroup, d.Exim = "Debian-exim", true, "/usr/sbin/exim4"
	}
	d.SocketDir, d.StateDir = path.Dir(p.Socket), stateDir(p)
	d.Remembered = forget(p)
	if p.Socket != unitSocket {
		d.Overrides = append(d.Overrides, "[Socket]", "ListenStream=", "ListenStream="+p.Socket)
	}
	if d.StateDir != unitStoreDir {
		d.StoreDir = d.StateDir
		d.Overrides = append(d.Overrides, "[Service]", "ReadWritePaths="+d.StateDir)
	}
	if p.Store.Kind == plan.MySQL {
		d.Database = database(p.Store)
	}
	d.Outputs = []string{MainFile, ACLFile, SQLiteFile, MySQLFile, PlanFile, InstallFile, ManifestFile}
	if d.outbound(p); d.Blocked != "" && !own(d.StateDir) {
		d.Remembered = append(d.Remembered, "rm -f "+d.Blocked)
	}
	for _, s := range p.Stages {
		if s.Name != plan.Delivery { // which is no ACL
			d.add(installStage{Name: s.Name, Option: string(option(s.Name)), SiteACL: s.SiteACL})
		}
	}
	d.Macros = append(d.Macros, fmt.Sprintf("%s = %s/%s", debianHook, p.Directory, ACLFile))

	name := p.Layout + ".txt"
	if templates.Install.Lookup(name) == nil {
		name = "custom.txt"
	}
	var b strings.Builder
	if err := templates.Install.ExecuteTemplate(&b, name, d); err != nil {
		return "", fmt.Errorf("print the installation steps: %w", err)
	}
	return blankLines.ReplaceAllString(b.String(), "\n\n"), nil
}

// outbound is what policies about mail that goes out need besides.
func (d *installData) outbound(p *plan.Plan) {
	d.EventAction = string(eventAction)
	log := false
	for i := range p.Limits {
		l := &p.Limits[i]
		d.Desk = d.Desk || l.Mode != plan.Observe && desk(l)
		for _, t := range l.Tiers {
			d.Holds = d.Holds || l.Mode != plan.Observe && t.Block != nil && t.Block.Verdict == plan.Freeze
		}
		for _, w := range l.Events {
			log = log || plan.Events[w.Event].Log && (w.Event != plan.Bounce || p.Source != plan.FromEvent)
		}
	}
	if log {
		d.Logs = p.Mainlog
	}
	_, d.Events = p.Stage(plan.Delivery)
	_, d.NotSMTP = p.Stage(plan.NotSMTP)
	_, d.Auth = p.Stage(plan.Auth)
	if text, err := aclText(p); err == nil && strings.Contains(text, "\nexipol_last_known:\n") {
		d.Blocked = p.Blocked
	}
}

// stateDir is where exipold keeps its own files: beside its store, where that is a file, and
// in any case beside the file of blocks.
func stateDir(p *plan.Plan) string {
	if p.Store.Kind == plan.MySQL {
		return path.Dir(p.Blocked)
	}
	return path.Dir(p.Store.Path)
}

// blankLines is what sections that say nothing leave behind.
var blankLines = regexp.MustCompile(`\n{3,}`)

// own tells whether a directory is exipol's by its name. Any other may hold what is
// somebody else's (/run, say): it is neither given to exipold nor deleted.
func own(dir string) bool { return strings.Contains(path.Base(dir), "exipol") }

// Unless is what goes before the command that makes a directory.
func (installData) Unless(dir string) string {
	if own(dir) {
		return ""
	}
	return "test -d " + dir + " || "
}

// StageNames lists the stages, after a text of 40 columns, in lines of at most 79.
func (d installData) StageNames() string {
	var b strings.Builder
	column := 40
	for i, s := range d.Stages {
		name := s.Name
		if i < len(d.Stages)-1 {
			name += ","
		}
		switch {
		case i == 0:
		case column+1+len(name) > 79:
			b.WriteString("\n")
			column = 0
		default:
			b.WriteString(" ")
			column++
		}
		b.WriteString(name)
		column += len(name)
	}
	return b.String()
}

// forget is the commands that delete what exipold has written.
func forget(p *plan.Plan) []string {
	state, socket := stateDir(p), path.Dir(p.Socket)
	var commands []string
	switch {
	case own(state):
		commands = append(commands, "rm -rf "+state)
	case p.Store.Kind == plan.MySQL:
		commands = append(commands, "rm -rf "+state+"/plans "+state+"/pools.json")
	default:
		commands = append(commands, "rm -f "+p.Store.Path+"*", "rm -rf "+state+"/plans "+state+"/pools.json")
	}
	if own(socket) && socket != state {
		commands = append(commands, "rm -rf "+socket)
	}
	return commands
}

// add files a stage under everything that the templates say of it.
func (d *installData) add(s installStage) {
	d.Dkim = d.Dkim || s.Name == plan.Dkim
	d.Stages = append(d.Stages, s)
	if macro, ok := debianMacros[s.Name]; ok {
		d.Macros = append(d.Macros, fmt.Sprintf("%s = exipol_%s", macro, s.Name))
	} else {
		d.Direct = append(d.Direct, s)
	}
	if s.SiteACL == "" {
		d.Unwrapped = append(d.Unwrapped, s)
		d.Options = append(d.Options, s.Option+" = ...")
		return
	}
	d.Wrapped = append(d.Wrapped, s)
	d.Options = append(d.Options, s.Option+" = "+s.SiteACL)
	d.Restore = append(d.Restore, s.Option+" = "+s.SiteACL)
}
