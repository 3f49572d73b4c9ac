package checkpassword

import (
	"encoding/base64"
	"strconv"
	"strings"

	"golang.org/x/crypto/argon2"
)

// phc is an argon2id hash (RFC 9106), written as the PHC string format has it:
//
//	$argon2id$v=19$m=19456,t=2,p=1$salt$key
//
// with salt and key in base64 without padding.
type phc struct {
	memory  uint32 // KiB
	time    uint32 // passes
	threads uint8
	salt    []byte
	key     []byte
}

// What new passwords cost: 19 MB, and some 20 ms. A POP3 server pays it at every
// poll of every mail reader, so it is the least of what is recommended today.
const (
	newMemory  = 19 << 10
	newTime    = 2
	newThreads = 1
	newSalt    = 16
	newKey     = 32
)

const (
	phcHead    = "$argon2id$v=19$"
	maxTime    = 64
	maxThreads = 16
	maxPasses  = 4 * maxMemory >> 10 // memory × time, in KiB: what it takes at the most
)

// hashArgon2id hashes a new password.
func hashArgon2id(password, salt []byte) string {
	h := phc{newMemory, newTime, newThreads, salt, make([]byte, newKey)}
	h.key = h.of(password)
	return h.String()
}

func matchArgon2id(stored string, password []byte) (bool, error) {
	h, ok := parsePHC(stored)
	if !ok {
		return false, errMethod
	}
	return equal(h.of(password), h.key), nil
}

func (h *phc) of(password []byte) []byte {
	return argon2.IDKey(password, h.salt, h.time, h.memory, h.threads, uint32(len(h.key)))
}

func (h *phc) String() string {
	return phcHead + "m=" + strconv.Itoa(int(h.memory)) + ",t=" + strconv.Itoa(int(h.time)) + ",p=" + strconv.Itoa(int(h.threads)) +
		"$" + base64.RawStdEncoding.EncodeToString(h.salt) + "$" + base64.RawStdEncoding.EncodeToString(h.key)
}

// parsePHC refuses what RFC 9106 section 3.1 does not allow, and what would take
// more memory or time than a login is worth.
func parsePHC(s string) (*phc, bool) {
	s, ok := strings.CutPrefix(s, phcHead)
	f := strings.Split(s, "$")
	if !ok || len(f) != 3 {
		return nil, false
	}
	p := strings.Split(f[0], ",")
	if len(p) != 3 {
		return nil, false
	}
	memory, ok1 := parameter(p[0], "m=", maxMemory>>10)
	time, ok2 := parameter(p[1], "t=", maxTime)
	threads, ok3 := parameter(p[2], "p=", maxThreads)
	if !ok1 || !ok2 || !ok3 || memory < 8*threads || memory*time > maxPasses {
		return nil, false
	}
	salt, ok1 := decode(f[1], 8, 64)
	key, ok2 := decode(f[2], 16, 64)
	return &phc{uint32(memory), uint32(time), uint8(threads), salt, key}, ok1 && ok2
}

func parameter(s, name string, limit int) (int, bool) {
	s, ok := strings.CutPrefix(s, name)
	n, err := strconv.ParseUint(s, 10, 31)
	return int(n), ok && err == nil && n >= 1 && n <= uint64(limit)
}

func decode(s string, least, most int) ([]byte, bool) {
	b, err := base64.RawStdEncoding.Strict().DecodeString(s)
	return b, err == nil && least <= len(b) && len(b) <= most
}
