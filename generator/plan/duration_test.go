package plan_test

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	"exipol/generator/plan"
)

const day = 24 * time.Hour

func TestParseDuration(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"0s":          0,
		"1s":          time.Second,
		"90s":         90 * time.Second,
		"1h30m":       90 * time.Minute,
		"36d":         36 * day,
		"1w2d":        9 * day,
		"1w2d3h4m5s":  9*day + 3*time.Hour + 4*time.Minute + 5*time.Second,
		"007m":        7 * time.Minute,
		"0w0d0h0m0s":  0,
		"2562047h47m": 2562047*time.Hour + 47*time.Minute,
	} {
		t.Run(text, func(t *testing.T) {
			// The last one is beyond what is taken: half of what a time.Duration holds.
			d, err := plan.ParseDuration(text)
			if want > math.MaxInt64/2 {
				if err == nil {
					t.Errorf("took %s, which is %s", text, d)
				}
				return
			}
			if err != nil || d.Std() != want {
				t.Errorf("got %s, %v; want %s", d.Std(), err, want)
			}
		})
	}
}

func TestParseDurationRefuses(t *testing.T) {
	for _, text := range []string{
		"", "5", "s", "5x", "-5m", "+5m", "5M", "5 m", " 5m", "5m ", "1.5h", "5m5", "5m1h", "5m5m",
		"1h1w", "5\x00m", "٥m", "1000000000000000000h", "9223372036854775807s", "99999999999w", "1h\n",
	} {
		if d, err := plan.ParseDuration(text); err == nil {
			t.Errorf("took %q as %s", text, d)
		}
	}
}

func TestDurationString(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0:                          "0s",
		time.Second:                "1s",
		time.Minute:                "1m",
		61 * time.Second:           "1m1s",
		7 * day:                    "7d",
		36 * day:                   "36d",
		25*time.Hour + time.Second: "1d1h1s",
	} {
		if got := plan.Duration(d).String(); got != want {
			t.Errorf("%s: got %q, want %q", d, got, want)
		}
	}
}

// FuzzDuration: what is taken is written so that it is taken for the same again.
func FuzzDuration(f *testing.F) {
	for _, s := range []string{"0s", "1h30m", "36d", "1w2d3h4m5s", "5", "999999999999s", "53375d", "1h\x00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d, err := plan.ParseDuration(s)
		if err != nil {
			return
		}
		if d < 0 || d.Std()%time.Second != 0 {
			t.Errorf("%q is %s", s, d.Std())
		}
		again, err := plan.ParseDuration(d.String())
		if err != nil || again != d {
			t.Errorf("%q is written %q, which is read as %s, %v", s, d, again, err)
		}
		b, err := json.Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		var back plan.Duration
		if err := json.Unmarshal(b, &back); err != nil || back != d {
			t.Errorf("%s in JSON is %s, which is read as %s, %v", d, b, back, err)
		}
	})
}

func TestParseRate(t *testing.T) {
	for text, want := range map[string]plan.Rate{
		"100/1h":             {Count: 100, Per: plan.Duration(time.Hour)},
		"0/4h":               {Count: 0, Per: plan.Duration(4 * time.Hour)},
		" 5 / 1w ":           {Count: 5, Per: plan.Duration(7 * day)},
		"30%/24h":            {Count: 30, Percent: true, Per: plan.Duration(day)},
		" 0% / 1h":           {Percent: true, Per: plan.Duration(time.Hour)},
		"99%/1h":             {Count: 99, Percent: true, Per: plan.Duration(time.Hour)},
		"999999999999999/1s": {Count: 999999999999999, Per: plan.Duration(time.Second)},
	} {
		if got, err := plan.ParseRate(text); err != nil || got != want {
			t.Errorf("%q: got %s, %v", text, got, err)
		}
	}
	for _, text := range []string{
		"", "/", "5", "5/", "/1h", "5/1", "5/0s", "-5/1h", "5.5/1h", "5/1h/1h", "5k/1h", "1000000000000000/1h", "100%/1h", "%/1h", "5%%/1h", "5 %/1h x", "x/1h", "5/-1h",
	} {
		if got, err := plan.ParseRate(text); err == nil {
			t.Errorf("took %q as %s", text, got)
		}
	}
}

func FuzzRate(f *testing.F) {
	for _, s := range []string{"100/1h", "0/4h", "30%/24h", " 5 / 1w ", "5/1h/1h", "5/0s", "/"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := plan.ParseRate(s)
		if err != nil {
			return
		}
		if r.Count < 0 || r.Per <= 0 {
			t.Errorf("%q is %s", s, r)
		}
		b, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		var back plan.Rate
		if err := json.Unmarshal(b, &back); err != nil || back != r {
			t.Errorf("%s in JSON is %s, which is read as %s, %v", r, b, back, err)
		}
	})
}

func TestDurationsInJSONAreText(t *testing.T) {
	for _, bad := range []string{`3600`, `"3600"`, `null1`, `{}`, `["1h"]`, `true`} {
		var d plan.Duration
		if err := json.Unmarshal([]byte(bad), &d); err == nil {
			t.Errorf("took %s as the time interval %s", bad, d)
		}
		var r plan.Rate
		if err := json.Unmarshal([]byte(bad), &r); err == nil {
			t.Errorf("took %s as the rate %s", bad, r)
		}
	}
	var d plan.Duration
	if err := json.Unmarshal([]byte(`"x"`), &d); err == nil || !strings.Contains(err.Error(), `"x"`) {
		t.Errorf("the error does not say what was wrong: %v", err)
	}
}
