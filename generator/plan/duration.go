package plan

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"time"
)

// Duration is a length of time as Exim writes it: "1h30m", "36d", "1w2d" (Exim
// specification, "Time intervals"). Whole seconds, never negative. In JSON it
// is that text.
type Duration time.Duration

// units holds Exim's letters, largest first, the order in which they must stand.
var units = []struct {
	letter byte
	size   time.Duration
}{
	{'w', 7 * 24 * time.Hour},
	{'d', 24 * time.Hour},
	{'h', time.Hour},
	{'m', time.Minute},
	{'s', time.Second},
}

// ParseDuration reads Exim's spelling of a time interval: whole numbers, each
// followed by one of w, d, h, m, s, in that order and each at most once. A bare
// number is an error: whether "5" means seconds or minutes is for the writer to say.
func ParseDuration(s string) (Duration, error) {
	if s == "" {
		return 0, fmt.Errorf("an empty time interval")
	}
	var total time.Duration
	rest, next := s, 0
	for rest != "" {
		digits := 0
		for digits < len(rest) && rest[digits] >= '0' && rest[digits] <= '9' {
			digits++
		}
		if digits == 0 {
			return 0, fmt.Errorf("%q is not a number with a unit", rest)
		}
		if digits > 12 {
			return 0, fmt.Errorf("%q is too large", rest[:digits])
		}
		var n int64
		for _, c := range rest[:digits] {
			n = n*10 + int64(c-'0')
		}
		rest = rest[digits:]
		if rest == "" {
			return 0, fmt.Errorf("no unit after %d", n)
		}
		unit := -1
		for i, u := range units {
			if u.letter == rest[0] {
				unit = i
			}
		}
		switch {
		case unit < 0:
			return 0, fmt.Errorf("%q is not one of the units w, d, h, m, s", rest)
		case unit < next:
			return 0, fmt.Errorf("%q stands after a smaller or equal unit", rest[:1])
		}
		size := units[unit].size
		if n > int64(math.MaxInt64/2)/int64(size) || time.Duration(n)*size > math.MaxInt64/2-total {
			return 0, fmt.Errorf("the time interval is too large")
		}
		total += time.Duration(n) * size
		rest, next = rest[1:], unit+1
	}
	return Duration(total), nil
}

// String is the shortest text that ParseDuration reads back, weeks given as days
// (the habit of Exim's own configuration files): "36d", "1h30m", "0s".
func (d Duration) String() string {
	left := time.Duration(d)
	if left < time.Second {
		return "0s"
	}
	var b strings.Builder
	for _, u := range units[1:] {
		if n := left / u.size; n > 0 {
			fmt.Fprintf(&b, "%d%c", n, u.letter)
			left -= n * u.size
		}
	}
	return b.String()
}

// Std is d as the standard library's type.
func (d Duration) Std() time.Duration { return time.Duration(d) }

// Seconds is d in whole seconds.
func (d Duration) Seconds() int64 { return int64(time.Duration(d) / time.Second) }

// Milliseconds is d in milliseconds, the unit of the stored times.
func (d Duration) Milliseconds() int64 { return int64(time.Duration(d) / time.Millisecond) }

func (d Duration) MarshalJSON() ([]byte, error) { return json.Marshal(d.String()) }

func (d *Duration) UnmarshalJSON(b []byte) error {
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return err
	}
	v, err := ParseDuration(s)
	if err != nil {
		return fmt.Errorf("time interval %q: %w", s, err)
	}
	*d = v
	return nil
}

// Rate is so many in so long: "100/1h". Over it is more than Count in the last Per. With
// Percent, Count is a percentage: "30%/24h".
type Rate struct {
	Count   int64
	Percent bool
	Per     Duration
}

// ParseRate reads "100/1h" and "30%/24h" (blanks round the slash are fine).
func ParseRate(s string) (Rate, error) {
	count, per, found := strings.Cut(s, "/")
	if !found {
		return Rate{}, fmt.Errorf("no slash: a rate is a number, a slash and a time interval, as in 100/1h")
	}
	count, per = strings.TrimSpace(count), strings.TrimSpace(per)
	count, percent := strings.CutSuffix(count, "%")
	var n int64
	if count == "" || len(count) > 15 {
		return Rate{}, fmt.Errorf("%q is not a whole number", count)
	}
	for _, c := range count {
		if c < '0' || c > '9' {
			return Rate{}, fmt.Errorf("%q is not a whole number", count)
		}
		n = n*10 + int64(c-'0')
	}
	d, err := ParseDuration(per)
	if err != nil {
		return Rate{}, err
	}
	if d == 0 {
		return Rate{}, fmt.Errorf("a rate in no time at all")
	}
	if percent && n >= 100 {
		return Rate{}, fmt.Errorf("more than %d%% of something is not possible", n)
	}
	return Rate{Count: n, Percent: percent, Per: d}, nil
}

func (r Rate) String() string {
	percent := ""
	if r.Percent {
		percent = "%"
	}
	return fmt.Sprintf("%d%s/%s", r.Count, percent, r.Per)
}

func (r Rate) MarshalJSON() ([]byte, error) { return json.Marshal(r.String()) }

func (r *Rate) UnmarshalJSON(b []byte) error {
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return err
	}
	v, err := ParseRate(s)
	if err != nil {
		return fmt.Errorf("rate %q: %w", s, err)
	}
	*r = v
	return nil
}
