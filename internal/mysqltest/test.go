package mysqltest

// T is what a server needs of a test: *testing.T, *testing.B, and what is run like one.
type T interface {
	Helper()
	Logf(format string, args ...any)
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
	Failed() bool
	Cleanup(func())
}
