package load

import (
	"reflect"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"exipol/generator/language"
	"exipol/generator/plan"
)

const deskNative = `
exipol {
  format = 1
}

site {
  admin    = "abuse@example.com"
  relay_id = "$${lookup{$sender_host_address}iplsearch{/etc/customers}{$value}}"
  submission {
    traffic = ["submission", "local"]
    domain  = "Example.com"
    retain  = false
  }
  acl {
    auth     = "check_auth"
    not_smtp = "check_not_smtp"
  }
}

helper {
  source = "event"
}

locals {
  desk = "the desk"
}

notice "desk" {
  mail    = [site.admin]
  webhook = "https://desk.example.com:8443/hook?x=1"
  digest  = "24h"
}

limit "bounces" {
  event   = bounce
  classes = [no_such_user, full]
  key     = [owner]
  count   = share(message)
  floor   = 50
  tier "warn" {
    over       = ["30%/24h", "50% / 1h"]
    notify     = [notice.desk, owner]
    add_header = { "X-A" = "$${x} by ${local.desk}: ${auth}${client.ip} end", "X-B" = "${owner}", "X-C" = local.desk, "X-D" = "${7} ${helo}" }
  }
}

limit "invalid" {
  traffic = "submission"
  event   = invalid_recipient
  callout = "10s"
  key     = [auth]
  tier "block" {
    over = "100/1h"
    block {
      until      = "24h"
      at         = "mail"
      queued     = "freeze"
      add_header = { X-Auth = "${auth}" }
      freeze {
        most = 500
        free = "10%"
      }
      probation {
        share = "20%"
      }
    }
  }
}

limit "crack" {
  event = auth_failure
  key   = [net(client.ip, 32, 56)]
  count = distinct(login)
  tier "block" {
    over = "7/5m"
    block {
      deny {
        message = "too many"
      }
    }
  }
}

limit "spread" {
  event = login
  key   = [auth]
  count = distinct(client.net)
  tier "block" {
    over = "7/5m"
    block {
      defer {}
    }
  }
}
`

const deskJSON = `{
  "exipol": {"format": 1},
  "site": {
    "admin": "abuse@example.com", "relay_id": "$${lookup{$sender_host_address}iplsearch{/etc/customers}{$value}}",
    "submission": {"traffic": ["submission", "local"], "domain": "Example.com", "retain": false},
    "acl": {"auth": "check_auth", "not_smtp": "check_not_smtp"}
  },
  "helper": {"source": "event"},
  "locals": {"desk": "the desk"},
  "notice": {"desk": {"mail": ["${site.admin}"], "webhook": "https://desk.example.com:8443/hook?x=1", "digest": "24h"}},
  "limit": {
    "bounces": {
      "event": "bounce", "classes": ["no_such_user", "full"], "key": ["owner"], "count": "share(message)", "floor": 50,
      "tier": {"warn": {
        "over": ["30%/24h", "50% / 1h"], "notify": ["notice.desk", "owner"],
        "add_header": {"X-A": "$${x} by ${local.desk}: ${auth}${client.ip} end", "X-B": "${owner}", "X-C": "${local.desk}", "X-D": "${7} ${helo}"}
      }}
    },
    "invalid": {
      "traffic": "submission", "event": "invalid_recipient", "callout": "10s", "key": ["auth"],
      "tier": {"block": {"over": "100/1h", "block": {
        "until": "24h", "at": "mail", "queued": "freeze", "add_header": {"X-Auth": "${auth}"},
        "freeze": {"most": 500, "free": "10%"}, "probation": {"share": "20%"}
      }}}
    },
    "crack": {
      "event": "auth_failure", "key": ["net(client.ip, 32, 56)"], "count": "distinct(login)",
      "tier": {"block": {"over": "7/5m", "block": {"deny": {"message": "too many"}}}}
    },
    "spread": {
      "event": "login", "key": ["auth"], "count": "distinct(client.net)",
      "tier": {"block": {"over": "7/5m", "block": {"defer": {}}}}
    }
  }
}`

func TestDeskInBothForms(t *testing.T) {
	a, b := mustParse(t, "a.hcl", deskNative), mustParse(t, "a.hcl.json", deskJSON)
	a.Files, b.Files = nil, nil
	clear(reflect.ValueOf(a))
	clear(reflect.ValueOf(b))
	if !reflect.DeepEqual(a, b) {
		t.Errorf("native:\n%s\nJSON:\n%s", dump(a), dump(b))
	}
}

