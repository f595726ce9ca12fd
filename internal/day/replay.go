package day

import (
	"container/heap"
	"fmt"
	"slices"
	"time"
)

// Judge is a greylister that a day is replayed to. Its calls come in the order of time.
type Judge interface {
	// Name is for the tables.
	Name() string
	// Try says whether an attempt at that time is deferred.
	Try(now time.Time, a Attempt) (deferred bool, err error)
	// Sent tells of a message that one of the site's users sent.
	Sent(now time.Time, from, to string) error
}

// Outcome is what became of a message.
type Outcome struct {
	*Message
	Delivered bool
	Delay     time.Duration // of a message that was delivered: after its first attempt
}

// Replay has a judge meet a day: each message is tried again by its schedule until it
// is let in, the last of them days later. The outcomes are those of the day, in the
// order of the script, without its history.
func Replay(d *Day, j Judge) ([]Outcome, error) {
	queue := events{}
	for i, s := range d.Submissions {
		queue = append(queue, event{at: s.At, order: i, sent: &d.Submissions[i]})
	}
	out := make([]Outcome, len(d.Messages))
	for i, m := range d.Messages {
		out[i].Message = m
		queue = append(queue, event{at: m.Start, order: len(d.Submissions) + i, message: &out[i]})
	}
	heap.Init(&queue)
	for len(queue) > 0 {
		e := heap.Pop(&queue).(event)
		if e.sent != nil {
			if err := j.Sent(e.at, e.sent.From, e.sent.To); err != nil {
				return nil, fmt.Errorf("%s, %s: %w", j.Name(), e.at, err)
			}
			continue
		}
		deferred, err := j.Try(e.at, e.message.Tries[e.try].Attempt)
		if err != nil {
			return nil, fmt.Errorf("%s, %s, %s: %w", j.Name(), e.at, e.message.Kind.Name, err)
		}
		if !deferred {
			e.message.Delivered, e.message.Delay = true, e.message.Tries[e.try].After
			continue
		}
		if e.try++; e.try < len(e.message.Tries) {
			e.at = e.message.Start.Add(e.message.Tries[e.try].After)
			heap.Push(&queue, e)
		}
	}
	return slices.DeleteFunc(out, func(o Outcome) bool { return o.History }), nil
}

// event is something that happens at a time: a user sends something, or a message is
// tried.
type event struct {
	at      time.Time
	order   int // among those of the same time
	sent    *Submission
	message *Outcome
	try     int
}

type events []event

func (e events) Len() int      { return len(e) }
func (e events) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)   { *e = append(*e, x.(event)) }
func (e *events) Pop() any     { last := (*e)[len(*e)-1]; *e = (*e)[:len(*e)-1]; return last }
func (e events) Less(i, j int) bool {
	if !e[i].at.Equal(e[j].at) {
		return e[i].at.Before(e[j].at)
	}
	return e[i].order < e[j].order
}
