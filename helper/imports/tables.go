package imports

import (
	"bufio"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
)

// Bounce is a row of the table Bounces(msgid, auser, sender, tstamp).
type Bounce struct {
	Line    int
	Host    string // that logged it, "" where the id does not say
	Message string // Exim's id
	User    string // who was logged in, or else the sender
	Sender  string
	At      int64 // Unix seconds
}

// Offence is a row of the table Tarlist(IP, tstamp): an unknown recipient.
type Offence struct {
	Line   int
	Client netip.Addr
	At     int64 // Unix seconds
}

// The tables' columns, in their order.
var (
	bounces = []string{"msgid", "auser", "sender", "tstamp"}
	tarlist = []string{"ip", "tstamp"}
	iplist  = []string{"ip"}
)

// Bounces reads the table of that name: what mysqldump writes, or mysql -B with tabs.
func Bounces(r io.Reader, take func(Bounce) error, bad Bad) error {
	return rows(r, map[string][]string{"bounces": bounces}, bad, func(row row) error {
		at, ok := moment(row.value["tstamp"])
		if !ok {
			bad(row.line, "not a time: "+short(row.value["tstamp"]))
			return nil
		}
		b := Bounce{Line: row.line, Message: row.value["msgid"], User: row.value["auser"], Sender: row.value["sender"], At: at}
		// "host:id", and an id has no colon.
		if i := strings.LastIndexByte(b.Message, ':'); i >= 0 {
			b.Host, b.Message = b.Message[:i], b.Message[i+1:]
		}
		if b.Message == "" || b.User == "" {
			bad(row.line, "no message id, or nobody to blame")
			return nil
		}
		return take(b)
	})
}

// Tarlist reads the tables Tarlist, of offences, and IPlist, of clients that a greylisting lets in.
func Tarlist(r io.Reader, offence func(Offence) error, client func(Client) error, bad Bad) error {
	return rows(r, map[string][]string{"tarlist": tarlist, "iplist": iplist}, bad, func(row row) error {
		p, ok := network(row.value["ip"])
		if !ok {
			bad(row.line, "not an address: "+short(row.value["ip"]))
			return nil
		}
		if row.table == "iplist" {
			return client(Client{Line: row.line, Client: p})
		}
		at, ok := moment(row.value["tstamp"])
		if !ok || !p.IsSingleIP() {
			bad(row.line, "not an address and a time: "+short(row.value["ip"]+" "+row.value["tstamp"]))
			return nil
		}
		return offence(Offence{row.line, p.Addr(), at})
	})
}

// row is a row of one of the tables that were asked for, by column; names are in lower case.
type row struct {
	line  int
	table string
	value map[string]string
}

// rows reads SQL or lines with tabs, whichever it is.
func rows(r io.Reader, known map[string][]string, bad Bad, take func(row) error) error {
	in := bufio.NewReaderSize(r, longest)
	begin, err := in.Peek(512)
	if err != nil && len(begin) == 0 {
		if err == io.EOF {
			return nil
		}
		return fmt.Errorf("line 1: %w", err)
	}
	word, _, _ := strings.Cut(strings.TrimSpace(string(begin)), " ")
	word, _, _ = strings.Cut(word, "\n")
	if strings.HasPrefix(word, "--") || strings.HasPrefix(word, "/*") || slices.Contains([]string{"create", "insert", "replace", "drop", "lock", "set", "use"}, strings.ToLower(word)) {
		s := sql{in: in, line: 1, known: known, columns: map[string][]string{}, bad: bad, take: take}
		return s.read()
	}
	return tabbed(in, known, bad, take)
}

// tabbed reads what mysql -B writes: columns with tabs between, and their names in the first line (with -N none: then it is
// the table with as many columns).
func tabbed(in *bufio.Reader, known map[string][]string, bad Bad, take func(row) error) error {
	table, columns := "", []string(nil)
	return lines(in, bad, func(n int, line string) error {
		if line == "" {
			return nil
		}
		words := strings.Split(line, "\t")
		for i := range words {
			words[i] = unescape(words[i])
		}
		if table == "" {
			for name, all := range known {
				if len(all) != len(words) {
					continue
				}
				table, columns = name, all
				if slices.Equal(sorted(lower(words)), sorted(all)) {
					columns = lower(words)
					return nil
				}
			}
			if table == "" {
				bad(n, fmt.Sprintf("%d columns, which is none of the tables that were expected", len(words)))
				return nil
			}
		}
		if len(words) != len(columns) {
			bad(n, fmt.Sprintf("%d columns, not %d", len(words), len(columns)))
			return nil
		}
		return take(newRow(n, table, columns, words))
	})
}

func newRow(line int, table string, columns, values []string) row {
	out := row{line, table, map[string]string{}}
	for i, c := range columns {
		out.value[c] = values[i]
	}
	return out
}

func lower(words []string) []string {
	out := make([]string, len(words))
	for i, w := range words {
		out[i] = strings.ToLower(w)
	}
	return out
}

func sorted(words []string) []string { return slices.Sorted(slices.Values(words)) }

// unescape replaces what mysql -B writes for bytes that would break its lines.
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	return strings.NewReplacer(`\\`, `\`, `\t`, "\t", `\n`, "\n", `\0`, "\x00").Replace(s)
}
