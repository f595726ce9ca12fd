package mysqltest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
)

// variable names the server's program in the environment, where it is not the one of
// this machine. What belongs to it is looked for beside it: the parent of the folder that it is
// in is its base folder (--basedir).
const variable = "EXIPOL_MYSQLD"

// howToInstall ends every message about something missing: these tests are never skipped.
const howToInstall = "install it with: apt-get install mariadb-server galera-4 rsync"

// program is a server's program: MariaDB's or MySQL's.
type program struct {
	path    string
	base    string // the folder that it is installed below, such as /usr
	version string // as it says itself
	maria   bool   // MariaDB and not MySQL
}

// find looks for the program once: the one that the variable names, else MariaDB's, else MySQL's.
var find = sync.OnceValues(func() (program, error) {
	path := os.Getenv(variable)
	if path == "" {
		path = look("mariadbd", "mysqld")
	}
	if path == "" {
		return program{}, fmt.Errorf("no database server on this machine (looked for mariadbd and mysqld); %s, or name one in the variable %s", howToInstall, variable)
	}
	out, err := exec.Command(path, "--no-defaults", "--version").Output() //nolint:gosec // who runs tests may name any program
	if err != nil {
		return program{}, fmt.Errorf("%s --version: %w; %s", path, err, howToInstall)
	}
	p := program{path: path, base: filepath.Dir(filepath.Dir(path)), version: strings.TrimSpace(string(out))}
	p.maria = strings.Contains(p.version, "MariaDB")
	return p, nil
})

// look returns the first of these programs that is in PATH or where systems keep servers, or "".
func look(names ...string) string {
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
		for _, dir := range []string{"/usr/sbin", "/usr/libexec", "/usr/local/sbin", "/usr/local/mysql/bin"} {
			path := filepath.Join(dir, name)
			if st, err := os.Stat(path); err == nil && st.Mode()&0o111 != 0 {
				return path
			}
		}
	}
	return ""
}

// environment is what the programs run with.
func environment(tmp string) []string {
	return []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "TZ=UTC", "LC_ALL=C", "TMPDIR=" + tmp, "HOME=" + tmp}
}
