package sqlite

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	driver "modernc.org/sqlite"

	"exipol/helper/store"
)

// driverName is the name under which the driver's package registers itself.
const driverName = "sqlite"

// SQLite's primary result codes (https://sqlite.org/rescode.html) that mean
// something to the caller.
const (
	codeError    = 1
	codePerm     = 3
	codeBusy     = 5
	codeLocked   = 6
	codeReadOnly = 8
	codeIOErr    = 10
	codeCorrupt  = 11
	codeFull     = 13
	codeCantOpen = 14
	codeNotADB   = 26
)

// pragma is one setting of a connection.
type pragma struct{ name, value string }

// dataSource is the driver's name for a file with these settings. The path is
// absolute; as a URI no character of it can be taken for a setting.
func dataSource(path string, busy time.Duration, pragmas []pragma) string {
	var b strings.Builder
	b.WriteString("file:" + (&url.URL{Path: path}).EscapedPath())
	fmt.Fprintf(&b, "?_pragma=busy_timeout(%d)", busy.Milliseconds())
	for _, p := range pragmas {
		fmt.Fprintf(&b, "&_pragma=%s(%s)", p.name, p.value)
	}
	return b.String()
}

// classify puts the caller's word for an error before SQLite's own.
func classify(err error) error {
	if err == nil {
		return nil
	}
	if kind := kindOf(err); kind != nil {
		return fmt.Errorf("%w (%w)", kind, err)
	}
	return err
}

// kindOf is the store's error that a driver's error amounts to, nil for none of
// them and for one that was classified already.
func kindOf(err error) error {
	var e *driver.Error
	if !errors.As(err, &e) || isStoreError(err) {
		return nil
	}
	switch e.Code() & 0xff {
	case codeBusy, codeLocked:
		return store.ErrLocked
	case codeReadOnly, codePerm:
		return store.ErrReadOnly
	case codeIOErr, codeCantOpen:
		return store.ErrDisk
	case codeCorrupt, codeNotADB:
		return store.ErrCorrupt
	case codeFull:
		return store.ErrFull
	case codeError:
		if strings.Contains(e.Error(), "no such table") || strings.Contains(e.Error(), "no such column") {
			return store.ErrMissing
		}
	}
	return nil
}

// storeErrors are the kinds that classify gives.
var storeErrors = []error{store.ErrLocked, store.ErrReadOnly, store.ErrDisk, store.ErrCorrupt, store.ErrFull, store.ErrMissing}

func isStoreError(err error) bool {
	for _, kind := range storeErrors {
		if errors.Is(err, kind) {
			return true
		}
	}
	return false
}

// breaksConnection says whether an error may have ended the transaction by itself,
// so that nothing more may be done in it.
func breaksConnection(err error) bool {
	var e *driver.Error
	if !errors.As(err, &e) {
		return false
	}
	switch e.Code() & 0xff {
	case codeError:
		return false
	}
	return true
}
