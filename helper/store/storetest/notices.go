package storetest

import (
	"fmt"
	"sync"
	"testing"

	"exipol/helper/store"
)

func testNotices(t *testing.T, s Store) {
	ctx := t.Context()
	claim := func(gateway string, now, until int64, most int) []store.Notice {
		t.Helper()
		all, err := s.ClaimNotices(ctx, gateway, now, until, most)
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	Do(t, s, open("k", 10), open("l", 20))
	if all := claim("a", 9, 99, 10); len(all) != 0 {
		t.Errorf("before they are due: %+v", all)
	}
	all := claim("a", 15, 30, 10)
	want := store.Notice{Case: 1, Tier: "stop", Receiver: "notice.desk", Made: 10, Due: 10}
	if len(all) != 2 || all[0] != want {
		t.Fatalf("%+v, want %+v first", all, want)
	}
	if all := claim("b", 29, 99, 1); len(all) != 1 || all[0].Case != 2 {
		t.Errorf("claimed twice: %+v", all)
	}
	// Who claimed it died: another takes it. One part is told, the other is tried again later.
	all = claim("b", 30, 60, 1)
	if len(all) != 1 || all[0] != want {
		t.Fatalf("%+v", all)
	}
	all[0].Mailed, all[0].Tries, all[0].Error, all[0].Due = 31, 1, "no route", 50
	if err := s.SettleNotice(ctx, all[0]); err != nil {
		t.Fatal(err)
	}
	want.Mailed, want.Tries, want.Error, want.Due = 31, 1, "no route", 50
	if all = claim("c", 50, 90, 10); len(all) != 3 || all[2] != want {
		t.Fatalf("%+v, want %+v last", all, want)
	}
	if err := s.SettleNotice(ctx, store.Notice{Case: 1, Tier: "stop", Receiver: "notice.desk", Posted: 51, Tries: 2}); err != nil {
		t.Fatal(err)
	}
	if all = claim("c", 1000, 2000, 10); len(all) != 3 {
		t.Errorf("%+v", all)
	}
	file, err := s.Case(ctx, 1)
	want.Tries, want.Posted, want.Error, want.Due = 2, 51, "", 0
	if err != nil || file.Notices[0] != want {
		t.Errorf("%+v, %v; want %+v", file.Notices, err, want)
	}
	if err := s.SettleNotice(ctx, store.Notice{Case: 77}); err != nil {
		t.Errorf("of a case that is gone: %v", err)
	}
	// Many at once never get the same.
	for i := range 50 {
		Do(t, s, open(fmt.Sprint(i), 100))
	}
	var wg sync.WaitGroup
	got := make([][]store.Notice, 8)
	for i := range got {
		wg.Go(func() {
			for range 10 {
				got[i] = append(got[i], claim(fmt.Sprint(i), 500, 9999, 3)...)
			}
		})
	}
	wg.Wait()
	handed := map[string]int{}
	for _, some := range got {
		for _, n := range some {
			handed[fmt.Sprint(n.Case, n.Receiver)]++
			if n := handed[fmt.Sprint(n.Case, n.Receiver)]; n > 1 {
				t.Errorf("handed out %d times", n)
			}
		}
	}
	if len(handed) != 100 {
		t.Errorf("%d of 100 were handed out", len(handed))
	}
}

func testDigests(t *testing.T, s Store) {
	ctx := t.Context()
	claim := func(gateway string, now int64) string {
		t.Helper()
		from, ok, err := s.ClaimDigest(ctx, "notice.desk", gateway, now, now+10, 100)
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprint(from, ok)
	}
	settle := func(gateway string, now int64, sent bool) {
		t.Helper()
		if err := s.SettleDigest(ctx, "notice.desk", gateway, now, sent); err != nil {
			t.Fatal(err)
		}
	}
	expect := func(got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	expect(claim("a", 1000), "0 false") // from now on
	expect(claim("a", 1099), "0 false")
	expect(claim("a", 1105), "1000 true")
	expect(claim("b", 1106), "0 false")
	settle("b", 1107, true) // it is not b's
	expect(claim("b", 1114), "0 false")
	expect(claim("b", 1115), "1000 true") // a died
	settle("a", 1116, true)
	settle("b", 1117, false)
	expect(claim("a", 1117), "1000 true")
	settle("a", 1120, true)
	expect(claim("b", 1216), "0 false")
	expect(claim("b", 1217), "1117 true")
	if _, ok, err := s.ClaimDigest(ctx, "notice.other", "a", 5000, 5010, 100); ok || err != nil {
		t.Errorf("another receiver's first: %v, %v", ok, err)
	}
}
