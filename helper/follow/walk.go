package follow

import (
	"context"
	"errors"
	"io/fs"
	"slices"
)

// state is what a round came to, if not to lines.
type state int

const (
	again     state = iota // something was done: go on at once
	unsettled              // files are moving, or there seems to be a gap: that will clear up
	stuck                  // there is trouble, which may last for ever
	atEnd                  // all that is there was read
)

// mostOpen bounds the files that are held open for late writers.
const mostOpen = 8

// round delivers what is there, late lines first; else it goes on to the next file.
func (r *Reader) round(ctx context.Context) (b Batch, st state, err error) {
	if len(r.open) == 0 {
		st, err = r.resume(ctx)
	} else if b, st, err = r.read(ctx); len(b.Lines) == 0 && st == atEnd && err == nil {
		r.prune()
		st, err = r.step(ctx)
	}
	if errors.Is(err, errUnsettled) && !r.doubts.lasts(err.Error(), r.opt.Patience) {
		st, err = unsettled, nil
	}
	r.doubts.forget()
	return b, st, err
}

// read reads from the files that are open.
func (r *Reader) read(ctx context.Context) (Batch, state, error) {
	for i, s := range r.open {
		lines, cut, err := s.lines(ctx, r.calls)
		switch {
		case ctx.Err() != nil && len(lines) == 0:
			return Batch{}, stuck, ctx.Err()
		case errors.Is(err, errEmptied):
			r.gaps = append(r.gaps, Gap{Why: Emptied, Name: s.path})
			r.reset = true
			r.restart()
			return Batch{}, again, nil
		case err != nil:
			st, err := r.failed(ctx, s, err)
			return Batch{}, st, err
		case len(lines) > 0:
			if i < len(r.open)-1 {
				s.linger(r.opt.Linger)
			}
			return Batch{Lines: lines, Cut: cut, Name: s.path}, again, nil
		}
	}
	clear(r.sick)
	return Batch{}, atEnd, nil
}

// failed decides what to do about a file that cannot be read: wait, if it is the
// newest; else wait for a while, and give it up.
func (r *Reader) failed(ctx context.Context, s *source, why error) (state, error) {
	if s == r.open[len(r.open)-1] {
		if _, to, _, err := r.ahead(ctx); to < 0 || err != nil {
			return stuck, why
		}
	}
	if !r.sick.lasts(why.Error(), moreForUnreadable*r.opt.Patience) {
		if s.packed != "" {
			r.restart() // for no stream can be read once more
		}
		return unsettled, why
	}
	s.broken = true
	r.gaps = append(r.gaps, Gap{Why: Unreadable, Name: s.path, Err: why})
	return again, nil
}

// resume opens the files of a position.
func (r *Reader) resume(ctx context.Context) (state, error) {
	files, err := r.names.list(ctx, r.disk)
	if err != nil {
		return stuck, err
	}
	if len(files) == 0 {
		return stuck, &fs.PathError{Op: "open", Path: r.opt.Path, Err: fs.ErrNotExist}
	}
	p := choose(r.from, files)
	if r.reset {
		p.gaps = slices.DeleteFunc(p.gaps, func(g Gap) bool { return g.Why == Emptied })
	}
	lost := slices.ContainsFunc(p.gaps, func(g Gap) bool { return g.Why == Lost })
	switch {
	case lost && files[len(files)-1].err != nil:
		return stuck, files[len(files)-1].err // that may be the one
	case lost && p.fresh < 0:
		return atEnd, nil // and nothing came after it
	}
	for _, pick := range p.picks {
		if st, err := r.reopen(ctx, files, pick, &p.gaps); st != again {
			_ = r.Close()
			return st, err
		}
	}
	if p.fresh >= 0 {
		st, err := r.enter(files, p.fresh, p.gaps)
		if st != again {
			_ = r.Close()
		}
		return st, err
	}
	r.entered(p.gaps)
	return again, nil
}

// reopen opens one file of a position.
func (r *Reader) reopen(ctx context.Context, files []file, p pick, gaps *[]Gap) (state, error) {
	f := files[p.file]
	s, err := resumeSource(ctx, r.disk, p, f, r.limits())
	switch {
	case err == nil:
	case ctx.Err() != nil || errors.Is(err, errUnsettled):
		return stuck, err
	case errors.Is(err, errChanged):
		gap := Gap{Why: Changed, Name: f.path}
		if !r.sure(gap) {
			return unsettled, nil // perhaps it was being emptied
		}
		if s, err = openSource(r.disk, f, r.limits()); err != nil {
			return stuck, err
		}
		*gaps = append(*gaps, gap)
	case p.file == len(files)-1:
		return stuck, err
	default:
		gap := Gap{Why: Unreadable, Name: f.path, Err: err}
		if !r.sure(gap) {
			return unsettled, err
		}
		s = &source{file: f, kept: &p.mark, broken: true}
		*gaps = append(*gaps, gap)
	}
	s.linger(r.opt.Linger)
	r.open = append(r.open, s)
	return again, nil
}

