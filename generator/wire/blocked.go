package wire

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// BlockedKey is the key, in the file of blocks in force (plan.Plan.Blocked), of what a policy
// blocks: its Ref and the parts of the key, in its order, as Exim has them. It is hashed, because
// the file is one of Exim's lsearch files, in whose keys no colon and no blank could stand. In
// lower case, as hex is; Exim writes capitals, and its lsearch takes both.
//
// A part is the authenticated id or the local login as it is, an owner's name with its kind
// ("auth:x", "user:x", "relay:x"), or a client's whole address (netip.Addr.String).
func BlockedKey(ref string, parts ...string) string {
	sum := sha256.Sum256([]byte(ref + "\n" + strings.Join(parts, "\n")))
	return hex.EncodeToString(sum[:])
}

// BlockedExpression expands to a BlockedKey: parts are the expansions of its parts.
func BlockedExpression(ref string, parts ...string) string {
	return `${sha256:` + ref + `\n` + strings.Join(parts, `\n`) + `}`
}
