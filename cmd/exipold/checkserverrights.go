package main

import (
	"cmp"
	"regexp"
	"slices"
	"strings"
)

// neededRights are what exipold's user needs on its database, as INSTALL.txt gives them.
var neededRights = []string{"SELECT", "INSERT", "UPDATE", "DELETE", "CREATE", "ALTER", "INDEX", "DROP"}

// harmlessRights are rights over the whole server that let nobody see or change anything of others'.
var harmlessRights = []string{"USAGE", "REPLICATION CLIENT", "BINLOG MONITOR", "SLAVE MONITOR", "REPLICA MONITOR"}

// grantForm is what SHOW GRANTS says of one grant: its rights, on what.
var grantForm = regexp.MustCompile("^GRANT (.+?) ON (?:TABLE )?(\\*|`(?:[^`]|``)*`)\\.(\\*|`(?:[^`]|``)*`) TO ")

// rights are what a user may do.
type rights struct {
	missing []string // of what it needs on its database
	server  []string // over the whole server, of what it does not need
	others  []string // databases of others that it may do something in
	roles   bool     // it has rights by roles, which do not say all that they give
}

// judgeRights reads what SHOW GRANTS says of who uses this database.
func judgeRights(grants []string, database string) (r rights) {
	var have []string
	for _, line := range grants {
		m := grantForm.FindStringSubmatch(line)
		if m == nil {
			r.roles = r.roles || strings.HasPrefix(line, "GRANT `")
			continue
		}
		list, where, table := splitRights(m[1]), unquoted(m[2]), unquoted(m[3])
		if strings.Contains(line[len(m[0]):], "WITH GRANT OPTION") {
			list = append(list, "GRANT OPTION")
		}
		switch {
		case where == "*":
			have = append(have, list...)
			for _, right := range list {
				if !slices.Contains(harmlessRights, right) {
					r.server = append(r.server, right)
				}
			}
		case table == "*" && likeDatabase(where, database):
			have = append(have, list...)
		case !likeDatabase(where, database):
			r.others = append(r.others, where)
		}
	}
	if !slices.Contains(have, "ALL PRIVILEGES") {
		for _, right := range neededRights {
			if !slices.Contains(have, right) {
				r.missing = append(r.missing, right)
			}
		}
	}
	slices.Sort(r.others)
	r.others = slices.Compact(r.others)
	return r
}

// splitRights takes "SELECT, INSERT (a, b), ALL PRIVILEGES" apart; a right on columns is none that counts here.
func splitRights(text string) (list []string) {
	depth, begin := 0, 0
	for i, c := range text + "," {
		switch {
		case c == '(':
			depth++
		case c == ')':
			depth--
		case c == ',' && depth == 0:
			if right := strings.TrimSpace(text[begin:min(i, len(text))]); !strings.Contains(right, "(") {
				list = append(list, right)
			}
			begin = i + 1
		}
	}
	return list
}

// unquoted is a name without its backquotes.
func unquoted(name string) string {
	if inner, quoted := strings.CutPrefix(name, "`"); quoted {
		return strings.ReplaceAll(strings.TrimSuffix(inner, "`"), "``", "`")
	}
	return name
}

// likeDatabase says whether a grant's pattern is for a database: in it _ is any character and % are any, but behind a
// backslash.
func likeDatabase(pattern, name string) bool {
	var re strings.Builder
	re.WriteString("(?s)^")
	escaped := false
	for _, c := range pattern {
		switch {
		case c == '\\' && !escaped:
			escaped = true
			continue
		case c == '_' && !escaped:
			re.WriteString(".")
		case c == '%' && !escaped:
			re.WriteString(".*")
		default:
			re.WriteString(regexp.QuoteMeta(string(c)))
		}
		escaped = false
	}
	matched, err := regexp.MatchString(re.String()+"$", name)
	return err == nil && matched
}

// grantWords is the statement that gives missing rights. Where the user comes from only the administrator knows.
func grantWords(missing []string, database, user string) string {
	return "as INSTALL.txt says, GRANT " + strings.Join(missing, ", ") + " ON `" + strings.ReplaceAll(database, "_", `\_`) + "`.* TO '" + cmp.Or(user, "exipol") + "'@..."
}
