package main

import (
	"encoding/base64"
	"fmt"
	"strconv"
)

// knownSet is how many keys are known from the start.
const knownSet = 5000

// triplet is the n-th greylisting key: networks of different clients, and senders and
// recipients of usual length.
type triplet struct {
	client            string // an address of the network
	network           string
	sender, recipient string
}

func newTriplet(n int64, kind string) triplet {
	net := fmt.Sprintf("10.%d.%d.", n>>8&255, n&255)
	return triplet{
		client: net + "25", network: net + "0/24",
		sender:    fmt.Sprintf("%s%d@sender-%d.example", kind, n, n%977),
		recipient: fmt.Sprintf("user%d@local.test", n%5003),
	}
}

var (
	saysAccept = []byte("v=1 verdict=accept waive=no end=1")
	saysListed = []byte("v=1 verdict=accept waive=message end=1") // for the sender's sake
	saysDefer  = []byte("v=1 verdict=defer by=greylist.classic ")
	saysGrey   = []byte("true")
	saysWhite  = []byte("false")
)

// dialect is how a server is asked about a triplet.
type dialect struct {
	head         func(t triplet) []byte // up to the nonce
	tail         func(t triplet) []byte // from there on
	known, fresh []byte                 // what the answers hold
}

// exipoldDialect asks as the text that `exipol build` generates does, by this plan.
func exipoldDialect(plan string) dialect {
	return dialect{
		head: func(triplet) []byte {
			return []byte("v=1 plan=" + plan + " at=rcpt.after traffic=inbound events=recipient nonce=")
		},
		tail: func(t triplet) []byte {
			return fmt.Appendf(nil, " ip=%s helo=%s sender=%s rcpt=%s auth=\n", t.client, inBase64("mail."+t.sender), inBase64(t.sender), inBase64(t.recipient))
		},
		known: saysAccept, fresh: saysDefer,
	}
}

// starterDialect asks as the text of the starter set does: about the whole message, at
// data. The first who pass are let in without a waiver.
func starterDialect(plan string) dialect {
	return dialect{
		head: func(triplet) []byte {
			return []byte("v=1 plan=" + plan + " at=data.after traffic=inbound events=whole_message nonce=")
		},
		tail: func(t triplet) []byte {
			return fmt.Appendf(nil, " ip=%s helo=%s sender=%s rcpt=%s auth= host= from=%s dkim=\n",
				t.client, inBase64("mail."+t.sender), inBase64(t.sender), inBase64(t.recipient), inBase64(t.sender))
		},
		known: saysAccept,
	}
}

func inBase64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

// greylistdDialect asks as greylistd's own example for an ACL does, with the network
// as exipold has it.
func greylistdDialect() dialect {
	return dialect{
		head:  func(t triplet) []byte { return []byte("--grey " + t.network + " " + t.sender + " " + t.recipient) },
		known: saysWhite, fresh: saysGrey,
	}
}

func (d dialect) question(buf []byte, head, tail []byte, n int64) []byte {
	buf = append(buf, head...)
	if tail == nil {
		return buf
	}
	buf = strconv.AppendInt(append(buf, "1."...), n, 10)
	return append(buf, tail...)
}

// knownKeys asks about the known set, in turn.
func (d dialect) knownKeys() source {
	heads, tails := make([][]byte, knownSet), make([][]byte, knownSet)
	for i := range int64(knownSet) {
		t := newTriplet(i, "known")
		heads[i] = d.head(t)
		if d.tail != nil {
			tails[i] = d.tail(t)
		}
	}
	return func(buf []byte, n int64) ([]byte, []byte) {
		i := n * 2741 % knownSet // a prime: all of them, in no order
		return d.question(buf, heads[i], tails[i], n), d.known
	}
}

// newKeys asks about a key that was never seen.
func (d dialect) newKeys() source {
	return func(buf []byte, n int64) ([]byte, []byte) {
		t := newTriplet(n, "new")
		var tail []byte
		if d.tail != nil {
			tail = d.tail(t)
		}
		return d.question(buf, d.head(t), tail, n), d.fresh
	}
}

// mixed asks about a new key one time in ten.
func (d dialect) mixed() source {
	known, fresh := d.knownKeys(), d.newKeys()
	return func(buf []byte, n int64) ([]byte, []byte) {
		if n%10 == 0 {
			return fresh(buf, n)
		}
		return known(buf, n)
	}
}
