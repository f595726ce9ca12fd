package facts

import "net/netip"

// Local says whether a client is of a private network (RFC 1918, 4193 and the like):
// nobody outside can know anything about it, so nothing is looked up, and no fact holds.
func Local(client netip.Addr) bool { return isLocal(client) }
