package emit

import (
	"fmt"
	"strings"

	"exipol/generator/exim"
	"exipol/generator/plan"
	"exipol/templates"
)

// debianMacros are the macros by which Debian's configuration names its ACLs
// (conf.d/main/02_exim4-config_options).
var debianMacros = map[string]exim.Text{
	plan.Mail: "MAIN_ACL_CHECK_MAIL",
	plan.Rcpt: "MAIN_ACL_CHECK_RCPT",
	plan.Data: "MAIN_ACL_CHECK_DATA",
}

// option is the main option that a stage's ACL belongs to.
func option(stage string) exim.Text {
	switch stage {
	case plan.NotSMTP:
		return "acl_not_smtp"
	case plan.Delivery:
		return "event_action"
	}
	return "acl_smtp_" + exim.Text(stage)
}

// mainText is the content of exipol.main, without the header: what makes Exim use
// the ACLs.
func mainText(p *plan.Plan) (string, error) {
	v := mainView{Debian: p.Layout == "debian", Directory: exim.Text(p.Directory)}
	for _, s := range p.Stages {
		if macro, ok := debianMacros[s.Name]; ok && v.Debian {
			v.Macros = append(v.Macros, macroView{macro, exim.Text(s.Name)})
		} else {
			o := optionView{Name: option(s.Name), Value: "exipol_" + exim.Text(s.Name)}
			// Exim can be built without (Exim specification, "Macros in the configuration file").
			switch s.Name {
			case plan.Dkim:
				o.Have = "_HAVE_DKIM"
			case plan.Delivery:
				o.Have, o.Value = "_HAVE_EVENT", eventAction
			}
			v.Options = append(v.Options, o)
		}
	}
	var b strings.Builder
	if err := templates.Exim().ExecuteTemplate(&b, "main.tmpl", v); err != nil {
		return "", fmt.Errorf("print the main options: %w", err)
	}
	return b.String(), nil
}

// comment makes text fit for a comment line.
func comment(s string) exim.Text { return exim.Comment(s) }
