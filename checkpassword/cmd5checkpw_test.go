package checkpassword

import (
	"strings"
	"testing"

	"paperpath/internal/proc"
	"paperpath/internal/proc/proctest"
)

const secrets = `# Format of this file is one user:pass per line
#off:secret

alice:secret
tim:tanstaaftanstaaf
alice:second
bob@example.org:pa ss:comment
nothing:
none
mrose:tanstaaf
last:one`

func TestCmd5checkpw(t *testing.T) {
	const (
		// RFC 2195 section 2
		challenge = "<1896.697170952@postoffice.reston.mci.net>"
		response  = "b913a602c7eda7a495b4e6e7334d3890"
		// RFC 1939 section 7
		stamp  = "<1896.697170952@dbc.mtview.ca.us>"
		digest = "c4c9334bac560ecc979e58001b3e22fb"
		ofNone = "9bb92b8e8ba0e94a1b3b2b3f5bb45a15"
	)
	name := writeEntries(t, secrets)
	for _, c := range []struct {
		login, password, stamp string
		status                 int
	}{
		{"alice", "secret", "", 0},
		{"alice", "secret", "<1.2@h>", 0}, // PASS by qmail-popup
		{"alice", "second", "", 1},
		{"alice", "Secret", "", 1},
		{"alice", "", "", 1},
		{"bob@example.org", "pa ss", "", 0},
		{"bob@example.org", "pa ss:comment", "", 1},
		{"last", "one", "", 0},
		{"nothing", "", "", 1},
		{"none", "", "", 1},
		{"nobody", "", "", 1},
		{"", "", "", 1},
		{"#off", "secret", "", 1},
		{"tim", response, challenge, 0},
		{"tim", challenge, response, 0}, // before 0.30
		{"tim", strings.ToUpper(response), challenge, 1},
		{"tim", response, challenge + " ", 1},
		{"tim", response, "", 1},
		{"alice", response, challenge, 1},
		{"mrose", digest, stamp, 0},
		{"mrose", stamp, digest, 1},
		{"mrose", digest, stamp[1:], 1},
		{"tim", digest, stamp, 1},
		// HMAC-MD5 of nothing by nothing, and MD5 of nothing.
		{"nothing", "74e6f7298a9c2d168935f58c001bad88", "", 1},
		{"nobody", "d41d8cd98f00b204e9800998ecf8427e", "", 1},
		{"nothing", ofNone, "x", 1},
	} {
		r := proctest.Run(&Cmd5checkpw, proctest.Case{
			Args: []string{"prog", "arg"}, Vars: proc.Vars{"CMD5CHECKPW_FILE=" + name},
			Files: map[int]proc.File{3: proctest.Input(c.login + "\x00" + c.password + "\x00" + c.stamp + "\x00")},
		})
		if r.Status != c.status || r.Err != "" || (len(r.Next) == 2) != (c.status == 0) {
			t.Errorf("%s %s %s: %+v, want %d", c.login, c.password, c.stamp, r, c.status)
		}
		if c.status == 0 && r.Vars.Value("USER") != c.login {
			t.Errorf("USER is %q", r.Vars.Value("USER"))
		}
	}
}

func TestCmd5checkpwMisuse(t *testing.T) {
	for _, c := range []struct {
		request, file string
		status        int
	}{
		{"a\x00b\x00", writeEntries(t, "") + "none", 111},
		{"a\x00b\x00", writeEntries(t, strings.Repeat("x", 5000)), 111},
		{"a\x00b", writeEntries(t, "a:b\n"), 2},
		{strings.Repeat("a\x00", 257), writeEntries(t, "a:a\n"), 1},
	} {
		r := proctest.Run(&Cmd5checkpw, proctest.Case{
			Args: []string{"prog"}, Vars: proc.Vars{"CMD5CHECKPW_FILE=" + c.file},
			Files: map[int]proc.File{3: proctest.Input(c.request)},
		})
		if r.Status != c.status || r.Next != nil {
			t.Errorf("%.10q: %+v, want %d", c.request, r, c.status)
		}
	}
	if r := proctest.Run(&Cmd5checkpw, proctest.Case{}); r.Status != 2 || r.Err != "cmd5checkpw: usage: cmd5checkpw subprogram [ args ... ]\n" {
		t.Errorf("%+v", r)
	}
}

func FuzzClearPassword(f *testing.F) {
	f.Add(secrets, "alice")
	f.Add("a:b", "a")
	f.Add("::\n:", "")
	f.Fuzz(func(t *testing.T, text, login string) {
		secret, err := clearPassword(strings.NewReader(text), login)
		if err == nil && len(secret) > 0 && !strings.Contains("\n"+text, "\n"+login+":"+string(secret)) {
			t.Errorf("%q has no %q for %q", text, secret, login)
		}
	})
}
