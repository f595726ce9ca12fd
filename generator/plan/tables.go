package plan

// Names of the tables. They are named by shape, not by policy: a changed threshold,
// or one more limit, needs no change of the schema.
const (
	TableMeta      = "meta"
	TableAllowance = "allowance"
	TableSwitched  = "switched"
	TableSeen      = "seen"
	TableCounter   = "counter"
	TableDistinct  = "distinct_member"
)

// Tables are the tables that a set of policies needs: always those for what is said
// at run time, and of the other three those asked for. No name in them is a reserved
// word of SQLite, MySQL or MariaDB, so none needs quotes in either dialect. Times
// are Unix milliseconds, 0 for never; columns that end in _at hold them.
func Tables(needGreylist, needCounter, needDistinct bool) []Table {
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
	}
	if needGreylist {
		tables = append(tables, Table{
			Name: TableSeen,
			Columns: []Column{
				{"policy", Name}, {"key_", Bytes}, {"first_at", Int}, {"passed_at", Int},
				{"passes", Int}, {"counted_at", Int}, {"expires_at", Int}, {"why", Text},
				{"who", Text},
			},
			Key:     []string{"policy", "key_"},
			Indexes: []Index{{"seen_expires", []string{"expires_at"}}},
		})
	}
	if needCounter {
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
	if needDistinct {
		tables = append(tables, Table{
			Name: TableDistinct,
			Columns: []Column{
				{"policy", Name}, {"key_", Bytes}, {"member_", Bytes}, {"seen_at", Int}, {"expires_at", Int},
			},
			Key:     []string{"policy", "key_", "member_"},
			Indexes: []Index{{"distinct_expires", []string{"expires_at"}}},
		})
	}
	return tables
}
