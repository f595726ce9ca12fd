package mysqltest

import "time"

// Option is how a server is to be, other than small and plain.
type Option func(*options)

type options struct {
	args    []string // for the server's program
	bounded bool     // the disk is
	room    int64    // and so many bytes are left; negative: as many as there are
	names   []string // in its certificate; none: no TLS
	plain   bool     // no TLS, whatever the server has by itself
	ahead   time.Duration
}

// WithArgs gives the server's program more options, such as "--max-connections=10". They come after all others, and
// so win over them.
func WithArgs(args ...string) Option {
	return func(o *options) { o.args = append(o.args, args...) }
}
