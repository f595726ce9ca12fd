package plan

// Names of the tables. They are named by shape, not by policy: a changed threshold,
// or one more limit, needs no change of the schema.
const (
	TableMeta      = "meta"
	TableAllowance = "allowance"
	TableSwitched  = "switched"
	TableLease     = "lease"
	TableGateway   = "gateway"
	TableSeen      = "seen"
	TableCounter   = "counter"
	TableDistinct  = "distinct_member"
	TableSample    = "sample"
	TableStanding  = "standing"
	TableCase      = "desk_case"
	TableEvidence  = "evidence"
	TableAudit     = "audit"
	TableHeld      = "held"
	TableNotice    = "notice"
	TableDigest    = "digest"
	TableArrival   = "arrival"
	TableLogEvent  = "log_event"
	TableLogPlace  = "log_place"
)

// Needs says which kinds of tables a set of policies needs besides those that all do.
type Needs struct {
	Counter  bool // a limit counts events
	Distinct bool // a limit counts distinct values
	Desk     bool // a tier blocks or notifies
	Log      bool // a limit counts what is read from the log
}

// Tables are the tables that a set of policies needs: always those for what is said
// at run time and for what was seen, and of the others those asked for. No name in them is a reserved
// word of SQLite, MySQL or MariaDB, so none needs quotes in either dialect. Times
// are Unix milliseconds, 0 for never; columns that end in _at hold them.
func Tables(needs Needs) []Table {
	tables := []Table{
		{
			Name:    TableMeta,
			Columns: []Column{{"name", Name}, {"value", Text}},
			Key:     []string{"name"},
		},
		{
			Name: TableAllowance,
			Columns: []Column{
				{"id", Int}, {"policy", Name}, {"field", Name}, {"pattern", Text},
				{"owner", Text}, {"why", Text}, {"made_at", Int}, {"until_at", Int},
			},
			Key: []string{"id"},
		},
		{
			Name: TableSwitched,
			Columns: []Column{
				{"policy", Name}, {"owner", Text}, {"why", Text}, {"made_at", Int}, {"until_at", Int},
			},
			Key: []string{"policy"},
		},
		{
			// What one process at a time does for all that share the store: whose turn it is.
			Name:    TableLease,
			Columns: []Column{{"name", Name}, {"holder", Name}, {"until_at", Int}},
			Key:     []string{"name"},
		},
		{
			// Who shares the store, and what each goes by. plans are the ids of the plans it answers
			// by, newest first, with spaces between them.
			Name: TableGateway,
			Columns: []Column{
				{"name", Name}, {"version", Name}, {"plans", Text}, {"started_at", Int}, {"seen_at", Int},
			},
			Key: []string{"name"},
		},
		{
			Name: TableSeen,
			Columns: []Column{
				{"policy", Name}, {"key_", Bytes}, {"first_at", Int}, {"passed_at", Int},
				{"passes", Int}, {"counted_at", Int}, {"expires_at", Int}, {"why", Text},
				{"who", Text},
			},
			Key:     []string{"policy", "key_"},
			Indexes: []Index{{"seen_expires", []string{"expires_at"}}},
		},
	}
	if needs.Counter {
		tables = append(tables, Table{
			Name: TableCounter,
			Columns: []Column{
				{"policy", Name}, {"span", Int}, {"key_", Bytes}, {"slot", Int},
				{"n", Int}, {"expires_at", Int},
			},
			Key:     []string{"policy", "span", "key_", "slot"},
			Indexes: []Index{{"counter_expires", []string{"expires_at"}}},
		})
	}
	if needs.Distinct {
		tables = append(tables, Table{
			Name: TableDistinct,
			Columns: []Column{
				{"policy", Name}, {"key_", Bytes}, {"member_", Bytes}, {"seen_at", Int}, {"expires_at", Int},
			},
			Key:     []string{"policy", "key_", "member_"},
			Indexes: []Index{{"distinct_expires", []string{"expires_at"}}},
		})
	}
	if needs.Desk {
		tables = append(tables, desk()...)
	}
	if needs.Log {
		tables = append(tables, log()...)
	}
	return tables
}

