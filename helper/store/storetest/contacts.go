package storetest

import (
	"fmt"
	"strings"
	"testing"

	"exipol/helper/engine"
	"exipol/helper/store"
)

// contact is a row as a greylist's first contact has it.
func contact(key, why string, first, passed, expires int64) engine.Write {
	return engine.PutSeen{Policy: "greylist.x", Key: key, Row: engine.SeenRow{First: first, Passed: passed, Expires: expires, Why: why, Who: "of " + strings.ToValidUTF8(key, "?")}}
}

func testContacts(t *testing.T, s Store) {
	const live = 1 << 50
	Do(t, s,
		contact("old", "spf_fail", 10, 20, live),
		contact("a", "spf_fail", 100, 0, live),
		contact("b", "spf_fail", 110, 200, live),
		contact("c", "no_reverse_dns,spf_fail", 120, 0, live),
		contact("\xff|c", "first_contact", 130, 140, live),
		contact("expired", "spf_fail", 130, 0, 300),
		contact("alias", "", 120, 0, live),
		engine.PutSeen{Policy: "greylist.y", Key: "k", Row: engine.SeenRow{First: 150, Expires: live, Why: "spf_fail"}})
	whys, err := s.Whys(t.Context(), "greylist.x", 100, 300)
	want := []store.WhyCount{{Why: "spf_fail", Contacts: 2, LetIn: 1}, {Why: "first_contact", Contacts: 1, LetIn: 1}, {Why: "no_reverse_dns,spf_fail", Contacts: 1}}
	if err != nil || fmt.Sprint(whys) != fmt.Sprint(want) {
		t.Errorf("%+v, %v\nwant %+v", whys, err, want)
	}
	recent, err := s.Recent(t.Context(), "greylist.x", 3, 299)
	wantRecent := []store.Contact{{Key: "expired", Who: "of expired", Why: "spf_fail", First: 130}, {Key: "\xff|c", Who: "of ?|c", Why: "first_contact", First: 130, Passed: 140}, {Key: "c", Who: "of c", Why: "no_reverse_dns,spf_fail", First: 120}}
	if err != nil || fmt.Sprint(recent) != fmt.Sprint(wantRecent) {
		t.Errorf("%+v, %v\nwant %+v", recent, err, wantRecent)
	}
	if whys, err := s.Whys(t.Context(), "greylist.z", 0, 300); len(whys) != 0 || err != nil {
		t.Errorf("nobody's: %+v, %v", whys, err)
	}
	// A retry keeps what the row says of the first contact.
	Do(t, s, contact("a", "spf_fail", 100, 250, live))
	if whys, _ := s.Whys(t.Context(), "greylist.x", 100, 300); len(whys) == 0 || whys[0].LetIn != 2 {
		t.Errorf("after the retry: %+v", whys)
	}
}

func testLearned(t *testing.T, s Store) {
	learn := func(key string, counted, expires int64) engine.Write {
		return engine.PutSeen{Policy: "list.friends", Key: key, Row: engine.SeenRow{First: 1, Counted: counted, Expires: expires}}
	}
	if l, err := s.Learned(t.Context(), "list.friends", 1); l != (store.Learned{}) || err != nil {
		t.Errorf("nothing: %+v, %v", l, err)
	}
	Do(t, s, learn("a@b.example", 5, 100), learn("@b.example", 7, 100), learn("c@b.example", 6, 100), learn("d@b.example", 9, 50))
	if l, err := s.Learned(t.Context(), "list.friends", 50); l != (store.Learned{Addresses: 2, Domains: 1, Newest: 7}) || err != nil {
		t.Errorf("%+v, %v", l, err)
	}
	keys, err := s.SeenKeys(t.Context(), "list.friends", 2, 50)
	if err != nil || len(keys) != 2 || keys[0].Key != "@b.example" || keys[1].Key != "a@b.example" || keys[1].Row.Counted != 5 || keys[1].Row.Expires != 100 {
		t.Errorf("%+v, %v", keys, err)
	}
}