// step goes on to the next file, if there is one.
func (r *Reader) step(ctx context.Context) (state, error) {
	newest, err := r.atNewest(ctx)
	if err != nil {
		return stuck, err
	}
	if newest {
		return atEnd, nil
	}
	files, to, gaps, err := r.ahead(ctx)
	switch {
	case err != nil:
		return stuck, err
	case len(r.open) == 0:
		return again, nil
	case to < 0:
		return atEnd, nil
	}
	return r.enter(files, to, gaps)
}

// atNewest says whether the last open file is the newest: the usual answer, for which it is
// enough to look at one name or, with dated ones, at all names.
func (r *Reader) atNewest(ctx context.Context) (bool, error) {
	s := r.open[len(r.open)-1]
	if r.names.digits == 0 {
		info, err := r.disk.Stat(r.opt.Path)
		if err == nil {
			if dev, ino := identify(info); s.isNode(dev, ino) {
				return true, nil
			}
		} else if !errors.Is(err, fs.ErrNotExist) {
			return false, err
		}
	}
	files, err := r.names.scan(ctx, r.disk)
	if err != nil {
		return false, err
	}
	return len(files) == 0 || files[len(files)-1].isNode(s.dev, s.ino), nil
}

// ahead finds the file that comes after the last open one, or -1.
func (r *Reader) ahead(ctx context.Context) (files []file, to int, gaps []Gap, err error) {
	files, err = r.names.list(ctx, r.disk)
	if err != nil {
		return nil, -1, nil, err
	}
	at, held, lost := -1, true, ""
	for i := len(r.open) - 1; i >= 0 && at < 0; i-- {
		s := r.open[i]
		m := s.mark()
		if at = node(s.dev, s.ino, files); at < 0 && m.Offset > 0 {
			held = false
			at, _ = find(m, files)
			if at < 0 && lost == "" {
				lost = s.path
			}
		}
	}
	switch {
	case lost != "":
		to = begin(files, at+1, r.Position().After)
		return files, to, []Gap{{Why: Lost, Name: lost}}, nil
	case at < 0: // no line of them was read, and they are gone
		r.restart()
		return nil, -1, nil, nil
	}
	to, hole := next(files, at)
	if to < 0 && !held && files[at].packed == "" {
		r.restart() // somebody put a copy in its place, which will be written to
		return nil, -1, nil, nil
	}
	if hole {
		gaps = []Gap{{Why: Missing, Name: files[at].path}}
	}
	return files, to, gaps, nil
}

// enter opens files[to] at its beginning or, where it stays unreadable, the one after it.
func (r *Reader) enter(files []file, to int, gaps []Gap) (state, error) {
	var why error
	for files[to].err != nil {
		f := files[to]
		after, hole := next(files, to)
		if after < 0 {
			return stuck, f.err
		}
		gap := Gap{Why: Unreadable, Name: f.path, Err: f.err}
		if gaps = append(gaps, gap); hole {
			gaps = append(gaps, Gap{Why: Missing, Name: f.path})
		}
		if why == nil {
			why = f.err
		}
		to = after
	}
	if !r.sure(gaps...) {
		return unsettled, why
	}
	s, err := openSource(r.disk, files[to], r.limits())
	if err != nil {
		return stuck, err
	}
	if n := len(r.open); n > 0 {
		r.open[n-1].linger(r.opt.Linger)
	}
	r.open = append(r.open, s)
	r.entered(gaps)
	return again, nil
}

// entered notes that a way on was found.
func (r *Reader) entered(gaps []Gap) {
	r.gaps = append(r.gaps, gaps...)
	r.reset = false
}

func (r *Reader) limits() limits { return limits{r.opt.Lines, r.opt.Bytes, r.opt.Line, r.opt.Keep} }

// prune closes files to which nothing can come any more, but not those that are needed to
// say where to go on.
func (r *Reader) prune() {
	kept := r.open[:0]
	for i, s := range r.open {
		needed := s.mark().Offset > 0 && !slices.ContainsFunc(r.open[i+1:], func(s *source) bool { return s.mark().Offset > 0 })
		if i == len(r.open)-1 || needed || !s.finished() && len(r.open)-i <= mostOpen {
			kept = append(kept, s)
			continue
		}
		if s.unfinished() > 0 && !s.broken {
			r.gaps = append(r.gaps, Gap{Why: Unfinished, Name: s.path})
		}
		_ = s.close()
	}
	clear(r.open[len(kept):])
	r.open = kept
}
