package checkpassword

import (
	"bufio"
	"context"
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"os"
	"strings"

	"paperpath/internal/fsys"
	"paperpath/internal/line"
	"paperpath/internal/proc"
	"paperpath/internal/strerr"
	"paperpath/internal/sys"
)

// Cmd5checkpw is the program cmd5checkpw(8): passwords in clear, of people who
// need no account, for digests too.
var Cmd5checkpw = proc.Program{Name: "cmd5checkpw", Usage: "subprogram [ args ... ]", UsageStatus: 2, Run: cmd5checkpw}

func cmd5checkpw(ctx context.Context, env *proc.Env) error {
	if len(env.Args) < 2 {
		return proc.ErrUsage
	}
	r, err := readRequest(env)
	if err != nil {
		return err
	}
	name, ok := env.Vars.Get("CMD5CHECKPW_FILE")
	if !ok || sys.SetUID() {
		name = "/etc/poppasswd"
	}
	file, err := fsys.OS{}.Open(name, os.O_RDONLY, 0)
	if err != nil {
		return strerr.Unable("open", name, err)
	}
	defer file.Close()
	// Some install it set-uid to whom that file belongs. The file is open, and
	// neither what reads it nor the subprogram needs those rights.
	if sys.SetUID() {
		if err := sys.BecomeCaller(); err != nil {
			return strerr.Unable("give up rights", "", err)
		}
	}
	secret, err := clearPassword(file, r.login)
	if err != nil {
		return strerr.Unable("read", name, err)
	}
	ok = accepts(secret, r)
	r.forget()
	if !ok {
		return unacceptable
	}
	env.Vars.Set("USER", r.login)
	return env.Next(ctx, env, env.Args[1:])
}

// clearPassword finds the password of a login in lines
//
//	login:password
//
// of which the first counts. What follows a second colon is not the password's
// (strtok(3) in main.c). nil: there is none.
func clearPassword(file io.Reader, login string) (secret []byte, err error) {
	r := bufio.NewReader(file)
	for {
		l, err := line.Read(r, '\n', maxLine)
		if err != nil && err != io.EOF {
			return nil, err
		}
		who, rest, _ := strings.Cut(strings.TrimSuffix(string(l), "\n"), ":")
		if nameable(who) && who == login {
			password, _, _ := strings.Cut(rest, ":")
			return []byte(password), nil
		}
		if err == io.EOF {
			return nil, nil
		}
	}
}

// accepts judges a request by the password. Every way is tried, also where there
// is no password at all, so that the time tells little. The strings that come from
// the server, a challenge and qmail-popup's timestamp, are never digests in
// hexadecimal, so that no client can choose both sides.
func accepts(secret []byte, r *request) bool {
	// Of two strings that differ in length, equal says so at once.
	have, want := sha256.Sum256(r.password), sha256.Sum256(secret)
	ok := equal(have[:], want[:])
	if len(r.stamp) > 0 {
		// CRAM-MD5, RFC 2195: the response stands where a password does, as
		// cmd5checkpw 0.30 has it.
		ok = equal(cramMD5(secret, r.stamp), r.password) || ok
		// APOP, RFC 1939 section 7, as qmail-popup hands it on.
		sum := md5.Sum(append(append([]byte{}, r.stamp...), secret...))
		ok = equal([]byte(hex.EncodeToString(sum[:])), r.password) || ok
	}
	if len(r.password) > 0 {
		// cmd5checkpw before 0.30: the challenge first, then the response.
		ok = equal(cramMD5(secret, r.password), r.stamp) || ok
	}
	return ok && len(secret) > 0
}

func cramMD5(secret, challenge []byte) []byte {
	h := hmac.New(md5.New, secret)
	h.Write(challenge)
	return []byte(hex.EncodeToString(h.Sum(nil)))
}
