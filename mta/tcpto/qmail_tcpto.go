package tcpto

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"strconv"

	"paperpath/internal/proc"
	"paperpath/internal/strerr"
	"paperpath/mta/layout"
)

// QmailTcpto is the program qmail-tcpto(8): it prints the table.
var QmailTcpto = proc.Program{Name: "qmail-tcpto", Run: qmailTcpto}

func qmailTcpto(_ context.Context, env *proc.Env) error {
	t := Of(layout.Home(env.Vars))
	if _, err := os.Stat(t.lock + "/."); err != nil {
		return fatal(env, "unable to chdir", err)
	}
	out, err := t.list(nil, v4)
	if err == nil {
		out, err = t.list(out, v6)
		if errors.Is(err, os.ErrNotExist) {
			err = nil // a home that the C programs laid out has none
		}
	}
	var failed *os.PathError
	if errors.As(err, &failed) {
		return fatal(env, "unable to "+failed.Op+" "+failed.Path, err)
	}
	env.Files[1].Write(out)
	return nil
}

// list appends a line for each host that timed out lately.
func (t *Table) list(dst []byte, format format) ([]byte, error) {
	// The lock is exclusive, as the C program's: the file must be one that the
	// caller may write.
	r, err := t.read(format, os.O_RDWR)
	if err != nil {
		return dst, err
	}
	defer r.file.Close()
	now := int64(t.clock())
	for i := range r.rows() {
		if r.count(i) == 0 {
			continue
		}
		addr, _ := netip.AddrFromSlice(r.row(i)[:r.addr])
		dst = addr.AppendTo(dst)
		dst = append(dst, " timed out "...)
		dst = strconv.AppendInt(dst, max(0, now-int64(r.when(i))), 10)
		dst = append(dst, " seconds ago; # recent timeouts: "...)
		dst = strconv.AppendUint(dst, uint64(r.count(i)), 10)
		dst = append(dst, '\n')
	}
	return dst, nil
}

// fatal complains where the table would be: on descriptor 1, without a name.
func fatal(env *proc.Env, what string, err error) error {
	env.Files[1].Write([]byte("fatal: " + what + ": " + strerr.Text(err) + "\n"))
	return proc.Exit(proc.StatusTemporary)
}

// QmailTcpok is the program qmail-tcpok(8): it clears the table.
var QmailTcpok = proc.Program{Name: "qmail-tcpok", Run: qmailTcpok}

func qmailTcpok(_ context.Context, env *proc.Env) error {
	home := layout.Home(env.Vars)
	for _, dir := range []string{home, home + "/queue/lock"} {
		if _, err := os.Stat(dir + "/."); err != nil {
			return strerr.Unable("chdir to", dir, err)
		}
	}
	if err := Of(home).Clear(); err != nil {
		return strerr.Unable("write", home+"/queue/lock/tcpto", err)
	}
	return nil
}
