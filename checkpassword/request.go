package checkpassword

import (
	"bytes"
	"io"

	"paperpath/internal/proc"
	"paperpath/internal/strerr"
)

// maxRequest is how much there may be on descriptor 3.
const maxRequest = 512

// How the programs end when they do not go on as the next one. Anything else
// is temporary, and 111.
const (
	unacceptable = proc.Exit(1)
	misused      = proc.Exit(2)
)

// request is what a login is judged by.
type request struct {
	login    string
	password []byte // or a digest
	stamp    []byte // what a digest was made of, if it is one
}

// readRequest reads descriptor 3 to its end and closes it.
func readRequest(env *proc.Env) (*request, error) {
	b, err := io.ReadAll(io.LimitReader(env.Files[3], maxRequest+1))
	if err != nil {
		return nil, strerr.Unable("read", "descriptor 3", err)
	}
	env.Files[3].Close()
	if len(b) > maxRequest {
		return nil, unacceptable
	}
	return parseRequest(b)
}

// parseRequest cuts what was read into its strings. The NUL behind the third
// may be missing, the third itself also: checkpassword.c looks at two.
func parseRequest(b []byte) (*request, error) {
	login, rest, ok := bytes.Cut(b, []byte{0})
	if !ok {
		return nil, misused
	}
	password, rest, ok := bytes.Cut(rest, []byte{0})
	if !ok {
		return nil, misused
	}
	stamp, _, _ := bytes.Cut(rest, []byte{0})
	return &request{string(login), password, stamp}, nil
}

// forget wipes the secrets, so that no core dump has them.
func (r *request) forget() {
	clear(r.password)
	clear(r.stamp)
}
