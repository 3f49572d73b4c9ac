package received

import "testing"

func TestHops(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		want       int
	}{
		{"none", "Subject: received\n\nReceived: body\n", 0},
		{"both, in any case", "Received: a\nrECEIVED: b\nDelivered-To: c\ndelivered-to: d\n\n", 4},
		{"no colon needed", "Receivedx\nreceived\nDelivered\n", 3},
		{"almost", " Received: folded\nReceive\nDelivere\nX-Received: a\n", 0},
		{"CR LF in the decoded text ends no header", "a: b\n\r\nReceived: x\n", 1},
		{"the last line counts when it ends", "Received", 0},
	} {
		for size := 1; size <= len(tt.text); size++ {
			var h Hops
			for rest := tt.text; rest != ""; {
				n := min(size, len(rest))
				h.Scan([]byte(rest[:n]))
				rest = rest[n:]
			}
			if h.n != tt.want {
				t.Errorf("%s, %d bytes at a time: %d hops, want %d", tt.name, size, h.n, tt.want)
			}
		}
	}
}
