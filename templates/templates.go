// Package templates holds the layout of the generated Exim text, as text that an
// Exim administrator recognises. The values come from package emit, quoted.
package templates

import (
	"embed"
	"text/template"
)

//go:embed exim/*.tmpl
var files embed.FS

// Exim parses the templates of the Exim text. Their names are "acl.tmpl" and
// "main.tmpl".
func Exim() *template.Template {
	return template.Must(template.New("exim").Option("missingkey=error").ParseFS(files, "exim/*.tmpl"))
}
