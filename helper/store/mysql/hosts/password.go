package hosts

import (
	"fmt"
	"os"
	"strings"
)

// maxPassword is more bytes than any server takes for a password.
const maxPassword = 4096

// ReadPassword reads a database user's password from a file of its own; one newline at
// its end is not part of it. Without a file's name there is no password. A file that others than its owner and
// its group can get at is an error that says the mend. Errors name the file, never what is in it.
func ReadPassword(file string) (string, error) {
	if file == "" {
		return "", nil
	}
	info, err := os.Stat(file) // before it is opened: that would wait at a pipe
	switch {
	case err != nil:
		return "", fmt.Errorf("password file: %w", err)
	case !info.Mode().IsRegular():
		return "", fmt.Errorf("password file %s: not a plain file", file)
	case info.Mode().Perm()&0o007 != 0:
		return "", fmt.Errorf("password file %s: others than its owner and group can get at it: run chmod o-rwx %s", file, file)
	case info.Size() > maxPassword:
		return "", fmt.Errorf("password file %s: longer than %d bytes", file, maxPassword)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("password file: %w", err)
	}
	password := strings.TrimSuffix(string(text), "\n")
	if strings.ContainsAny(password, "\x00\n") {
		return "", fmt.Errorf("password file %s: more than one line", file)
	}
	if password == "" {
		return "", fmt.Errorf("password file %s: it is empty", file)
	}
	return password, nil
}
