package helper

import (
	"sync"
	"syscall"
	"time"
)

// roomFor is for how long it is remembered how much of a disk is free.
const roomFor = 5 * time.Second

// room is how much of the disk that holds a directory is free.
type room struct {
	dir   string
	clock func() time.Time
	look  func(dir string) (percent int64, ok bool)

	mu      sync.Mutex
	at      time.Time
	percent int64
	ok      bool
}

// free is how many percent are, for those who are not root; ok is false where nobody knows.
func (r *room) free() (percent int64, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now := r.clock(); r.at.IsZero() || now.Sub(r.at) >= roomFor || now.Before(r.at) {
		r.at = now
		r.percent, r.ok = r.look(r.dir)
	}
	return r.percent, r.ok
}

// diskFree asks the file system.
func diskFree(dir string) (percent int64, ok bool) {
	var st syscall.Statfs_t
	if dir == "" || syscall.Statfs(dir, &st) != nil || st.Blocks == 0 {
		return 0, false
	}
	return int64(uint64(st.Bavail) * 100 / uint64(st.Blocks)), true
}
