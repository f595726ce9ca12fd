package emit

import (
	"bytes"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"exipol/generator/exim"
	"exipol/generator/plan"
	"exipol/generator/wire"
	"exipol/internal/eximtest"
)

// TestViewsHoldText walks the types that the templates of the Exim text see: no plain
// string, and nothing that could hide one.
func TestViewsHoldText(t *testing.T) {
	text := reflect.TypeFor[exim.Text]()
	seen := map[reflect.Type]bool{}
	var walk func(path string, typ reflect.Type)
	walk = func(path string, typ reflect.Type) {
		if seen[typ] || typ == text {
			return
		}
		seen[typ] = true
		switch typ.Kind() {
		case reflect.Bool, reflect.Int, reflect.Int64:
		case reflect.Pointer, reflect.Slice:
			walk(path, typ.Elem())
		case reflect.Struct:
			for f := range typ.Fields() {
				walk(path+"."+f.Name, f.Type)
			}
		default:
			t.Errorf("%s is a %s, not exim.Text", path, typ)
		}
	}
	walk("aclView", reflect.TypeFor[aclView]())
	walk("mainView", reflect.TypeFor[mainView]())
	if len(seen) < 10 {
		t.Errorf("only %d types were seen: is the walk broken?", len(seen))
	}
}

// hostilePlan says things that mean something to Exim in every place where the
// administrator's text reaches the Exim text.
func hostilePlan(t *testing.T) *plan.Plan {
	t.Helper()
	const bad = "LIMIT ${run{x}} $5 } { \\ \"q\" # : ; <\nsecond\\"
	p := everything("/run/LIMIT $x}/sock")
	p.Domains = []string{"+local_domains", "LIMIT.test", `^.*\.LIMIT\d$`}
	at := plan.Origin{File: "LIMIT \\\nacl_x:\n.hcl\\", Line: 7}
	for i := range p.Stages {
		if p.Stages[i].SiteACL != "" {
			p.Stages[i].SiteACL = "acl_LIMIT_" + p.Stages[i].Name
		}
	}
	for i := range p.Greylists {
		p.Greylists[i].Message, p.Greylists[i].Origin, p.Greylists[i].OnFailure = bad, at, plan.DeferMail
	}
	for i := range p.Limits {
		l := &p.Limits[i]
		l.Origin, l.OnFailure = at, plan.DeferMail
		for j := range l.Tiers {
			tier := &l.Tiers[j]
			tier.Origin = at
			if tier.Message != "" {
				tier.Message = bad
			}
			tier.AddHeader = append(tier.AddHeader, plan.Header{Name: "X-LIMIT", Value: []plan.Piece{{Text: strings.ReplaceAll(bad, "\n", " ")}}})
		}
	}
	if err := p.Seal(); err != nil {
		t.Fatal(err)
	}
	return p
}

// hostileOutbound does the same to a plan about mail that goes out.
func hostileOutbound(t *testing.T) *plan.Plan {
	t.Helper()
	const bad = "LIMIT ${run{x}} $5 } { \\ \"q\" # : ; <second\\"
	p := outbound("/run/LIMIT $x}/sock", "/run/LIMIT $x} {:/blocked\\")
	p.Domains, p.SubmissionMode.Domain = []string{"+local_domains", "LIMIT.test"}, "LIMIT.test"
	at := plan.Origin{File: "LIMIT \\\nacl_x:\n.hcl\\", Line: 7}
	for i := range p.Limits {
		l := &p.Limits[i]
		l.Origin = at
		for j := range l.Tiers {
			tier := &l.Tiers[j]
			if tier.Origin = at; tier.Message != "" {
				tier.Message = bad
			}
			if b := tier.Block; b != nil {
				b.Message = bad
				b.AddHeader = append(b.AddHeader, plan.Header{Name: "X-LIMIT", Value: []plan.Piece{{Text: bad}, {Field: "auth"}, {Text: bad}, {Text: "{x}"}}})
			}
		}
	}
	if err := p.Seal(); err != nil {
		t.Fatal(err)
	}
	return p
}

