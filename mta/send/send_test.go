package send

import (
	"strings"
	"testing"
)

func TestMessageGoesThrough(t *testing.T) {
	h := open(t, emptyQueue(), usual)
	h.send("Subject: hello\n\nhello\n", "a@there.example", "me@here.example", "you@there.example")
	h.awaitEmpty()
	h.close()
	if d := h.deliveries(); len(d) != 2 || d[0].sender != "a@there.example" || !strings.Contains(d[0].body, "hello") {
		t.Errorf("%+v", d)
	}
	for _, want := range []string{
		"status: local 0/10 remote 0/20\nnew msg ", " from <a@there.example> qp 4711 uid 7791\n",
		"starting delivery 1: msg ", " to local me@here.example\n", " to remote you@there.example\n",
		"status: local 1/10 remote 1/20\n", "delivery 2: success: did_1+0+0/\n", "end msg ", "status: exiting\n",
	} {
		if !strings.Contains(h.log.String(), want) {
			t.Errorf("no %q in the log:\n%s", want, h.log)
		}
	}
}
