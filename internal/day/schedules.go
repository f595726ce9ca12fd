package day

import (
	"math/rand/v2"
	"time"
)

// patience is for how long any host's attempts are followed. Postfix keeps mail for
// five days, Exim and most others for four; nobody who waits that long has lost only
// minutes.
const patience = 4 * 24 * time.Hour

// schedule is when a host that is always deferred would try: times after the first
// attempt, which is the first of them.
type schedule func(*rand.Rand) []time.Duration

// exim is Exim's default rule, F,2h,15m; G,16h,1h,1.5; F,4d,6h (Debian's
// exim4-config has the same): every 15 minutes for two hours, then from one hour on
// half as long again each time until hour 16, then every six hours. A rule says when a
// retry is due; it happens at the next queue run, every 30 minutes on Debian
// (QUEUEINTERVAL) and in Exim's own manual (-q30m).
func exim(r *rand.Rand) []time.Duration {
	run := queueRuns(r, 30*time.Minute)
	var gap time.Duration
	return until(patience, func(t time.Duration) time.Duration {
		switch {
		case t < 2*time.Hour:
			gap = 15 * time.Minute
		case t < 16*time.Hour:
			gap = max(time.Hour, gap*3/2)
		default:
			gap = 6 * time.Hour
		}
		return run(t + gap)
	})
}

// postfix looks through its deferred queue every 300 s (queue_run_delay). A message is
// due when it has waited once more for as long as it is old, but at least 300 s
// (minimal_backoff_time) and at most 4000 s (maximal_backoff_time); postconf(5), qmgr(8).
func postfix(r *rand.Rand) []time.Duration {
	run := queueRuns(r, 300*time.Second)
	return until(patience, func(t time.Duration) time.Duration {
		return run(t + min(max(t, 300*time.Second), 4000*time.Second))
	})
}

// sendmail tries everything at each queue run: -q30m as IBM and FreeBSD ship it, or
// -q1h as its manual's examples have it.
func sendmail(every time.Duration) schedule {
	return func(r *rand.Rand) []time.Duration {
		run := queueRuns(r, every)
		return until(patience, func(t time.Duration) time.Duration { return run(t + time.Second) })
	}
}

// exchangeServer: four quick retries a minute apart (QueueGlitchRetryCount and
// -Interval), six every five minutes (TransientFailureRetryCount and -Interval), then
// one every ten (OutboundConnectionFailureRetryInterval), for two days
// (MessageExpirationTimeout); Microsoft, "Message retry, resubmit, and expiration
// intervals". That it takes a deferred recipient for such a failure is an assumption:
// other accounts tell of every 15 minutes.
func exchangeServer(r *rand.Rand) []time.Duration {
	n := 0
	return until(48*time.Hour, func(t time.Duration) time.Duration {
		n++
		switch {
		case n <= 4:
			return t + time.Minute
		case n <= 10:
			return t + 5*time.Minute
		default:
			return t + 10*time.Minute
		}
	})
}

// exchangeOnline: the first few retries after 15 minutes or less, later ones up to an
// hour apart, for one day; Microsoft's service description of its mail queues. The
// steps 5, 10, 15 are an assumption.
func exchangeOnline(r *rand.Rand) []time.Duration {
	gaps := []time.Duration{5, 10, 15, 15, 30, 45}
	n := 0
	return until(24*time.Hour, func(t time.Duration) time.Duration {
		gap := 60 * time.Minute
		if n < len(gaps) {
			gap = gaps[n] * time.Minute
		}
		n++
		return t + vary(r, gap)
	})
}

// Freemail providers, as Pagani and others measured them with a greylister that
// deferred for six hours ("Measuring the Role of Greylisting and Nolisting in
// Fighting Spam", DSN 2016). What comes after the last measured retry is an assumption:
// the last gap again, for three days.
var (
	gmail   = measured("6m2s", "29m2s", "56m36s", "98m44s", "162m3s", "229m44s", "309m5s", "434m46s")
	yahoo   = measured("2m7s", "5m39s", "12m58s", "27m16s", "55m13s", "109m35s", "216m47s", "430m36s")
	gmx     = measured("5m1s", "12m33s", "23m50s", "40m46s", "66m9s", "104m14s", "161m22s", "247m4s", "375m36s")
	hotmail = measured("1m1s", "2m3s", "3m4s", "5m6s", "8m7s", "12m8s", "16m10s")
)

