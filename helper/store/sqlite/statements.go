package sqlite

// statement names one of the statements of the hot path, which each connection
// prepares once, when it first needs it.
type statement int

const (
	begin statement = iota
	commit
	rollback
	getSeen
	getCount
	getDistinct
	putSeen
	addCount
	putDistinct
	getVersion
	getStanding
	getHeld
	getKnown
	getBounces
	getArrival
	putSample
	putEvent
	putArrival
	dropArrival
	putPlace
	statements
)

// Each query gives exactly one row, also where there is nothing: a statement that
// has given its row and was not asked for more keeps its connection's snapshot.
var statementText = [statements]string{
	begin:    "BEGIN IMMEDIATE",
	commit:   "COMMIT",
	rollback: "ROLLBACK",
	getSeen: `SELECT first_at, passed_at, passes, counted_at, expires_at, why, who FROM seen WHERE policy = ? AND key_ = ?
		UNION ALL SELECT 0, 0, 0, 0, -1, '', ''`,
	getCount: `SELECT coalesce(sum(n), 0) FROM counter WHERE policy = ? AND span = ? AND key_ = ? AND slot BETWEEN ? AND ?`,
	getDistinct: `SELECT count(*), coalesce((SELECT seen_at FROM distinct_member WHERE policy = ? AND key_ = ? AND member_ = ? AND seen_at BETWEEN ? AND ?), 0)
		FROM (SELECT 1 FROM distinct_member WHERE policy = ? AND key_ = ? AND seen_at BETWEEN ? AND ? LIMIT ?)`,
	putSeen: `INSERT INTO seen (policy, key_, first_at, passed_at, passes, counted_at, expires_at, why, who) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (policy, key_) DO UPDATE SET first_at = excluded.first_at, passed_at = excluded.passed_at,
		passes = excluded.passes, counted_at = excluded.counted_at, expires_at = excluded.expires_at, why = excluded.why, who = excluded.who`,
	addCount: `INSERT INTO counter (policy, span, key_, slot, n, expires_at) VALUES (?, ?, ?, ?, ?, ?)
		ON CONFLICT (policy, span, key_, slot) DO UPDATE SET n = n + excluded.n, expires_at = max(expires_at, excluded.expires_at)`,
	putDistinct: `INSERT INTO distinct_member (policy, key_, member_, seen_at, expires_at) VALUES (?, ?, ?, ?, ?)
		ON CONFLICT (policy, key_, member_) DO UPDATE SET seen_at = excluded.seen_at, expires_at = excluded.expires_at`,
	getVersion: "PRAGMA data_version",

	getStanding: `SELECT case_id, tier, ranking, blocks, since_at, until_at, released_at, cleared_at, probation_at FROM standing
		WHERE policy = ? AND key_ = ? UNION ALL SELECT 0, '', 0, 0, 0, 0, 0, 0, 0`,
	getHeld:    "SELECT count(*) FROM held WHERE case_id = ? AND gone_at = 0",
	getKnown:   "SELECT count(*) FROM log_event WHERE gateway = ? AND message = ? AND item = ?",
	getBounces: "SELECT count(*) FROM log_event WHERE owner = ? AND kind = ? AND seen_at >= ?",
	getArrival: `SELECT traffic, auth, login, client, helo, sender, came_at, 1 FROM arrival WHERE gateway = ? AND message = ?
		UNION ALL SELECT '', x'', x'', '', x'', x'', 0, 0`,

	putSample: `INSERT INTO sample (policy, key_, n, seen_at, gateway, message, address, line, expires_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (policy, key_, n) DO UPDATE SET seen_at = excluded.seen_at, gateway = excluded.gateway, message = excluded.message,
		address = excluded.address, line = excluded.line, expires_at = excluded.expires_at`,
	putEvent: `INSERT INTO log_event (gateway, message, item, kind, owner, seen_at, expires_at) VALUES (?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (gateway, message, item) DO NOTHING`,
	putArrival: `INSERT INTO arrival (gateway, message, traffic, auth, login, client, helo, sender, came_at, expires_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (gateway, message) DO UPDATE SET traffic = excluded.traffic, auth = excluded.auth, login = excluded.login,
		client = excluded.client, helo = excluded.helo, sender = excluded.sender, came_at = excluded.came_at, expires_at = excluded.expires_at`,
	dropArrival: "DELETE FROM arrival WHERE gateway = ? AND message = ?",
	putPlace: `INSERT INTO log_place (gateway, log, place, read_at) VALUES (?, ?, ?, ?)
		ON CONFLICT (gateway, log) DO UPDATE SET place = excluded.place, read_at = excluded.read_at`,
}
