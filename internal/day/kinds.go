package day

// Kind is a kind of mail, by who sends it and why.
type Kind struct {
	Name string
	// Bot: spam, whoever sends it.
	Bot bool
	// Out: greylist-selective promises that none of it gets in without a retry, for all of
	// it looks bad, and nothing exempts it.
	Out bool
	// Prompt: greylist-selective promises that none of it waits.
	Prompt bool
	// Code: login codes and password links, good for some minutes.
	Code bool
	// Gone: deferred once, it is lost (or nearly so), for its host does not try again.
	Gone bool

	count int // messages of a day of size 1
	write func(*script)
}

// kinds with their counts. All counts are assumptions; they were chosen so that each
// row has enough messages for its shares to mean something. For orientation: of the
// mail servers that say what they are, 56 % are Exim, 38 % Postfix and 3 % Sendmail
// (SecuritySpace, December 2023), but most offices have their mail at one of two large
// providers.
var kinds = []Kind{
	{Name: "first contact, own mail server", count: 260, write: firstOwn},
	{Name: "first contact, at Exchange Online", Prompt: true, count: 200, write: firstAt(func(w *world) *provider { return w.outlook })},
	{Name: "first contact, at Google", Prompt: true, count: 160, write: firstAt(func(w *world) *provider { return w.google })},
	{Name: "first contact, at Yahoo", Prompt: true, count: 60, write: firstAt(func(w *world) *provider { return w.yahoo })},
	{Name: "first contact, other freemail", count: 60, write: firstFreemail},
	{Name: "first contact, small provider with several addresses", count: 80, write: firstAt(func(w *world) *provider { return w.small })},
	{Name: "first contact, order or invoice through SES or SendGrid", Prompt: true, count: 120, write: order},
	{Name: "first contact, slow host (4, 6, 12 h)", count: 30, write: firstSlow},
	{Name: "first contact, host without a queue", Gone: true, count: 20, write: firstGone},
	{Name: "answer to one of our users, first mail", Prompt: true, count: 200, write: answer},
	{Name: "regular correspondent", count: 160, write: regular},
	{Name: "newsletter, running", Prompt: true, count: 240, write: newsletter},
	{Name: "login code, sender's own domain (SPF)", Prompt: true, Code: true, count: 80, write: ownCode},
	{Name: "login code, through a mailer (DKIM)", Prompt: true, Code: true, count: 80, write: mailedCode},
	{Name: "login code, of a sender in no list", Code: true, count: 60, write: unlistedCode},
	{Name: "careless DNS", count: 120, write: careless},
	{Name: "careless DNS, slow host", count: 20, write: carelessSlow},
	{Name: "careless DNS, host without a queue", Gone: true, count: 10, write: carelessGone},
	{Name: "forwarded by another host, SPF fails", count: 50, write: forwarded},
	{Name: "bounce", count: 50, write: bounce},
	{Name: "another host's callout", count: 30, write: callout},

	{Name: "bot, never retries", Bot: true, Out: true, count: 1800, write: bot(once)},
	{Name: "bot, retries at once", Bot: true, Out: true, count: 1000, write: bot(atOnce)},
	{Name: "bot, retries after ten minutes", Bot: true, Out: true, count: 400, write: bot(afterTenMinutes)},
	{Name: "bot, forges somebody to whom our user wrote, never retries", Bot: true, count: 100, write: forger},
	{Name: "hacked web server, good DNS, never retries", Bot: true, count: 250, write: hacked},
	{Name: "spammer's mail server, good DNS, full queue", Bot: true, count: 250, write: spammer},
	{Name: "stolen account at a large provider", Bot: true, count: 200, write: stolen},
}
