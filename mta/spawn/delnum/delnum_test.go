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
	for report, want := range map[string]int{
		"w255": 255, "w500": 500, "w65000": 65000,
		"": -1, "w": -1, "w254": -1, "w65001": -1, "w0500": -1, "w+500": -1, "w500 ": -1, "500": -1,
		"ZInternal error: delnum too big. (#4.3.5)\n": -1,
	} {
		limit, ok := ParseAnswer(report)
		if ok != (want > 0) || ok && limit != want {
			t.Errorf("%q: %d, %v", report, limit, ok)
		}
	}
}
