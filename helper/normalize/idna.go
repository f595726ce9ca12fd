package normalize

import (
	"math"
	"strings"
	"unicode/utf8"
)

// dots are the characters that IDNA takes for a dot between labels (RFC 3490, 3.1).
var dots = strings.NewReplacer("\u3002", ".", "\uff0e", ".", "\uff61", ".")

// maxLabel is the most characters of a label that are encoded; a longer one, which no
// DNS can hold, stays as it is (the encoding takes quadratic time).
const maxLabel = 63

// toASCII encodes each label that is not ASCII. A label that is no UTF-8, or too
// long, stays as it is.
func toASCII(domain string) string {
	labels := strings.Split(dots.Replace(domain), ".")
	for i, label := range labels {
		if !isASCII(label) && utf8.ValidString(label) && utf8.RuneCountInString(label) <= maxLabel {
			labels[i] = "xn--" + punycode([]rune(label))
		}
	}
	return strings.Join(labels, ".")
}

// Parameters of Punycode (RFC 3492, section 5).
const (
	punyBase    = 36
	punyTMin    = 1
	punyTMax    = 26
	punySkew    = 38
	punyDamp    = 700
	punyBias    = 72
	punyInitial = 128
)

// punycode encodes a label (RFC 3492, section 6.3). With at most maxLabel runes no
// number in it overflows.
func punycode(label []rune) string {
	const digits = "abcdefghijklmnopqrstuvwxyz0123456789"
	var out strings.Builder
	for _, r := range label {
		if r < punyInitial {
			out.WriteByte(byte(r))
		}
	}
	basic := out.Len()
	if basic > 0 {
		out.WriteByte('-')
	}
	n, delta, bias := rune(punyInitial), 0, punyBias
	for done := basic; done < len(label); {
		next := rune(math.MaxInt32)
		for _, r := range label {
			if r >= n && r < next {
				next = r
			}
		}
		delta += int(next-n) * (done + 1)
		n = next
		for _, r := range label {
			if r < n {
				delta++
			}
			if r != n {
				continue
			}
			q := delta
			for k := punyBase; ; k += punyBase {
				t := min(max(k-bias, punyTMin), punyTMax)
				if q < t {
					break
				}
				out.WriteByte(digits[t+(q-t)%(punyBase-t)])
				q = (q - t) / (punyBase - t)
			}
			out.WriteByte(digits[q])
			bias = adapt(delta, done+1, done == basic)
			delta = 0
			done++
		}
		delta++
		n++
	}
	return out.String()
}

// adapt is the bias adaptation of RFC 3492, section 6.1.
func adapt(delta, points int, first bool) int {
	if first {
		delta /= punyDamp
	} else {
		delta /= 2
	}
	delta += delta / points
	k := 0
	for ; delta > (punyBase-punyTMin)*punyTMax/2; k += punyBase {
		delta /= punyBase - punyTMin
	}
	return k + (punyBase-punyTMin+1)*delta/(delta+punySkew)
}
