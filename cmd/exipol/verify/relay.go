package verify

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"os/exec"
	"regexp"
	"strings"
)

// relayID has Exim expand relay_id, of no host. That it finds nothing, or cannot look where the site's
// gateways can, is no fault.
func (b *bench) relayID(ctx context.Context, expansion string) error {
	if expansion == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, sessionWait)
	defer cancel()
	cmd := exec.CommandContext(ctx, b.exim, "-C", b.config(), "-be")
	cmd.Stdin = strings.NewReader(expansion + "\n")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); ctx.Err() != nil {
		return fmt.Errorf("%s -be: %w", b.exim, cmp.Or(err, ctx.Err()))
	}
	_, failed, found := strings.Cut(out.String(), "Failed: ")
	if found && !elsewhere.MatchString(failed) {
		b.faults = append(b.faults, Fault{"expanding relay_id", b.clean(failed)})
	}
	return nil
}

// elsewhere is how Exim says of an expansion that it failed for what there is, not for what it is.
var elsewhere = regexp.MustCompile(`"fail" requested|failed to open |lookup of .* gave DEFER|: No such file or directory|: Permission denied`)
