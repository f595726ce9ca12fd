package hosts

import (
	"context"
	"crypto/x509"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"

	"github.com/go-sql-driver/mysql"

	"exipol/helper/store"
)

func serverSays(number uint16, words string) error {
	return fmt.Errorf("in a statement: %w", &mysql.MySQLError{Number: number, Message: words})
}

func TestErrors(t *testing.T) {
	network := fmt.Errorf("x: %w", &net.OpError{Op: "dial", Err: errors.New("connect: connection refused")})
	for _, c := range []struct {
		err         error
		kind        error // nil: none
		retry, lost bool
	}{
		{nil, nil, false, false},
		{serverSays(1213, "Deadlock found when trying to get lock"), store.ErrConflict, true, false},
		{serverSays(1205, "Lock wait timeout exceeded"), store.ErrConflict, true, false},
		{serverSays(1020, "Record has changed since last read"), store.ErrConflict, true, false},
		{serverSays(1180, "Got error 149 \"Lock deadlock; Retry transaction\" during COMMIT"), nil, true, false},
		{serverSays(1180, "Got error 90 \"Message too long\" during COMMIT"), nil, false, false},
		{serverSays(1062, "Duplicate entry"), nil, false, false},
		{serverSays(1406, "Data too long"), nil, false, false},
		{serverSays(1146, "Table 'x.meta' doesn't exist"), store.ErrMissing, false, false},
		{serverSays(1054, "Unknown column"), store.ErrMissing, false, false},
		{serverSays(1290, "The MariaDB server is running with the --read-only option"), store.ErrReadOnly, false, false},
		{serverSays(1045, "Access denied for user"), store.ErrRefused, false, false},
		{serverSays(1049, "Unknown database"), store.ErrRefused, false, false},
		{serverSays(1142, "INSERT command denied"), store.ErrRefused, false, false},
		{serverSays(1047, "WSREP has not yet prepared node for application use"), store.ErrAway, false, false},
		{serverSays(1040, "Too many connections"), store.ErrAway, false, false},
		{serverSays(1053, "Server shutdown in progress"), store.ErrAway, false, true},
		{serverSays(1927, "Connection was killed"), store.ErrAway, false, true},
		{serverSays(1114, "The table 'seen' is full"), store.ErrFull, false, false},
		{serverSays(1030, "Got error 28 \"No space left on device\" from storage engine InnoDB"), store.ErrFull, false, false},
		{serverSays(1030, "Got error 168 \"Unknown (generic) error from engine\""), store.ErrDisk, false, false},
		{serverSays(1026, "Error writing file 'binlog' (Errcode: 28 \"No space left on device\")"), store.ErrFull, false, false},
		{serverSays(1712, "Index seen is corrupted"), store.ErrCorrupt, false, false},
		{mysql.ErrInvalidConn, store.ErrAway, false, true},
		{driver.ErrBadConn, store.ErrAway, false, true},
		{sql.ErrConnDone, store.ErrAway, false, true},
		{io.ErrUnexpectedEOF, store.ErrAway, false, true},
		{network, store.ErrAway, false, true},
		{fmt.Errorf("commit: %w", context.DeadlineExceeded), store.ErrAway, false, true},
		{context.Canceled, nil, false, false},
		{sql.ErrNoRows, nil, false, false},
		{x509.UnknownAuthorityError{}, nil, false, false},
	} {
		got := Classify(c.err)
		if !errors.Is(got, c.err) {
			t.Errorf("%v: %v has lost it", c.err, got)
		}
		for _, kind := range storeErrors {
			if errors.Is(got, kind) != (kind == c.kind) {
				t.Errorf("%v: %v, want %v", c.err, got, c.kind)
			}
		}
		if again := Classify(got); again != got {
			t.Errorf("classified twice: %v", again)
		}
		if retry := Retry(got); retry != c.retry {
			t.Errorf("%v: retry %v, want %v", c.err, retry, c.retry)
		}
		if lost := Lost(got); lost != c.lost {
			t.Errorf("%v: lost %v, want %v", c.err, lost, c.lost)
		}
	}
	unknown := fmt.Errorf("%w: %w", store.ErrUnknown, mysql.ErrInvalidConn)
	if Classify(unknown) != unknown {
		t.Error("an error that has a word of the store's got another")
	}
}
