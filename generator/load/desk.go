package load

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"exipol/generator/diag"
	"exipol/generator/language"
	"exipol/generator/plan"
	"exipol/generator/policy"
)

// notice reads whom to tell.
func (l *loader) notice(b *hcl.Block) *policy.Notice {
	c := l.content(b, language.Root.Block("notice"))
	n := &policy.Notice{
		Name: c.name, DeclRange: c.at,
		Mail:    l.distinct("mail", readList(l, c, "mail", field.mailbox)),
		Webhook: read(l, c, "webhook", field.url),
		Digest:  l.duration(c, "digest"),
	}
	if !l.faulty(c) && len(n.Mail) == 0 && !n.Webhook.Set {
		code := "EP106"
		if c.attrs["mail"] != nil {
			code = "EP123"
		}
		l.fail(code, c.at, "this notice tells nobody: it has neither mail nor webhook", "It needs at least one of them.", "for example: mail = [site.admin]")
	}
	if l.faulty(c) {
		return nil
	}
	return n
}

// receivers reads a tier's notify.
func (l *loader) receivers(c *content) []policy.Notified {
	var out []policy.Notified
	for _, e := range l.static(c, "notify", "receivers", "[notice.desk]") {
		word, at, ok := bare(e)
		if !ok {
			l.notBare(e, "notice.NAME or owner", "notice.desk")
			continue
		}
		if !l.receiver(word, at) {
			continue
		}
		if i := slices.IndexFunc(out, func(was policy.Notified) bool { return was.Ref == word }); i >= 0 {
			l.add(diag.Diagnostic{
				Code: "EP107", Severity: diag.Error, Subject: at,
				Summary: fmt.Sprintf("%s stands in notify twice", word),
				Notes:   []diag.Note{{Text: "it is here already", Range: out[i].Range}},
			})
			continue
		}
		out = append(out, policy.Notified{Ref: word, Range: at})
	}
	return out
}

// receiver says whether a word names somebody who can be told, and reports where not.
func (l *loader) receiver(word string, at hcl.Range) bool {
	kind, name, _ := strings.Cut(word, ".")
	if word == plan.NotifyOwner {
		return true
	}
	if kind == "notice" && name != "" && !strings.Contains(name, ".") {
		return l.exists("notice", name, nil, at, l.notices)
	}
	help := "expected notice.NAME, or owner"
	if declared, ok := l.notices[word]; ok {
		help = fmt.Sprintf("did you mean notice.%s%s?", word, l.declaredAt(declared))
	}
	if kind == "site" || kind == "var" || kind == "local" {
		help = fmt.Sprintf("an address stands in a notice: notice \"desk\" { mail = [%s] }", word)
	}
	l.fail("EP104", at, fmt.Sprintf("%q is nobody to tell", word), "", help)
	return false
}

// stateBlock reads a tier's block, the state that it puts a key into.
func (l *loader) stateBlock(tier *content) *policy.Block {
	c := l.block(tier, "block")
	b := &policy.Block{
		DeclRange: c.at,
		At:        l.word(c, "at"),
		Until:     read(l, c, "until", field.end),
		Verdict:   policy.Value[string]{Range: c.at},
		Message:   policy.Value[string]{Range: c.at},
		Queued:    l.word(c, "queued"),
		AddHeader: l.headers(c),
	}
	if v := l.only(c, true, "freeze", "defer", "deny"); v != "" {
		inner := l.block(c, v)
		b.Verdict = policy.Value[string]{V: v, Range: inner.at, Set: true}
		if v == plan.Freeze {
			b.Most, b.Free = l.number(inner, "most"), read(l, inner, "free", field.percent)
		} else {
			b.Message = l.text(inner, "message")
		}
	}
	if p := l.block(c, "probation"); p != nil {
		b.Probation = &policy.Probation{DeclRange: p.at, Lasts: l.duration(p, "lasts"), Share: read(l, p, "share", field.percent)}
	}
	return b
}

// released is how an end is written that only a human brings about.
const released = "released"

// end reads when a block ends; 0 is when somebody releases it.
func (f field) end() (plan.Duration, bool) {
	s, isText := "", false
	if isString(f.val) {
		s, isText = f.val.AsString(), true
	}
	if s == released {
		return 0, true
	}
	if isText && nearest(s, []string{released}) != "" {
		f.fail("EP110", fmt.Sprintf("%q is neither a time nor %q", s, released), fmt.Sprintf("did you mean %q?", released))
		return 0, false
	}
	d, ok := f.duration()
	if ok && d == 0 {
		f.fail("EP110", fmt.Sprintf("%s is no time at all", f.arg.Name), fmt.Sprintf("%q is until somebody releases it", released))
		return 0, false
	}
	return d, ok
}

// percent reads a percentage, in whole percent.
func (f field) percent() (int64, bool) {
	const form = `a whole number from 1 to 99 with a percent sign, in double quotes: "50%"`
	if !isString(f.val) {
		f.wrongType("a percentage", form)
		return 0, false
	}
	s := f.val.AsString()
	digits, percent := strings.CutSuffix(s, "%")
	if !percent || digits == "" || len(digits) > 2 || strings.Trim(digits, "0123456789") != "" || strings.Trim(digits, "0") == "" {
		f.fail("EP121", fmt.Sprintf("%q is not a percentage", s), form)
		return 0, false
	}
	n := int64(0)
	for _, c := range digits {
		n = n*10 + int64(c-'0')
	}
	return n, true
}

// longestURL is more than any address of a webhook has, in bytes.
const longestURL = 2000

// url reads the address of a webhook.
func (f field) url() (string, bool) {
	s, ok := f.str()
	if !ok {
		return "", false
	}
	u, err := url.Parse(s)
	help := `for example: "https://desk.example.com/hook"`
	switch {
	case err == nil && u.User != nil:
		help = "without a user and a password: the plan would show them"
	case err == nil && u.Host != "" && (u.Scheme == "https" || u.Scheme == "http") && u.Fragment == "" && len(s) <= longestURL &&
		!strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune("\"<>\\^`{|}", r) }):
		return s, true
	}
	f.fail("EP120", fmt.Sprintf("%q is not an address that a notice can be posted to", s), help)
	return "", false
}

// isString says whether a value is a text.
func isString(v cty.Value) bool { return v.Type() == cty.String && !v.IsNull() }
