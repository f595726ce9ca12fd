package queue

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"strings"
)

// Spool is Exim's spool_directory.
type Spool struct{ Dir string }

// Broken is a file of the spool that could not be read. Its message may be there.
type Broken struct {
	ID  string
	Err error
}

func (b *Broken) Error() string { return b.Err.Error() }
func (b *Broken) Unwrap() error { return b.Err }

// Messages are those in the queue, in no order, of named queues, too, and with split_spool_directory
// or without. A file that vanishes meanwhile is left out, for messages come and go. One that cannot be
// read comes as a *Broken, and the next follows; with any other error the rest is unknown.
func (s Spool) Messages(ctx context.Context) iter.Seq2[Message, error] {
	return func(yield func(Message, error) bool) {
		queues, err := s.queues()
		if err != nil {
			yield(Message{}, err)
			return
		}
		for _, queue := range queues {
			if !s.walk(ctx, queue, s.input(queue), true, yield) {
				return
			}
		}
	}
}

// Find looks for one message; ok is false where it is not in the queue. An error says nothing
// about whether it is.
func (s Spool) Find(id string) (m Message, ok bool, err error) {
	if !ValidID(id) {
		return m, false, fmt.Errorf("%q is no message's id", id)
	}
	queues, err := s.queues()
	if err != nil {
		return m, false, err
	}
	for _, queue := range queues {
		dir := s.input(queue)
		for _, d := range []string{dir, filepath.Join(dir, id[5:6])} {
			if m, ok, err = read(d, id, queue); ok || err != nil {
				return m, ok, err
			}
		}
	}
	return m, false, nil
}

func (s Spool) input(queue string) string { return filepath.Join(s.Dir, queue, "input") }

// queues are the usual one and those with names: the directories of the spool that have an
// "input" in them. A spool in which Exim has kept no message yet has none.
func (s Spool) queues() ([]string, error) {
	entries, err := os.ReadDir(s.Dir)
	if err != nil {
		return nil, fmt.Errorf("read the queue: %w", err)
	}
	queues := []string{""}
	for _, e := range entries {
		if !e.IsDir() || e.Name() == "input" {
			continue
		}
		if at, err := os.Stat(s.input(e.Name())); err == nil && at.IsDir() {
			queues = append(queues, e.Name())
		}
	}
	return queues, nil
}

// Check fails where the directory cannot be the spool of an Exim that has had messages: it lacks "input". An
// empty queue in the wrong place looks like one whose messages are all gone.
func (s Spool) Check() error {
	queues, err := s.queues()
	if err != nil || len(queues) > 1 {
		return err
	}
	if _, err := os.Stat(s.input("")); err != nil {
		return fmt.Errorf("%s is no spool that Exim has used; site.spool names it: %w", s.Dir, err)
	}
	return nil
}

// someNames is how many names of a directory are read at a time: queues can be very long.
const someNames = 1000

// walk yields the messages of a directory, and of those of one letter in it. It is false
// where nothing more is wanted.
func (s Spool) walk(ctx context.Context, queue, dir string, split bool, yield func(Message, error) bool) bool {
	d, err := os.Open(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return true
	}
	if err != nil {
		yield(Message{}, fmt.Errorf("read the queue: %w", err))
		return false
	}
	defer d.Close()
	for {
		names, err := d.ReadDir(someNames)
		for _, e := range names {
			if ctx.Err() != nil {
				yield(Message{}, ctx.Err())
				return false
			}
			if !s.entry(ctx, queue, dir, e, split, yield) {
				return false
			}
		}
		if errors.Is(err, io.EOF) {
			return true
		}
		if err != nil {
			yield(Message{}, fmt.Errorf("read the queue: %w", err))
			return false
		}
	}
}

func (s Spool) entry(ctx context.Context, queue, dir string, e fs.DirEntry, split bool, yield func(Message, error) bool) bool {
	name := e.Name()
	if e.IsDir() {
		return !split || len(name) != 1 || s.walk(ctx, queue, filepath.Join(dir, name), false, yield)
	}
	id, isHead := strings.CutSuffix(name, "-H")
	if !isHead || !ValidID(id) {
		return true
	}
	m, ok, err := read(dir, id, queue)
	if err != nil {
		return yield(Message{}, err)
	}
	return !ok || yield(m, nil)
}

// read reads one message; ok is false where it is not there.
func read(dir, id, queue string) (m Message, ok bool, err error) {
	f, err := os.Open(filepath.Join(dir, id+"-H"))
	if errors.Is(err, fs.ErrNotExist) {
		return m, false, nil
	}
	if err != nil {
		return m, false, &Broken{id, err}
	}
	defer f.Close()
	if m, err = parse(id, f); err != nil {
		return m, false, &Broken{id, err}
	}
	m.Queue = queue
	for _, half := range []string{"-H", "-D"} {
		if at, err := os.Lstat(filepath.Join(dir, id+half)); err == nil {
			m.Size += at.Size()
		}
	}
	return m, true, nil
}