// TestTextIsSafe: whatever policies say, no line of the ACLs has a capital letter
// outside comments (a macro's name begins with one), a control character, or a
// backslash at its end.
func TestTextIsSafe(t *testing.T) {
	for name, p := range map[string]*plan.Plan{"all": everything("/run/x.sock"), "hostile": hostilePlan(t), "outbound": outbound("/run/x.sock", "/run/LIMIT/blocked"), "hostile outbound": hostileOutbound(t)} {
		text, err := aclText(p)
		if err != nil {
			t.Fatal(err)
		}
		all := header(p, []Source{{Name: "LIMIT\nacl_x:\\"}}) + text
		for i, line := range strings.Split(all, "\n") {
			if strings.ContainsFunc(line, func(r rune) bool { return r < ' ' || r == 0x7f }) || strings.HasSuffix(line, `\`) || strings.HasSuffix(line, " ") {
				t.Errorf("%s, line %d: %q", name, i+1, line)
			}
			if !strings.HasPrefix(strings.TrimLeft(line, " "), "#") && strings.ContainsFunc(line, func(r rune) bool { return r >= 'A' && r <= 'Z' }) {
				t.Errorf("%s, line %d has a capital: %s", name, i+1, line)
			}
		}
	}
}

// statement is a line that begins one, and what follows up to the next.
var statement = regexp.MustCompile(`^  (accept|deny|defer|drop|discard|require|warn)\b`)

// TestPlaces: a statement that one policy is the reason for stands under a comment
// that says where the policy is; and no policy or tier is left out.
func TestPlaces(t *testing.T) {
	p := everything("/run/x.sock")
	text, err := aclText(p)
	if err != nil {
		t.Fatal(err)
	}
	place := regexp.MustCompile(`^  # (all\.hcl:\d+) (\S+)`)
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		m := statement.FindStringSubmatch(line)
		if m == nil || m[1] == "accept" || m[1] == "warn" {
			continue
		}
		if !place.MatchString(lines[i-1]) {
			t.Errorf("line %d: above\n%s\nstands\n%s", i+1, line, lines[i-1])
		}
	}
	wanted := map[string]string{}
	for _, g := range p.Greylists {
		wanted[g.Ref()] = g.Origin.String()
	}
	for _, l := range p.Limits {
		if l.Engine == plan.EngineHelper {
			wanted[l.Ref()] = l.Origin.String() // in the list of whom a question is for
		}
		if l.Engine == plan.EngineHelper && l.Mode == plan.Observe {
			continue // its tiers do nothing
		}
		for _, tier := range l.Tiers {
			wanted[l.Ref()+"/"+tier.Name] = tier.Origin.String()
		}
	}
	for name, at := range wanted {
		if !strings.Contains(text, "# "+at+" "+name) && !strings.Contains(text, ", "+at+" "+name) {
			t.Errorf("no comment says %s %s", at, name)
		}
	}
}

// TestEximReadsIt: names and structure of the text of both plans, with the site's
// macros in the way.
func TestEximReadsIt(t *testing.T) {
	for name, p := range map[string]*plan.Plan{"all": everything("/run/x.sock"), "hostile": hostilePlan(t), "outbound": outbound("/run/x.sock", "/run/LIMIT/blocked"), "hostile outbound": hostileOutbound(t)} {
		b := eximtest.New(t, eximtest.Small)
		main, err := mainText(p)
		if err != nil {
			t.Fatal(err)
		}
		acl, err := aclText(p)
		if err != nil {
			t.Fatal(err)
		}
		b.Main = "LIMIT = \\\nACL = acl_x:\nX = ${run{x}}\n" + header(p, nil) + main
		b.ACL = header(p, nil) + acl
		if err := b.CheckConfig(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		// All ACLs of ours are really there, each begun once.
		for _, s := range p.Stages {
			if n := strings.Count(b.Config(), "\nexipol_"+s.Name+":\n"); n != 1 {
				t.Errorf("%s: exipol_%s is defined %d times", name, s.Name, n)
			}
			if s.Name == plan.Dkim || s.Name == plan.Delivery {
				continue // from 4.99 on, -bP does not show it; not every Exim has events
			}
			if got := b.Option(string(option(s.Name))); !strings.Contains(got, "exipol_"+s.Name) {
				t.Errorf("%s: %s", name, got)
			}
		}
	}
}

// TestFiles: all of them, once, the same bytes each time, the manifest last and true.
func TestFiles(t *testing.T) {
	sources := []Source{{Name: "b.hcl", SHA256: Sum([]byte("b"))}, {Name: "a.hcl", SHA256: Sum([]byte("a"))}}
	files, err := Files(everything("/run/x.sock"), sources, "1.2.3")
	if err != nil {
		t.Fatal(err)
	}
	again, err := Files(everything("/run/x.sock"), sources, "1.2.3")
	if err != nil || !reflect.DeepEqual(files, again) {
		t.Errorf("the second time is another: %v", err)
	}
	var names []string
	for _, f := range files {
		names = append(names, f.Name)
		if len(f.Data) == 0 || f.Data[len(f.Data)-1] != '\n' || bytes.Contains(f.Data, []byte("\r")) {
			t.Errorf("%s is no text file", f.Name)
		}
	}
	if want := []string{MainFile, ACLFile, SQLiteFile, MySQLFile, PlanFile, InstallFile, ManifestFile}; !slices.Equal(names, want) {
		t.Errorf("files %q, want %q", names, want)
	}
	last := files[len(files)-1]
	m, err := ReadManifest(last.Data)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files[:len(files)-1] {
		if m.Output(f.Name) != Sum(f.Data) {
			t.Errorf("the manifest has %q for %s", m.Output(f.Name), f.Name)
		}
	}
	if len(m.Outputs) != len(files)-1 || len(m.Inputs) != 2 || m.Inputs[0].Name != "a.hcl" || m.Plan != everything("/run/x.sock").ID {
		t.Errorf("manifest %+v", m)
	}
	if _, err := plan.Decode(bytes.NewReader(files[4].Data)); err != nil {
		t.Error(err)
	}
}

// TestRecipientAtData: a plan that asks at DATA only still knows the recipient, the
// first that was accepted, and none of the message before.
func TestRecipientAtData(t *testing.T) {
	p := everything("")
	volume := slices.IndexFunc(p.Limits, func(l plan.Limit) bool { return l.Name == "volume" })
	p.Limits, p.Greylists = p.Limits[volume:volume+1], nil
	data := p.Stages[len(p.Stages)-1]
	data.After = data.After[:1]
	p.Stages = []plan.Stage{{Name: plan.Rcpt, SiteACL: "acl_check_rcpt"}, data}
	b := eximtest.New(t, eximtest.Small)
	p.Socket = b.SocketPath("s")
	if err := p.Seal(); err != nil {
		t.Fatal(err)
	}
	h := eximtest.NewFakeHelper(t, p.Socket, eximtest.Says("accept", wire.Answer{Verdict: plan.Accept}.String()))
	var err error
	if b.Main, err = mainText(p); err != nil {
		t.Fatal(err)
	}
	if b.ACL, err = aclText(p); err != nil {
		t.Fatal(err)
	}
	s := b.BsSession(stranger)
	s.Ehlo("client.test")
	for _, to := range [][]string{{"nosuch@local.test", "Bob@local.test", "carol@local.test"}, {"dave@local.test"}} {
		if _, r := s.Mail("a@remote.test", to, "Subject: x\n\nx\n"); r.Code != 250 {
			t.Fatalf("%s", r)
		}
	}
	s.Quit()
	var got []string
	for _, text := range h.Questions() {
		q, err := wire.ParseQuestion([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, q.Recipient)
	}
	if want := []string{"bob@local.test", "dave@local.test"}; !slices.EqualFunc(got, want, strings.EqualFold) {
		t.Errorf("asked for %q, want %q", got, want)
	}
	b.CheckLogs()
}
