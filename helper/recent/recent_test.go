package recent

import (
	"sync"
	"testing"
	"time"
)

func TestTime(t *testing.T) {
	c, now := New[string, int](10, 100), time.Unix(1e9, 0)
	c.Put("a", 1, 1, now.Add(time.Minute))
	if v, ok := c.Get("a", now.Add(59*time.Second)); !ok || v != 1 {
		t.Error("forgotten before its time")
	}
	if _, ok := c.Get("a", now.Add(time.Minute)); ok {
		t.Error("known after its time")
	}
	if c.Len() != 0 || c.used != 0 {
		t.Errorf("%d entries, cost %d, are left", c.Len(), c.used)
	}
}

func TestBounds(t *testing.T) {
	c, now := New[int, int](10, 100), time.Unix(1e9, 0)
	later := now.Add(time.Hour)
	for i := range 1000 {
		c.Put(i, i, 1, later)
	}
	if _, old := c.Get(989, now); c.Len() != 10 || old {
		t.Errorf("%d entries; the oldest is there: %v", c.Len(), old)
	}
	c.Put(2000, 1, 95, later)
	if v, ok := c.Get(2000, now); !ok || v != 1 || c.used > 100 || c.Len() != 6 {
		t.Errorf("%d entries cost %d", c.Len(), c.used)
	}
	c.Put(2000, 1, 101, later)
	if _, ok := c.Get(2000, now); ok || c.used > 100 {
		t.Error("something too dear is kept")
	}
	c.Put(999, 7, 1, later)
	if v, _ := c.Get(999, now); v != 7 || c.Len() != 5 {
		t.Errorf("put again: %d, %d entries", v, c.Len())
	}
}

func TestManyAtOnce(t *testing.T) {
	c, now := New[int, int](10, 100), time.Unix(1e9, 0)
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 1000 {
				c.Put(i%20, g, i%30, now.Add(time.Second))
				c.Get(i%20, now.Add(time.Duration(i%3)*time.Second))
			}
		})
	}
	wg.Wait()
	if c.Len() > 10 || c.used > 100 || c.used < 0 {
		t.Errorf("%d entries, cost %d", c.Len(), c.used)
	}
}
