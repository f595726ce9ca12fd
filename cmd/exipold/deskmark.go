package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"exipol/generator/plan"
	"exipol/helper/owner"
)

// deskMark is what exipold desk leaves beside the store, for the doctor: who does the desk's work on this host, and
// with what rights. The file is locked as long as the process lives, however it ends.
type deskMark struct {
	Process int       `json:"process"`
	User    int       `json:"user"`
	Groups  []int     `json:"groups"`
	Gateway string    `json:"gateway"`
	Plan    string    `json:"plan"`
	Started time.Time `json:"started"`
	NoMore  bool      `json:"no_new_privileges"` // so that Exim cannot become root for it

	runs bool // it lives
}

// markFile is the file's name, of the desk on this host by plans of that store.
func markFile(p *plan.Plan) string { return filepath.Join(ownDir(p), "desk.json") }

// leaveMark leaves the mark of this process, until the function that it returns is called. Several processes can do
// the desk's work at a time (one by hand beside the service): the mark is the last one's, and locked
// while any lives.
func leaveMark(p *plan.Plan, gateway string) (leave func(), err error) {
	file := markFile(p)
	f, err := os.OpenFile(file, os.O_RDWR|os.O_CREATE, 0o640)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			f.Close()
		}
	}()
	owner.Inherit(file)
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB); err != nil {
		return nil, fmt.Errorf("lock %s: %w", file, err)
	}
	m := deskMark{
		Process: os.Getpid(), User: os.Geteuid(), Groups: []int{os.Getegid()}, Gateway: gateway, Plan: p.ID,
		Started: time.Now().UTC().Truncate(time.Second), NoMore: noNewPrivileges(),
	}
	if others, err := os.Getgroups(); err == nil {
		m.Groups = append(m.Groups, others...)
	}
	b, err := json.Marshal(m)
	if err == nil {
		err = f.Truncate(0)
	}
	if err == nil {
		_, err = f.WriteAt(append(b, '\n'), 0)
	}
	return func() { f.Close() }, err
}

// readMark reads it; nil where nobody ever did the desk's work here.
func readMark(p *plan.Plan) (*deskMark, error) {
	f, err := os.Open(markFile(p))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var m deskMark
	if err := json.NewDecoder(f).Decode(&m); err != nil {
		return nil, fmt.Errorf("%s: %w", f.Name(), err)
	}
	// Whoever lives shares the lock, and nobody else gets it for himself alone.
	m.runs = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) != nil
	return &m, nil
}

// noNewPrivileges says whether the kernel lets what this process runs gain no rights, as far as it says so.
func noNewPrivileges() bool {
	b, err := os.ReadFile("/proc/self/status")
	return err == nil && strings.Contains(string(b), "\nNoNewPrivs:\t1\n")
}
