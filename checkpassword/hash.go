package checkpassword

import (
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"errors"
	"hash"
	"strconv"
	"strings"

	"github.com/go-crypt/x/crypt"
	"github.com/go-crypt/x/yescrypt"
	"golang.org/x/crypto/bcrypt"
)

// Bounds for what a stored password may ask for; every login pays it.
const (
	maxMemory     = 256 << 20 // bytes
	minSHARounds  = 1000
	maxSHARounds  = 10_000_000
	maxBcryptCost = 18
)

var errMethod = errors.New("it is hashed by a method that is not known here, or at too high a cost")

// hashed reports whether stored may be a hashed password at all: "", "x", "*",
// "!" and whatever stands behind one of these lock an account.
func hashed(stored string) bool {
	return strings.HasPrefix(stored, "$") || strings.HasPrefix(stored, "_") || traditional(stored)
}

// traditional reports whether stored looks like crypt(3)'s first method: two
// characters of salt and eleven of a DES block. No library here has it.
func traditional(stored string) bool {
	const alphabet = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	return len(stored) == 13 && strings.Trim(stored, alphabet) == ""
}

// methods are what match knows, by the name between the first two dollar signs.
var methods = map[string]func(stored string, password []byte) (bool, error){
	"argon2id": matchArgon2id,
	"y":        matchYescrypt,
	"6":        func(stored string, password []byte) (bool, error) { return matchSHA(sha512.New, stored, password) },
	"5":        func(stored string, password []byte) (bool, error) { return matchSHA(sha256.New, stored, password) },
	"2a":       matchBcrypt,
	"2b":       matchBcrypt,
	"2y":       matchBcrypt,
	"1":        matchMD5,
}

func method(stored string) func(stored string, password []byte) (bool, error) {
	f := strings.SplitN(stored, "$", 3)
	if len(f) < 3 || f[0] != "" {
		return nil
	}
	return methods[f[1]]
}

// known reports whether stored is hashed by a method that match knows.
func known(stored string) bool { return method(stored) != nil }

// match reports whether password is the one that was hashed as stored (crypt(5),
// and argon2id). The comparison takes the same time wherever they differ.
func match(stored string, password []byte) (bool, error) {
	if f := method(stored); f != nil {
		return f(stored, password)
	}
	return false, errMethod
}

func equal(a, b []byte) bool { return subtle.ConstantTimeCompare(a, b) == 1 }

// $y$params$salt$hash, where params are a letter each for flags, N and r.
func matchYescrypt(stored string, password []byte) (bool, error) {
	f := strings.Split(stored, "$")
	if len(f) != 5 {
		return false, errMethod
	}
	_, n, r, err := yescrypt.DecodeSetting([]byte(f[2]))
	if err != nil || n > 30 || r > 64 || 128*r<<n > maxMemory {
		return false, errMethod
	}
	got, err := yescrypt.Hash(password, []byte(stored))
	if err != nil {
		return false, errMethod
	}
	return equal(got, []byte(stored)), nil
}

// $6$[rounds=N$]salt$hash, and the same with $5$.
func matchSHA(method func() hash.Hash, stored string, password []byte) (bool, error) {
	rest, rounds := stored[len("$6$"):], 5000
	if s, ok := strings.CutPrefix(rest, "rounds="); ok {
		number, behind, _ := strings.Cut(s, "$")
		n, err := strconv.Atoi(number)
		if err != nil || n < minSHARounds || n > maxSHARounds {
			return false, errMethod
		}
		rounds, rest = n, behind
	}
	salt, sum, ok := strings.Cut(rest, "$")
	if !ok || len(salt) > 16 {
		return false, errMethod
	}
	return equal(crypt.KeySHACrypt(method, password, []byte(salt), rounds), []byte(sum)), nil
}

// $1$salt$hash
func matchMD5(stored string, password []byte) (bool, error) {
	salt, sum, ok := strings.Cut(stored[len("$1$"):], "$")
	if !ok || len(salt) > 8 {
		return false, errMethod
	}
	return equal(crypt.KeyMD5Crypt(password, []byte(salt)), []byte(sum)), nil
}

// $2b$cost$salt and hash
func matchBcrypt(stored string, password []byte) (bool, error) {
	cost, err := bcrypt.Cost([]byte(stored))
	if err != nil || cost > maxBcryptCost || len(stored) != len("$2b$05$")+22+31 {
		return false, errMethod
	}
	err = bcrypt.CompareHashAndPassword([]byte(stored), password)
	if err != nil && !errors.Is(err, bcrypt.ErrMismatchedHashAndPassword) {
		return false, errMethod
	}
	return err == nil, nil
}