func TestDeskValues(t *testing.T) {
	set := mustParse(t, "a.hcl", deskNative)
	s, n := set.Site, set.Notices[0]
	bounces, invalid, crack, spread := set.Limits[0], set.Limits[1], set.Limits[2], set.Limits[3]
	warn, block := bounces.Tiers[0], invalid.Tiers[0].Block
	for name, got := range map[string][2]any{
		"spool":        {s.Spool.V, "/var/spool/exim4"},
		"relay id":     {s.RelayID.V, "${lookup{$sender_host_address}iplsearch{/etc/customers}{$value}}"},
		"submission":   {s.Submission.Traffic[0].V + " " + s.Submission.Traffic[1].V + " " + s.Submission.Domain.V, "submission local example.com"},
		"retain":       {s.Submission.Retain.V, false},
		"ACLs":         {s.ACL["auth"].V + " " + s.ACL["not_smtp"].V, "check_auth check_not_smtp"},
		"source":       {set.Helper.Source.V, plan.FromEvent},
		"notice":       {n.Mail[0].V + " " + n.Webhook.V + " " + n.Digest.V.String(), "abuse@example.com https://desk.example.com:8443/hook?x=1 1d"},
		"no traffic":   {bounces.Traffic.V, ""},
		"classes":      {bounces.Classes[0].V + " " + bounces.Classes[1].V, "no_such_user full"},
		"share":        {bounces.Share.V, "message"},
		"floor":        {bounces.Floor.V, int64(50)},
		"percent":      {warn.Over[1].V, plan.Rate{Count: 50, Percent: true, Per: plan.Duration(3600e9)}},
		"notify":       {warn.Notify[0].Ref + " " + warn.Notify[1].Ref, "notice.desk owner"},
		"pieces":       {warn.AddHeader[0].Value.V, []plan.Piece{{Text: "${x} by the desk: "}, {Field: "auth"}, {Field: "client"}, {Text: " end"}}},
		"field alone":  {warn.AddHeader[1].Value.V, []plan.Piece{{Field: "owner"}}},
		"no field":     {warn.AddHeader[2].Value.V, []plan.Piece{{Text: "the desk"}}},
		"number":       {warn.AddHeader[3].Value.V, []plan.Piece{{Text: "7 "}, {Field: "helo"}}},
		"callout":      {invalid.Callout.V.String(), "10s"},
		"until":        {block.Until.V.String() + " " + block.At.V + " " + block.Queued.V + " " + block.Verdict.V, "1d mail freeze freeze"},
		"guard":        {block.Most.V*1000 + block.Free.V, int64(500010)},
		"probation":    {block.Probation.Lasts.V.String(), "1d"},
		"its share":    {block.Probation.Share.V, int64(20)},
		"no verdict":   {invalid.Tiers[0].Verdict.Set, false},
		"failures":     {crack.Traffic.V + " " + crack.Tiers[0].Block.At.V + " " + crack.Tiers[0].Block.Message.V, "inbound auth too many"},
		"distinct":     {crack.Distinct.Field, "login"},
		"released":     {crack.Tiers[0].Block.Until.V, plan.Duration(0)},
		"logins":       {spread.Traffic.V + " " + spread.Tiers[0].Block.At.V, "submission rcpt"},
		"default text": {spread.Tiers[0].Block.Message.V, "sending is suspended, please ask your provider"},
	} {
		if !reflect.DeepEqual(got[0], got[1]) {
			t.Errorf("%s: %#v, wanted %#v", name, got[0], got[1])
		}
	}
}

// What stands between the braces of an expansion is Exim's; that they match is ours.
func TestExpansions(t *testing.T) {
	for text, want := range map[string]bool{
		"": true, "$sender_host_name": true, "${lc:$x}": true, "${if eq{a}{b}{}{${x}}}": true, `a\{b`: true, `\N{{\N`: true, `${sg{$x}{\N^{\N}{}}`: true,
		"${x": false, "x}": false, "}{": false, `\N{`: false, "a\nb": false, "a\rb": false, `x\`: false, " x": false, "x\x00": false, strings.Repeat("x", 2001): false,
	} {
		l := &loader{}
		arg := field{l: l, arg: argument("relay_id"), val: stringVal(text), expr: noExpr()}
		if _, ok := arg.expansion(); ok != want {
			t.Errorf("%q: %v", text, ok)
		}
	}
}

func TestURLs(t *testing.T) {
	for text, want := range map[string]bool{
		"https://example.com/": true, "http://[2001:db8::1]:80/x?y=z": true, "https://example.com": true,
		"": false, "example.com": false, "ftp://example.com": false, "https:///x": false, "https://a:b@example.com/": false, "https://example.com/#x": false,
		"https://example.com/a b": false, "https://example.com/\r\nX: y": false, "https://example.com/ü": false, `https://example.com/"`: false,
	} {
		f := field{l: &loader{}, arg: argument("webhook"), val: stringVal(text), expr: noExpr()}
		if _, ok := f.url(); ok != want {
			t.Errorf("%q: %v", text, ok)
		}
	}
}

// A field that stands in no file.

func argument(name string) *language.Argument { return &language.Argument{Name: name} }
func stringVal(s string) cty.Value            { return cty.StringVal(s) }
func noExpr() hcl.Expression                  { return hcl.StaticExpr(cty.NilVal, hcl.Range{}) }
