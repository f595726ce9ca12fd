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

// mainText is the content of exipol.main, without the header: what makes Exim use
// the ACLs.
func mainText(p *plan.Plan) (string, error) {
	v := mainView{Debian: p.Layout == "debian", Directory: exim.Text(p.Directory)}
	for _, s := range p.Stages {
		if macro, ok := debianMacros[s.Name]; ok && v.Debian {
			v.Macros = append(v.Macros, macroView{macro, exim.Text(s.Name)})
		} else {
			o := optionView{Stage: exim.Text(s.Name)}
			if s.Name == plan.Dkim {
				o.Have = "_HAVE_DKIM" // Exim can be built without (Exim specification, "Macros in the configuration file")
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
