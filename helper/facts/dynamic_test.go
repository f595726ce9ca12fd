package facts

import (
	"net/netip"
	"testing"

	"exipol/helper/normalize"
	"exipol/internal/dnstest"
)

// TestDynamic is a table of names as providers give them.
func TestDynamic(t *testing.T) {
	for _, c := range []struct {
		client, name string
		want         bool
	}{
		// Lines.
		{"84.113.9.250", "84-113-9-250.dyn.isp.example", true},
		{"79.18.7.201", "host-79-18-7-201.retail.telecomitalia.it", true},
		{"24.9.17.88", "c-24-9-17-88.hsd1.co.comcast.net", true},
		{"72.75.3.9", "pool-72-75-3-9.washdc.fios.verizon.net", true},
		{"81.104.7.46", "cpc12345-brig17-2-0-cust45.3-3.cable.virginm.net", true},
		{"177.54.9.12", "177-54-9-12.user.veloxzone.com.br", true},
		{"99.5.6.7", "adsl-99-5-6-7.dsl.hstntx.sbcglobal.net", true},
		{"5.18.7.3", "broadband-5-18-7-3.ip.moscow.rt.ru", true},
		{"84.113.9.250", "250.9.113.84.rev.sfr.net", true},
		{"84.113.9.250", "250.84.113.9.isp.example", true},
		{"95.90.195.210", "ip5f5ac3d2.speed.vodafone-ip.de", true},
		{"84.161.178.195", "p54A1B2C3.dip0.t-ipconnect.de", true},
		{"84.161.178.195", "c3b2a154.rev.isp.example", true},
		{"84.113.9.250", "ip-084-113-009-250.um21.pools.vodafone-ip.de", true},
		{"84.113.9.250", "084113009250.ctinets.com", true},
		{"84.113.9.250", "84x113x9x250.isp.example", true},
		{"84.113.9.250", "84_113_9_250.isp.example", true},
		{"84.113.9.250", "ppp84.isp.example", true},
		{"84.113.9.250", "dhcp-12-34.campus.example.edu", true},
		{"84.113.9.250", "adsl2plus-0815.isp.example", true},
		{"84.113.9.250", "customer-madrid-77.isp.example", true},
		{"84.113.9.250", "m77-mobile.isp.example", true},
		{"84.113.9.250", "wifi-guest.hotel.example", true},
		{"84.113.9.250", "84-113-9-250.mail.ru", true}, // the domain's own name is no word
		{"52.28.1.2", "ec2-52-28-1-2.eu-central-1.compute.amazonaws.com", true},
		{"2a02:8108:8ac0:1234:abcd:ef01:2345:6789", "2a02-8108-8ac0-1234-abcd-ef01-2345-6789.v6.isp.example", true},
		{"2a02:8108:8ac0:1234:abcd:ef01:2345:6789", "abcd-ef01-2345-6789.isp.example", true},
		{"2a02:8108:8ac0:1234:abcd:ef01:2345:6789", "2a0281088ac01234abcdef0123456789.isp.example", true},
		{"2001:db8:0:1::5", "2001-db8-0-1-0-0-0-5.isp.example", true},
		{"2001:db8:0:1::5", "5.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.1.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.isp.example", true},
		{"2001:db8:0:1::5", "2001-db8-0-1--5.dynamic.isp.example", true},

		// Mail servers, and hosts that are nobody's line.
		{"209.85.218.41", "mail-ej1-f41.google.com", false},
		{"40.107.8.81", "mail-am6eur05on2081.outbound.protection.outlook.com", false},
		{"54.240.8.31", "a8-31.smtp-out.amazonses.com", false},
		{"167.89.1.2", "o1.ptr2213.sendgrid.net", false},
		{"198.2.1.23", "mail23.mcsv.net", false},
		{"212.227.17.10", "mout.kundenserver.de", false},
		{"17.58.6.54", "pv50p00im-ztdg10021901.me.com", false},
		{"82.195.75.100", "bendel.debian.org", false},
		{"84.113.9.250", "static-84-113-9-250.isp.example", false},
		{"84.113.9.250", "static.250.9.113.84.clients.your-server.de", false},
		{"84.113.9.250", "84-113-9-250.static.cable.isp.example", false},
		{"84.113.9.250", "mx-84-113-9-250.example.com", false},
		{"84.113.9.250", "mx1.customer.example.com", false},
		{"84.113.9.250", "vps-84-113-9-250.hoster.example", false},
		{"84.113.9.250", "webmail.users.example.com", false},
		{"84.113.9.250", "smtp250.dsl.example.com", false},
		{"84.113.9.250", "host84-113-9-250-static.business.isp.example", false},
		{"84.113.9.250", "relay.wireless.example", false},
		{"84.113.9.250", "server12.dialup.example", false},
		{"84.113.9.250", "mail.dyn-consulting.com", false},
		{"84.113.9.250", "alpha.dynamics.example", false},
		{"84.113.9.250", "alpha.mobile.de", false},
		{"84.113.9.250", "pool.org", false},
		{"84.113.9.250", "84-113-9.isp.example", false},
		{"84.113.9.250", "84-113-9-25.isp.example", false},
		{"84.113.9.250", "184-113-9-250.isp.example", false},
		{"84.113.9.250", "84--113-9-250.isp.example", false},
		{"84.113.9.250", "84.isp-113.9-250.example", false},
		{"1.1.1.1", "one.one.one.one", false},
		{"2001:db8:0:1::5", "alpha.example.com", false},
		{"2001:db8::5", "mail5.example.com", false},
		{"2001:db8::5", "host-0-0-0-5.example.com", false},
		{"84.113.9.250", "99999999999999999999-113-9-250.example.com", false},
		{"84.113.9.250", "", false},
	} {
		if got := dynamic(normalize.Domain(c.name), netip.MustParseAddr(c.client)); got != c.want {
			t.Errorf("%s, %s: %v", c.client, c.name, got)
		}
	}
}

func TestDynamicName(t *testing.T) {
	s, f := finder(t, `
		192.0.2.1 PTR 192-0-2-1.dsl.example
		192-0-2-1.dsl.example A 192.0.2.1
		192.0.2.2 PTR 192-0-2-2.dsl.example
		192.0.2.3 PTR 192-0-2-3.dsl.example
		192-0-2-3.dsl.example A 192.0.2.3
		192.0.2.3 PTR mail.example.com
		mail.example.com A 192.0.2.3`)
	s.Behave(dnstest.Reverse(netip.MustParseAddr("192.0.2.9")), dnstest.Dead)
	for client, want := range map[string]string{
		"192.0.2.1": "yes",
		"192.0.2.2": "no", // its name does not lead back, so it has none
		"192.0.2.3": "no", // has a name of its own besides
		"192.0.2.4": "no", "192.0.2.9": "unclear",
	} {
		expect(t, f, question(client, "", ""), "dynamic_name", want)
	}
	q := question("192.0.2.77", "", "")
	q.Host = "192-0-2-77.DSL.example"
	expect(t, f, q, "dynamic_name", "yes")
}

// FuzzDynamic: clients choose these names.
func FuzzDynamic(f *testing.F) {
	f.Add("84-113-9-250.dyn.isp.example", []byte{84, 113, 9, 250})
	f.Add("..\xff-.", make([]byte, 16))
	f.Fuzz(func(t *testing.T, name string, raw []byte) {
		if addr, ok := netip.AddrFromSlice(raw); ok {
			dynamic(normalize.Domain(name), addr)
		}
	})
}
