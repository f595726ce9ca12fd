package mysql

import (
	"sync/atomic"

	"exipol/helper/engine"
)

// States of a request.
const (
	waiting   = iota // nobody has begun with it
	taken            // a writer has; its caller may give up all the same
	bound            // it is being written
	abandoned        // its caller has given up, and nothing of it is kept
)

// request is one update, or one batch. Exactly one of decide and batch is set.
type request struct {
	decide func(engine.State) ([]engine.Write, error)
	batch  func(engine.Transaction) error

	state  atomic.Int32
	left   bool           // the writer knows that it was abandoned
	writes []engine.Write // what decide asked for last
	err    error          // of decide
	answer chan error     // has room for one
}

// take begins with it, unless its caller has given up.
func (r *request) take() bool { return r.state.CompareAndSwap(waiting, taken) }

// bind keeps its caller from giving up, and says whether he had not.
func (r *request) bind() bool {
	return r.state.CompareAndSwap(taken, bound) || r.state.Load() == bound
}

// unbind lets him, after a rollback.
func (r *request) unbind() { r.state.CompareAndSwap(bound, taken) }

// abandon gives it up, and says whether it was not too late for that.
func (r *request) abandon() bool {
	return r.state.CompareAndSwap(waiting, abandoned) || r.state.CompareAndSwap(taken, abandoned)
}

// gone says whether its caller has given up.
func (r *request) gone() bool {
	r.left = r.left || r.state.Load() == abandoned
	return r.left
}
