package templates

import (
	"embed"
	"strings"
	"text/template"
)

//go:embed install/*.txt
var installFiles embed.FS

// Install holds the pieces of INSTALL.txt, by file name: debian.txt, upstream.txt
// and custom.txt are the layouts, helper.txt is common to them, database.txt is for a
// store on a server.
var Install = template.Must(template.New("install").
	Option("missingkey=error").
	Funcs(template.FuncMap{"join": strings.Join}).
	ParseFS(installFiles, "install/*.txt"))