// givesUp is the one of them (AOL, then) that had given up after half an hour.
func givesUp(r *rand.Rand) []time.Duration {
	return []time.Duration{0, 332 * time.Second, 692 * time.Second, 1292 * time.Second, 1892 * time.Second}
}

// bulk is a mail service such as Amazon SES or SendGrid. SendGrid retries for 72
// hours, by accounts of its users after about a minute, ten minutes, an hour, and then
// every four hours.
func bulk(r *rand.Rand) []time.Duration {
	gaps := []time.Duration{time.Minute, 10 * time.Minute, time.Hour}
	n := 0
	return until(72*time.Hour, func(t time.Duration) time.Duration {
		gap := 4 * time.Hour
		if n < len(gaps) {
			gap = gaps[n]
		}
		n++
		return t + vary(r, gap)
	})
}

// ses: Amazon says that it retries, not when; its users tell of about twelve hours in
// all. The steps are an assumption.
func ses(r *rand.Rand) []time.Duration {
	gap := 5 * time.Minute
	return until(12*time.Hour, func(t time.Duration) time.Duration {
		next := t + vary(r, gap)
		gap = min(2*gap, 2*time.Hour)
		return next
	})
}

// slow hosts try every few hours. greylistd's list of hosts names some (from 2004)
// that wait for more than five.
func slow(every time.Duration) schedule {
	return func(r *rand.Rand) []time.Duration {
		return until(patience, func(t time.Duration) time.Duration { return t + vary(r, every) })
	}
}

// Bots. Levine counted for a week of 2014 what became of the addresses that he
// greylisted ("Greylisting still works", CircleID): 36 of 100 never came back, 32 only
// too soon (within a minute), 27 came back in time, honest ones among them. Pagani's
// samples agree: Cutwail's never retried, Kelihos' retried after minutes.

// once never retries.
func once(*rand.Rand) []time.Duration { return []time.Duration{0} }

// atOnce retries one to four times within a minute or so.
func atOnce(r *rand.Rand) []time.Duration {
	out := []time.Duration{0}
	var t time.Duration
	for range 1 + r.IntN(4) {
		t += time.Duration(1+r.IntN(20)) * time.Second
		out = append(out, t)
	}
	return out
}

// afterTenMinutes retries once, when every greylister with usual settings is content.
func afterTenMinutes(r *rand.Rand) []time.Duration {
	return []time.Duration{0, 10*time.Minute + time.Duration(1+r.IntN(300))*time.Second}
}

// until lists the attempts up to an end; next says when the one after t is.
func until(end time.Duration, next func(t time.Duration) time.Duration) []time.Duration {
	out := []time.Duration{0}
	for t := next(0); t < end; t = next(t) {
		out = append(out, t.Truncate(time.Second))
	}
	return out
}

// queueRuns says when the next queue run is, at t or after it. A message meets the
// first of them at any time of their interval.
func queueRuns(r *rand.Rand, every time.Duration) func(t time.Duration) time.Duration {
	first := time.Duration(r.Int64N(int64(every)))
	return func(t time.Duration) time.Duration {
		if t <= first {
			return first
		}
		return first + (t-first+every-1)/every*every
	}
}

func measured(after ...string) schedule {
	var list []time.Duration
	for _, text := range after {
		d, err := time.ParseDuration(text)
		if err != nil {
			panic(err) // a constant of this file
		}
		list = append(list, d)
	}
	gap := list[len(list)-1] - list[len(list)-2]
	return func(*rand.Rand) []time.Duration {
		n := 0
		return until(72*time.Hour, func(t time.Duration) time.Duration {
			n++
			if n <= len(list) {
				return list[n-1]
			}
			return t + gap
		})
	}
}

// vary is a duration give or take a tenth.
func vary(r *rand.Rand, d time.Duration) time.Duration {
	return d + time.Duration((r.Float64()-0.5)*0.2*float64(d))
}
