package portable

// Lookups are the queries that are asked again and again, or of tables that may be large.
var Lookups = map[string]string{
	"a standing":         selectStanding,
	"a case":             selectCaseState,
	"a held message":     selectHeldRow,
	"a digest":           selectDigest,
	"open cases":         caseColumns + " WHERE c.state = 'open' ORDER BY c.id DESC",
	"one case":           caseColumns + " WHERE c.id = ?",
	"what is due":        "SELECT count(*) FROM (SELECT 1 FROM notice WHERE " + isDue + " LIMIT 1) AS one",
	"ended cases":        selectEnded,
	"old cases":          selectOld,
	"a case's held":      "SELECT 1 FROM held WHERE case_id = ? AND gone_at = 0",
	"a gateway's held":   "SELECT 1 FROM held WHERE gateway = ? AND gone_at = 0",
	"a case's last word": "SELECT coalesce(max(n) + 1, 0) FROM audit WHERE case_id = ?",
}
