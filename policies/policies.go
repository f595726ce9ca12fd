// Package policies holds the ready-made policies: single files to put beside the
// site's own, and starter, the set that `exipol init` writes. A test builds each.
package policies

import "embed"

// Files are the policies as they are on disk: NAME.hcl, and starter/NAME.hcl.
//
//go:embed *.hcl starter/*.hcl
var Files embed.FS

// Starter is the directory of Files that `exipol init` writes.
const Starter = "starter"
