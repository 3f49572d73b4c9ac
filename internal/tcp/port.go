package tcp

import (
	"bufio"
	"math"
	"os"
	"strconv"
	"strings"

	"paperpath/internal/decimal"
)

// Port understands a port's number and its name in /etc/services. Nothing at
// all is 0, as in C.
func Port(service string) (port uint16, ok bool) {
	if n, digits := decimal.Prefix(service); digits == len(service) {
		return uint16(n), n <= math.MaxUint16
	}
	f, err := os.Open("/etc/services")
	if err != nil {
		return 0, false
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		text, _, _ := strings.Cut(s.Text(), "#")
		words := strings.Fields(text) // name port/protocol alias…
		if len(words) < 2 {
			continue
		}
		n, protocol, _ := strings.Cut(words[1], "/")
		words[1] = words[0]
		for _, name := range words[1:] {
			if name == service && protocol == "tcp" {
				u, err := strconv.ParseUint(n, 10, 16)
				return uint16(u), err == nil
			}
		}
	}
	return 0, false
}
