package local

import (
	"strings"
	"time"

	"paperpath/internal/quote"
)

// fields are the lines that a delivery puts before a message, line feeds
// included.
type fields struct {
	from       string // the From_ line of an mbox: UFLINE
	returnPath string // RPLINE
	delivered  string // DTLINE
}

// newFields makes the lines. The addresses come from strangers. C qmail
// replaces the line feeds in them; here all control bytes but the tab go, with
// which one could play tricks on whoever displays or parses the header.
func newFields(to *Recipient, sender string, now time.Time) fields {
	name := sender
	if name == "" {
		name = "MAILER-DAEMON"
	}
	return fields{
		from: "From " + replace(name, '-', func(c byte) bool { return control(c) || c == ' ' || c == '\t' }) +
			now.UTC().Format(" Mon Jan 02 15:04:05 2006\n"),
		returnPath: "Return-Path: <" + replace(quote.Address(sender), '_', control) + ">\n",
		delivered:  "Delivered-To: " + replace(to.Local+"@"+to.Host, '_', control) + "\n",
	}
}

func control(c byte) bool { return c < ' ' && c != '\t' || c == 0x7f }

func replace(s string, by byte, bad func(byte) bool) string {
	b := []byte(s)
	for i, c := range b {
		if bad(c) {
			b[i] = by
		}
	}
	return string(b)
}

// setVars sets what qmail-command(8) promises to commands, but for DEFAULT and
// NEWSENDER, which depend on the files found.
func (d *delivery) setVars() {
	d.vars.Set("HOST", d.Host)
	d.vars.Set("HOME", d.Home)
	d.vars.Set("USER", d.User)
	d.vars.Set("LOCAL", d.Local)
	d.vars.Set("RECIPIENT", d.Local+"@"+d.Host)
	d.vars.Set("DTLINE", d.fields.delivered)
	d.vars.Set("SENDER", d.sender)
	d.vars.Set("RPLINE", d.fields.returnPath)
	d.vars.Set("UFLINE", d.fields.from)

	d.vars.Set("EXT", d.Ext)
	ext := d.Ext
	for _, name := range []string{"EXT2", "EXT3", "EXT4"} {
		_, ext, _ = strings.Cut(ext, "-")
		d.vars.Set(name, ext)
	}
	host := d.Host
	for _, name := range []string{"HOST2", "HOST3", "HOST4"} {
		if dot := strings.LastIndexByte(host, '.'); dot >= 0 {
			host = host[:dot]
		}
		d.vars.Set(name, host)
	}
}
