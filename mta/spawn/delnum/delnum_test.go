package delnum

import "testing"

func TestNumbers(t *testing.T) {
	for _, c := range []struct {
		width Width
		n     int
		bytes string
	}{
		{Narrow, 0, "\x00"}, {Narrow, 254, "\xfe"},
		{Wide, 0, "\x00\x00"}, {Wide, 255, "\xff\x00"}, {Wide, 256, "\x00\x01"}, {Wide, 64999, "\xe7\xfd"},
	} {
		if got := string(c.width.Append(nil, c.n)); got != c.bytes {
			t.Errorf("%d in %d bytes: %q", c.n, c.width, got)
		}
		if got := c.width.Number([]byte(c.bytes + "Krest")); got != c.n {
			t.Errorf("%q: %d", c.bytes, got)
		}
	}
}

func TestAnswers(t *testing.T) {
	const no, bad = 0, -1
	for report, want := range map[string]int{
		"w255": 255, "w500": 500, "w65000": 65000,
		"": no, "500": no, "ZInternal error: delnum too big. (#4.3.5)\n": no,
		"w": bad, "w254": bad, "w65001": bad, "w0500": bad, "w+500": bad, "w500 ": bad, "wide": bad,
	} {
		limit, wide, err := ParseAnswer(report)
		if wide != (want != no) || (err != nil) != (want == bad) || limit != max(want, 0) {
			t.Errorf("%q: %d, %v, %v", report, limit, wide, err)
		}
	}
}
