package send

import (
	"strings"
	"testing"

	"paperpath/mta/control"
)

func testRules() *rules {
	return &rules{
		envNoAtHost: "me.example",
		percentHack: control.Set([]string{"hack.example", "hub.example"}),
		locals:      control.Set([]string{"me.example", "hack.example"}),
		virtual: control.Colon([]string{
			"v.example:alias-v", ".w.example:joe-w", "exc.w.example:", "user@x.example:whole", ".fax:uucp",
			"not a line",
		}),
	}
}

func TestRewrite(t *testing.T) {
	r := testRules()
	for _, c := range []struct {
		in      string
		channel channel
		out     string
	}{
		{"joe", local, "joe@me.example"},
		{"", local, "@me.example"},
		{"Joe@ME.example", local, "Joe@ME.example"},
		{"joe@there.example", remote, "joe@there.example"},
		{"joe@", remote, "joe@"},
		{"a@b@me.example", local, "a@b@me.example"},
		{"joe%there.example@hack.example", remote, "joe@there.example"},
		{"joe%me.example%hub.example@hack.example", local, "joe@me.example"},
		{"joe%there.example@me.example", local, "joe%there.example@me.example"},
		{"joe@hack.example", local, "joe@hack.example"},
		{"joe@hub.example", remote, "joe@hub.example"},
		{"u@v.example", local, "alias-v-u@v.example"},
		{"u@V.Example", local, "alias-v-u@V.Example"},
		{"u@sub.v.example", remote, "u@sub.v.example"},
		{"u@w.example", remote, "u@w.example"},
		{"u@a.b.w.example", local, "joe-w-u@a.b.w.example"},
		{"u@exc.w.example", remote, "u@exc.w.example"},
		{"u@deep.exc.w.example", local, "joe-w-u@deep.exc.w.example"},
		{"USER@x.example", local, "whole-USER@x.example"},
		{"other@x.example", remote, "other@x.example"},
		{"u@1234.fax", local, "uucp-u@1234.fax"},
	} {
		if ch, out := r.rewrite(c.in); ch != c.channel || out != c.out {
			t.Errorf("%q: %v %q, want %v %q", c.in, ch, out, c.channel, c.out)
		}
	}
	r.virtual[""] = "all"
	if ch, out := r.rewrite("u@anywhere.example"); ch != local || out != "all-u@anywhere.example" {
		t.Errorf("catch-all: %v %q", ch, out)
	}
	if ch, _ := r.rewrite("u@exc.w.example"); ch != remote {
		t.Error("an exception is caught by the catch-all")
	}
}

func TestStripPrependIsTheWayBack(t *testing.T) {
	r := testRules()
	for in, want := range map[string]string{
		"alias-v-u@v.example":     "u@v.example",
		"joe-w-u@a.w.example":     "u@a.w.example",
		"alias-v-u@other.example": "alias-v-u@other.example",
		"x-u@v.example":           "x-u@v.example",
		"u@exc.w.example":         "u@exc.w.example",
		"whole-user@x.example":    "whole-user@x.example", // as in C
		"nohost":                  "nohost",
	} {
		if got := r.stripPrepend(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func TestVERP(t *testing.T) {
	for _, c := range [][3]string{
		{"list-@host-@[]", "god@heaven.af.mil", "list-god=heaven.af.mil@host"},
		{"list-@host-@[]", "a@b@c", "list-a@b=c@host"},
		{"list-@host-@[]", "nohost", "list-@host-@[]"},
		{"nohost-@[]", "a@b", "nohost-@[]"},
		{"-@[]", "a@b", "-@[]"},
		{"@-@[]", "a@b", "a=b@"},
		{"list-@host", "a@b", "list-@host"},
		{"#@[]", "a@b", "#@[]"},
		{"", "a@b", ""},
	} {
		if got := senderFor(c[0], c[1]); got != c[2] {
			t.Errorf("%q for %q: %q, want %q", c[0], c[1], got, c[2])
		}
	}
	for in, want := range map[string]string{"list-@host-@[]": "list-@host", "-@[]": "", "#@[]": "#@[]", "a@b": "a@b"} {
		if got := bounceSender(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func FuzzRewrite(f *testing.F) {
	for _, s := range []string{"", "@", "%", "a%b%c@hack.example", "%@hack.example", "u@v.example", "..@.."} {
		f.Add(s, "list-@host-@[]")
	}
	f.Fuzz(func(t *testing.T, recipient, sender string) {
		r := testRules()
		ch, out := r.rewrite(recipient)
		if !strings.Contains(out, "@") {
			t.Errorf("%q became %q", recipient, out)
		}
		// virtualdomains is the last rule: undoing it gives an address that
		// it does not undo differently.
		if back := r.stripPrepend(out); ch == remote && len(back) > len(out) {
			t.Errorf("%q grew to %q", out, back)
		}
		if got := senderFor(sender, recipient); !strings.HasSuffix(sender, verpMark) && got != sender {
			t.Errorf("sender %q became %q", sender, got)
		}
		// One paragraph for one recipient, whatever the report says.
		if text := string(bounceText(recipient, sender)); strings.Contains(strings.TrimRight(text, "\n"), "\n\n") {
			t.Errorf("an empty line in %q", text)
		}
	})
}

func TestDecimal(t *testing.T) {
	if got := decimal(uint64(1<<64 - 1)); got != "18446744073709551615" {
		t.Error(got)
	}
	if got := decimal(int64(-1)); got != "-1" {
		t.Error(got)
	}
	if got := decimal(0); got != "0" {
		t.Error(got)
	}
}
