package hosts

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/go-sql-driver/mysql"

	"exipol/helper/store"
)

// Numbers of the servers' errors that mean something to the caller. MariaDB and MySQL
// share those below 1900; above, each has its own.
const (
	erDiskFull         = 1021 // also of a temporary file
	erErrorOnWrite     = 1026
	erTableReadOnly    = 1036
	erTooManyConns     = 1040
	erDatabaseDenied   = 1044
	erAccessDenied     = 1045
	erUnknownCommand   = 1047 // a Galera node that is not ready says so to every statement
	erUnknownDatabase  = 1049
	erNoSuchColumn     = 1054
	erSyntax           = 1064
	erTableFull        = 1114
	erHostDenied       = 1130
	erTableDenied      = 1142
	erNoSuchTable      = 1146
	erDuringCommit     = 1180
	erLockWait         = 1205
	erDeadlock         = 1213
	erRecordChanged    = 1020 // of MariaDB's snapshot isolation: a deadlock in all but name
	erEngine           = 1030
	erOptionPrevents   = 1290 // --read-only, --super-read-only
	erReadOnlyTransact = 1792
	erReadOnlyMode     = 1836
)

// kinds are the store's errors by the server's numbers.
var kinds = map[uint16]error{
	erTooManyConns: store.ErrAway, 1203: store.ErrAway, 1226: store.ErrAway, // no connection left: of all, of this user, of its quota
	erUnknownCommand: store.ErrAway,
	1053:             store.ErrAway, 1077: store.ErrAway, 1079: store.ErrAway, // it shuts down
	1080: store.ErrAway, 1152: store.ErrAway, 1184: store.ErrAway, // it ended the connection
	1158: store.ErrAway, 1159: store.ErrAway, 1160: store.ErrAway, 1161: store.ErrAway, // it could not read, or write, to us
	1927: store.ErrAway, 3169: store.ErrAway, 4031: store.ErrAway, // the connection was killed, or was idle for too long

	erDatabaseDenied: store.ErrRefused, erAccessDenied: store.ErrRefused, erTableDenied: store.ErrRefused,
	erUnknownDatabase: store.ErrRefused, erHostDenied: store.ErrRefused,
	1129: store.ErrRefused, 1143: store.ErrRefused, 1227: store.ErrRefused, 1251: store.ErrRefused, 1698: store.ErrRefused,
	1820: store.ErrRefused, 1862: store.ErrRefused, 3118: store.ErrRefused, 4151: store.ErrRefused, // the password expired, the account is locked

	erNoSuchTable: store.ErrMissing, erNoSuchColumn: store.ErrMissing,

	erTableReadOnly: store.ErrReadOnly, erOptionPrevents: store.ErrReadOnly,
	erReadOnlyTransact: store.ErrReadOnly, erReadOnlyMode: store.ErrReadOnly,

	erDiskFull: store.ErrFull, erTableFull: store.ErrFull,
	erErrorOnWrite: store.ErrDisk, erEngine: store.ErrDisk, 3: store.ErrDisk, 1023: store.ErrDisk, 1598: store.ErrDisk, // the last is of the binary log
	1034: store.ErrCorrupt, 1194: store.ErrCorrupt, 1195: store.ErrCorrupt, 1712: store.ErrCorrupt, 1877: store.ErrCorrupt,

	erDeadlock: store.ErrConflict, erLockWait: store.ErrConflict, erRecordChanged: store.ErrConflict,
	3572: store.ErrConflict, // a lock was not there at once
}

// storeErrors are the kinds that Classify gives, and those that others have put before.
var storeErrors = []error{
	store.ErrAway, store.ErrRefused, store.ErrMissing, store.ErrReadOnly, store.ErrFull, store.ErrDisk, store.ErrCorrupt,
	store.ErrConflict, store.ErrUnknown, store.ErrLocked, store.ErrBusy, store.ErrClosed, store.ErrNewer, store.ErrForeign, store.ErrDecision,
}

// Classify puts the store's word for an error before the database's own. An error that
// has one already, that is none of the database's, or that means nothing to callers, comes back as it is.
func Classify(err error) error {
	kind := kindOf(err)
	if kind == nil {
		return err
	}
	for _, known := range storeErrors {
		if errors.Is(err, known) {
			return err
		}
	}
	return fmt.Errorf("%w (%w)", kind, err)
}

// kindOf is the store's error that the database's amounts to, nil for none.
func kindOf(err error) error {
	if e, ok := serverError(err); ok {
		kind := kinds[e.Number]
		if kind == store.ErrDisk && noSpace(e.Message) {
			return store.ErrFull
		}
		return kind
	}
	if Lost(err) {
		return store.ErrAway
	}
	return nil
}

// noSpace says whether the server's words for a failed write name the disk's, or the
// quota's, end: the number is the same for all causes.
func noSpace(words string) bool {
	for _, cause := range []string{"Errcode: 28", "errno: 28", "error 28", "No space left", "Errcode: 122", "errno: 122", "error 122", "quota"} {
		if strings.Contains(words, cause) {
			return true
		}
	}
	return false
}

// Retry says whether the database gave a transaction up for the sake of others: after a
// ROLLBACK nothing of it is kept, and it can be run again from its beginning. So it is with a
// deadlock, with a lock that was not to be had, and with a Galera commit whose rows another node had changed.
func Retry(err error) bool {
	e, ok := serverError(err)
	if !ok {
		return false
	}
	switch e.Number {
	case erDeadlock, erLockWait, erRecordChanged, 3572:
		return true
	case erDuringCommit: // of several causes; this is one
		return strings.Contains(strings.ToLower(e.Message), "deadlock")
	}
	return false
}

// Lost says whether the connection is gone, or was given up because no answer came in
// time. Where that happens to a COMMIT, nobody knows whether it was done.
func Lost(err error) bool {
	if err == nil || errors.Is(err, context.Canceled) {
		return false
	}
	if e, ok := serverError(err); ok {
		switch e.Number {
		case 1053, 1077, 1079, 1080, 1152, 1158, 1159, 1160, 1161, 1184, 1927, 3169, 4031:
			return true
		}
		return false
	}
	for _, gone := range []error{
		mysql.ErrInvalidConn, driver.ErrBadConn, sql.ErrConnDone, context.DeadlineExceeded,
		mysql.ErrMalformPkt, mysql.ErrPktSync, mysql.ErrPktSyncMul,
		io.EOF, io.ErrUnexpectedEOF, io.ErrShortWrite, net.ErrClosed,
	} {
		if errors.Is(err, gone) {
			return true
		}
	}
	var network net.Error
	return errors.As(err, &network)
}

// serverError is what a server itself said.
func serverError(err error) (*mysql.MySQLError, bool) {
	var e *mysql.MySQLError
	return e, errors.As(err, &e)
}

// said tells whether err is a server's error of one of these numbers.
func said(err error, numbers ...uint16) bool {
	e, ok := serverError(err)
	if !ok {
		return false
	}
	for _, n := range numbers {
		if e.Number == n {
			return true
		}
	}
	return false
}
