package strategy

import "strconv"

// Moment is a point in time in nanoseconds since the Unix epoch; 0 is none. Package time is not for the plugin (see
// Milliseconds).
type Moment int64

const (
	secondsPerDay = 86_400
	minYear       = 1970
	maxYear       = 2199 // so that nanoseconds fit
)

// parseMoment reads a date and time of RFC 3339, section 5.6, from 1970 to 2199. Digits of the fraction after the ninth
// are left out.
func parseMoment(text string) (_ Moment, ok bool) {
	number := func(start, digits int) int64 {
		if len(text) < start+digits {
			ok = false
			return 0
		}
		n := int64(0)
		for _, c := range []byte(text[start : start+digits]) {
			if c < '0' || c > '9' {
				ok = false
			}
			n = n*10 + int64(c-'0')
		}
		return n
	}
	const form = "2006-01-02T15:04:05"
	ok = len(text) > len(form)
	for _, i := range [...]int{4, 7, 10, 13, 16} {
		ok = ok && text[i] == form[i]
	}
	if !ok {
		return 0, false
	}
	year, month, day := number(0, 4), number(5, 2), number(8, 2)
	hour, minute, second := number(11, 2), number(14, 2), number(17, 2)
	rest := text[len(form):]
	nanoseconds := int64(0)
	if rest[0] == '.' {
		digits := 0
		for digits+1 < len(rest) && '0' <= rest[digits+1] && rest[digits+1] <= '9' {
			digits++
			if digits <= 9 {
				nanoseconds = nanoseconds*10 + int64(rest[digits]-'0')
			}
		}
		for n := digits; n < 9; n++ {
			nanoseconds *= 10
		}
		ok = ok && digits > 0
		rest = rest[digits+1:]
	}
	offset := int64(0)
	switch {
	case rest == "Z":
	case len(rest) == len("+00:00") && (rest[0] == '+' || rest[0] == '-') && rest[3] == ':':
		text = rest
		hours, minutes := number(1, 2), number(4, 2)
		ok = ok && hours <= 23 && minutes <= 59
		offset = (hours*60 + minutes) * 60
		if rest[0] == '-' {
			offset = -offset
		}
	default:
		return 0, false
	}
	if !ok || year < minYear || year > maxYear || month < 1 || month > 12 || day < 1 || day > daysIn(year, month) ||
		hour > 23 || minute > 59 || second > 59 {
		return 0, false
	}
	seconds := daysSinceEpoch(year, month, day)*secondsPerDay + hour*3600 + minute*60 + second - offset
	return Moment(seconds*nanosecondsPerSecond + nanoseconds), seconds > 0
}

// String returns the moment as RFC 3339 in UTC, with a fraction if it has one.
func (m Moment) String() string {
	seconds, nanoseconds := int64(m)/nanosecondsPerSecond, int64(m)%nanosecondsPerSecond
	day, second := seconds/secondsPerDay, seconds%secondsPerDay
	year, month := int64(minYear), int64(1)
	for days := daysIn(year, month); day >= days; days = daysIn(year, month) {
		day -= days
		year, month = nextMonth(year, month)
	}
	b := make([]byte, 0, len("2006-01-02T15:04:05.000000000Z"))
	for _, part := range [...]struct {
		before string
		n      int64
	}{{"", year}, {"-", month}, {"-", day + 1}, {"T", second / 3600}, {":", second / 60 % 60}, {":", second % 60}} {
		b = append(b, part.before...)
		if part.n < 10 {
			b = append(b, '0')
		}
		b = strconv.AppendInt(b, part.n, 10)
	}
	if nanoseconds > 0 {
		digits := strconv.FormatInt(nanosecondsPerSecond+nanoseconds, 10)[1:]
		for digits[len(digits)-1] == '0' {
			digits = digits[:len(digits)-1]
		}
		b = append(append(b, '.'), digits...)
	}
	return string(append(b, 'Z'))
}

// daysIn returns the days of a month, from 1.
func daysIn(year, month int64) int64 {
	switch month {
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	case 4, 6, 9, 11:
		return 30
	}
	return 31
}

func daysSinceEpoch(year, month, day int64) int64 {
	days := day - 1
	for y, m := int64(minYear), int64(1); y < year || m < month; y, m = nextMonth(y, m) {
		days += daysIn(y, m)
	}
	return days
}

func nextMonth(year, month int64) (nextYear, next int64) {
	if month == 12 {
		return year + 1, 1
	}
	return year, month + 1
}