// desk are the tables of cases: how a key stands, what the desk knows and did, what is held in
// which gateway's queue, and what is to be told to whom.
func desk() []Table {
	return []Table{
		{
			// The last offences of a key, a ring of n: what a case takes as its evidence.
			Name: TableSample,
			Columns: []Column{
				{"policy", Name}, {"key_", Bytes}, {"n", Int}, {"seen_at", Int}, {"gateway", Name},
				{"message", Name}, {"address", Raw}, {"line", Raw}, {"expires_at", Int},
			},
			Key:     []string{"policy", "key_", "n"},
			Indexes: []Index{{"sample_expires", []string{"expires_at"}}},
		},
		{
			// How a key stands with a policy: one row, of its newest case. span_ms is for how long
			// after cleared_at, the last release, the policy would count what was before it.
			Name: TableStanding,
			Columns: []Column{
				{"policy", Name}, {"key_", Bytes}, {"case_id", Int}, {"tier", Name}, {"ranking", Int},
				{"blocks", Int}, {"since_at", Int}, {"until_at", Int}, {"released_at", Int}, {"cleared_at", Int},
				{"probation_at", Int}, {"span_ms", Int}, {"expires_at", Int},
			},
			Key:     []string{"policy", "key_"},
			Indexes: []Index{{"standing_expires", []string{"expires_at"}}},
		},
		{
			// It says for itself what its standing said: that is overwritten by the key's next case.
			Name: TableCase,
			Columns: []Column{
				{"id", Int}, {"policy", Name}, {"key_", Bytes}, {"tier", Name}, {"who", Raw}, {"owner", Bytes},
				{"opened_at", Int}, {"gateway", Name}, {"state", Name}, {"blocks", Int}, {"until_at", Int},
				{"queued", Int}, {"counted", Int}, {"rate", Text}, {"decided_at", Int}, {"expires_at", Int},
			},
			Key: []string{"id"},
			Indexes: []Index{
				{"case_state", []string{"state", "id"}}, {"case_until", []string{"state", "until_at"}},
				{"case_expires", []string{"expires_at"}},
			},
		},
		{
			Name: TableEvidence,
			Columns: []Column{
				{"case_id", Int}, {"n", Int}, {"seen_at", Int}, {"gateway", Name}, {"message", Name},
				{"address", Raw}, {"line", Raw},
			},
			Key: []string{"case_id", "n"},
		},
		{
			Name: TableAudit,
			Columns: []Column{
				{"case_id", Int}, {"n", Int}, {"made_at", Int}, {"gateway", Name}, {"who", Text}, {"did", Name}, {"why", Text},
			},
			Key: []string{"case_id", "n"},
		},
		{
			// A message that a block froze, in the queue of one gateway. wanted is what the desk
			// wants done with it: "" (keep), thaw or remove.
			Name: TableHeld,
			Columns: []Column{
				{"gateway", Name}, {"message", Name}, {"case_id", Int}, {"since_at", Int}, {"size", Int},
				{"wanted", Name}, {"gone_at", Int}, {"expires_at", Int},
			},
			Key:     []string{"gateway", "message"},
			Indexes: []Index{{"held_case", []string{"case_id", "gone_at"}}, {"held_expires", []string{"expires_at"}}},
		},
		{
			// What is to be told: one row for a case, a tier, and a receiver ("notice.desk", "owner").
			// It goes when its case goes; due_at is 0 when nothing is left to do.
			Name: TableNotice,
			Columns: []Column{
				{"case_id", Int}, {"tier", Name}, {"receiver", Name}, {"made_at", Int}, {"due_at", Int}, {"tries", Int},
				{"claimed_by", Name}, {"claimed_until", Int}, {"mailed_at", Int}, {"posted_at", Int}, {"error", Text},
			},
			Key:     []string{"case_id", "tier", "receiver"},
			Indexes: []Index{{"notice_due", []string{"due_at"}}},
		},
		{
			// When a receiver's digest goes out next, from when on it tells, and whose turn it is.
			Name: TableDigest,
			Columns: []Column{
				{"receiver", Name}, {"from_at", Int}, {"due_at", Int}, {"claimed_by", Name}, {"claimed_at", Int}, {"claimed_until", Int},
			},
			Key: []string{"receiver"},
		},
	}
}

// log are the tables of what is read from the log.
func log() []Table {
	return []Table{
		{
			// A message on its way, and whose it is.
			Name: TableArrival,
			Columns: []Column{
				{"gateway", Name}, {"message", Name}, {"traffic", Name}, {"auth", Raw}, {"login", Raw}, {"client", Name},
				{"helo", Raw}, {"sender", Raw}, {"came_at", Int}, {"expires_at", Int},
			},
			Key:     []string{"gateway", "message"},
			Indexes: []Index{{"arrival_expires", []string{"expires_at"}}},
		},
		{
			// An event that was counted: the same one never counts again. item tells those of one
			// message apart: the hash of a failed address, or of a line.
			Name: TableLogEvent,
			Columns: []Column{
				{"gateway", Name}, {"message", Name}, {"item", Bytes}, {"kind", Name}, {"owner", Bytes}, {"seen_at", Int}, {"expires_at", Int},
			},
			Key:     []string{"gateway", "message", "item"},
			Indexes: []Index{{"log_event_owner", []string{"owner", "kind", "seen_at"}}, {"log_event_expires", []string{"expires_at"}}},
		},
		{
			// How far a gateway has read a log.
			Name: TableLogPlace,
			Columns: []Column{
				{"gateway", Name}, {"log", Bytes}, {"place", Raw}, {"read_at", Int},
			},
			Key: []string{"gateway", "log"},
		},
	}
}

// Table is one table of the store. Column types are portable names that package
// ddl translates for each dialect.
type Table struct {
	Name    string   `json:"name"`
	Columns []Column `json:"columns"`
	Key     []string `json:"key"` // primary key
	Indexes []Index  `json:"indexes,omitempty"`
}

// Column types.
const (
	Name  = "name"  // a short ASCII identifier, up to 96 bytes
	Bytes = "bytes" // up to 255 bytes, compared byte by byte
	Int   = "int"   // 64 bits
	Text  = "text"  // text of any length, never part of a key
	Raw   = "raw"   // bytes of any length as they came in, never part of a key
)

// Column is one column; none is ever NULL.
type Column struct {
	Name string `json:"name"`
	Type string `json:"type"`
}

// Index is a secondary index.
type Index struct {
	Name    string   `json:"name"`
	Columns []string `json:"columns"`
}
