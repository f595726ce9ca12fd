package queue_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"exipol/helper/queue"
)

// An Exim that hangs is asked to end, and is not given the rest.
func TestHang(t *testing.T) {
	dir := t.TempDir()
	exim := filepath.Join(dir, "exim")
	script := fmt.Sprintf("#!/bin/sh\ntrap 'echo ended >>%[1]s/said; exit 1' TERM\necho begun >>%[1]s/said\nwhile :; do sleep 0.05; done\n", dir)
	if err := os.WriteFile(exim, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	said := func() string {
		b, _ := os.ReadFile(filepath.Join(dir, "said"))
		return string(b)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	var messages []queue.Message
	for i := range 250 {
		messages = append(messages, queue.Message{ID: fmt.Sprintf("1aaaaa-%06d-00", i)})
	}
	if err := (queue.Exim{Path: exim}).Thaw(ctx, messages); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
	for end := time.Now().Add(20 * time.Second); !strings.Contains(said(), "ended"); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("it still runs: %q", said())
		}
	}
	if said() != "begun\nended\n" {
		t.Errorf("%q", said())
	}
}
