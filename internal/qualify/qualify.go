// Package qualify makes complete domain names of what people type, as
// dns_ip4_qualify of djb's DNS library does (https://cr.yp.to/djbdns/qualify.html).
// Rules change the end of a name, one after the other:
//
//	=from:to   a name that is from becomes to
//	*from:to   a name that ends with from ends with to
//	?from:to   the same, but only without a dot or bracket before from
//	-from:to   a name that ends with from becomes to
//
// Any other line means nothing. A result with plus signs is several names, to be
// tried in turn: a+.x+.y is a.x and a.y.
//
// The rules are in $DNSREWRITEFILE or /etc/dnsrewrite. Without that file they
// are made of $LOCALDOMAIN, or the first search or domain line of
// /etc/resolv.conf, or what follows the first dot of the host's own name; and
// then they take off a dot at the end.
package qualify

import (
	"bytes"
	"errors"
	"io"
	"os"
	"strings"
	"syscall"

	"paperpath/internal/proc"
	"paperpath/internal/sys"
)

// fileMax bounds what is read of a file.
const fileMax = 64 << 10

// Names returns the complete names that name may stand for, in a program with
// the environment vars. The error is that of a file.
func Names(vars proc.Vars, name string) ([]string, error) {
	rules, err := load(vars, "/etc/resolv.conf")
	if err != nil {
		return nil, err
	}
	return split(rewrite(name, rules)), nil
}

// load is dns_resolvconfrewrite.
func load(vars proc.Vars, resolvConf string) (rules []string, err error) {
	file, ok := vars.Get("DNSREWRITEFILE")
	if !ok {
		file = "/etc/dnsrewrite"
	}
	text, err := read(file)
	if err == nil {
		for line := range strings.SplitSeq(text, "\n") {
			rules = append(rules, strings.TrimRight(line, " \t\r"))
		}
		return rules, nil
	}
	if !errors.Is(err, syscall.ENOENT) {
		return nil, err
	}
	if local, ok := vars.Get("LOCALDOMAIN"); ok {
		return []string{"?:" + plus(strings.Split(local, " ")), "*.:"}, nil
	}
	text, err = read(resolvConf)
	if err != nil && !errors.Is(err, syscall.ENOENT) {
		return nil, err
	}
	for line := range strings.SplitSeq(text, "\n") {
		for _, word := range []string{"search ", "search\t", "domain ", "domain\t"} {
			if rest, ok := strings.CutPrefix(line, word); ok {
				return []string{"?:" + plus(strings.FieldsFunc(rest, blank)), "*.:"}, nil
			}
		}
	}
	host, err := os.Hostname()
	if err != nil {
		return nil, err
	}
	if i := strings.IndexByte(host, '.'); i >= 0 {
		rules = append(rules, "?:"+host[i:])
	}
	return append(rules, "*.:"), nil
}

func blank(r rune) bool { return r == ' ' || r == '\t' }

func read(name string) (string, error) {
	f, err := sys.Open(name, os.O_RDONLY, 0)
	if err != nil {
		return "", err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, fileMax))
	return string(b), err
}

func plus(domains []string) string {
	var b strings.Builder
	for _, d := range domains {
		b.WriteString("+." + d)
	}
	return b.String()
}

// rewrite applies the rules to a name.
func rewrite(name string, rules []string) string {
	for _, rule := range rules {
		if rule == "" || !strings.Contains("?=*-", rule[:1]) {
			continue
		}
		from, to, ok := strings.Cut(rule[1:], ":")
		if !ok || len(name) < len(from) || !bytes.EqualFold([]byte(name[len(name)-len(from):]), []byte(from)) {
			continue
		}
		kind, prefix := rule[0], name[:len(name)-len(from)]
		if kind == '=' && prefix != "" || kind == '?' && strings.ContainsAny(prefix, ".[]") {
			continue
		}
		if kind == '-' {
			prefix = ""
		}
		name = prefix + to
	}
	return name
}

// split returns the names that one with plus signs stands for.
func split(name string) []string {
	parts := strings.Split(name, "+")
	if len(parts) == 1 {
		return parts
	}
	names := parts[1:]
	for i, end := range names {
		names[i] = parts[0] + end
	}
	return names
}
