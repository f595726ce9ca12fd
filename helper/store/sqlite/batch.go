package sqlite

import (
	"context"
	"fmt"

	"exipol/helper/engine"
	"exipol/helper/store/portable"
)

// Batch implements engine.Store. It keeps its place among the updates, which wait while it
// runs: f is to take milliseconds, not seconds. Lookups do not wait. A panic of f is an error.
//
// Once f has begun, Batch comes back only after it, so that f may keep what it found where its
// caller can read it. Where the context ends meanwhile, the next Apply fails with its error, and
// nothing is kept.
func (s *Store) Batch(ctx context.Context, f func(engine.Transaction) error) error {
	return s.submit(ctx, &request{batch: func(t *transaction) error {
		t.ctx = ctx
		if err := f(t); err != nil {
			return err
		}
		if err := t.fit(); err != nil {
			return fmt.Errorf("store %s: %w", s.path, err)
		}
		return nil
	}})
}

// transaction is engine.Transaction over the writer's session.
type transaction struct {
	state
	ctx    context.Context
	writes []engine.Write // all so far
	failed error          // of the first Apply that failed: nothing may be kept any more
}

// fit is why the transaction can not go on.
func (t *transaction) fit() error {
	if t.failed != nil {
		return t.failed
	}
	return t.ctx.Err()
}

// Apply implements engine.Transaction. After an error the whole batch fails, whatever f makes of it.
func (t *transaction) Apply(writes []engine.Write) error {
	if err := t.fit(); err != nil {
		return err
	}
	for _, w := range writes {
		if t.failed = portable.CheckWrite(w); t.failed != nil {
			return t.failed
		}
	}
	t.writes = append(t.writes, writes...)
	for _, w := range writes {
		if t.failed = t.s.write(t.c, w); t.failed != nil {
			return t.failed
		}
	}
	return nil
}
