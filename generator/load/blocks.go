package load

import (
	"github.com/hashicorp/hcl/v2"

	"exipol/generator/language"
	"exipol/generator/plan"
	"exipol/generator/policy"
)

// set reads every block into the model. A block in which anything is wrong is
// left out, so that package check says nothing about values that nobody wrote.
func (l *loader) set(set *policy.Set) {
	spec := language.Root.Block("exipol")
	if c := l.topBlock(spec); c != nil {
		set.Format = l.number(c, "format")
	}
	l.defaultsOnly(set)
	for _, b := range l.blocks["pool"] {
		if pool := l.pool(b); pool != nil {
			set.Pools = append(set.Pools, pool)
		}
	}
	for _, b := range l.blocks["list"] {
		if list := l.list(b); list != nil {
			set.Lists = append(set.Lists, list)
		}
	}
	for _, b := range l.blocks["notice"] {
		if n := l.notice(b); n != nil {
			set.Notices = append(set.Notices, n)
		}
	}
	for _, b := range l.blocks["greylist"] {
		if g := l.greylist(b); g != nil {
			set.Greylists = append(set.Greylists, g)
		}
	}
	for _, b := range l.blocks["limit"] {
		if lim := l.limit(b); lim != nil {
			set.Limits = append(set.Limits, lim)
		}
	}
}

// defaultsOnly reads the blocks that have a value for everything even where they
// do not stand in any file.
func (l *loader) defaultsOnly(set *policy.Set) {
	set.Site = l.site()
	set.Helper = l.helper()
	set.Store = l.store()
}

// topBlock is the content of a block that stands at most once in a set; nil
// where it does not.
func (l *loader) topBlock(spec *language.Block) *content {
	if blocks := l.blocks[spec.Name]; len(blocks) > 0 {
		return l.content(blocks[0], spec)
	}
	return nil
}

// orEmpty stands in for a block that is not there: everything has its default.
func orEmpty(c *content, spec *language.Block) *content {
	if c == nil {
		return &content{spec: spec}
	}
	return c
}

func (l *loader) site() policy.Site {
	spec := language.Root.Block("site")
	c := orEmpty(l.topBlock(spec), spec)
	s := policy.Site{
		DeclRange:  c.at,
		Exim:       l.text(c, "exim"),
		Layout:     l.word(c, "layout"),
		Directory:  read(l, c, "directory", field.directory),
		Mode:       l.word(c, "mode"),
		Admin:      read(l, c, "admin", field.mailbox),
		Domains:    readList(l, c, "domains", field.domain),
		RelayHosts: readList(l, c, "relay_hosts", field.network),
		Forwarders: readList(l, c, "forwarders", field.network),
		MaxDelay:   l.duration(c, "max_delay"),
		Spool:      read(l, c, "spool", field.path),
		RelayID:    read(l, c, "relay_id", field.expansion),
		Submission: l.submission(c),
		ACL:        map[string]policy.Value[string]{},
	}
	if s.Directory.V == "" {
		s.Directory.V = "/etc/exim/exipol"
		if s.Layout.V == "debian" {
			s.Directory.V = "/etc/exim4/exipol"
		}
	}
	if s.Spool.V == "" {
		s.Spool.V = "/var/spool/exim"
		if s.Layout.V == "debian" {
			s.Spool.V = "/var/spool/exim4"
		}
	}
	if inner := l.block(c, "acl"); inner != nil {
		for _, stage := range plan.StageOrder {
			if inner.attrs[stage] != nil {
				if v := read(l, inner, stage, field.acl); v.Set {
					s.ACL[stage] = v
				}
			}
		}
	}
	return s
}

func (l *loader) helper() policy.Helper {
	spec := language.Root.Block("helper")
	c := orEmpty(l.topBlock(spec), spec)
	return policy.Helper{
		DeclRange: c.at,
		Socket:    read(l, c, "socket", field.path),
		Timeout:   l.duration(c, "timeout"),
		OnFailure: l.word(c, "on_failure"),
		Mainlog:   readList(l, c, "mainlog", field.path),
		Source:    l.word(c, "source"),
		DNS:       l.distinct("dns", readList(l, c, "dns", field.server)),
		Pools:     read(l, c, "pools", field.path),
	}
}

func (l *loader) greylist(b *hcl.Block) *policy.Greylist {
	c := l.content(b, language.Root.Block("greylist"))
	g := &policy.Greylist{
		Name:      c.name,
		DeclRange: c.at,
		Traffic:   l.word(c, "traffic"),
		Key:       l.key(c, "key"),
		Delay:     l.duration(c, "delay"),
		Retry:     l.duration(c, "retry"),
		Remember:  l.duration(c, "remember"),
		GiveUp:    l.duration(c, "give_up"),
		Except:    l.references(c, "except"),

		Suspicious: l.facts(c, "suspicious"),
		Spare:      l.facts(c, "spare"),
		Urgent:     l.wholeLists(c, "urgent"),

		Mode:      l.word(c, "mode"),
		OnFailure: l.word(c, "on_failure"),
		Message:   l.text(c, "message"),
	}
	if t := l.block(c, "trust"); t != nil {
		g.Trust = &policy.Trust{
			DeclRange: t.at,
			Key:       l.key(t, "key"),
			After:     l.number(t, "after"),
			Per:       l.duration(t, "per"),
			Remember:  l.duration(t, "remember"),
		}
	}
	if l.faulty(c) {
		return nil
	}
	return g
}
