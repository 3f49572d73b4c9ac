package local

import (
	"strings"
	"time"

	"paperpath/internal/quote"
	"paperpath/mta/mbox"
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
	return fields{
		from:       mbox.FromLine(sender, now),
		returnPath: "Return-Path: <" + visible(quote.Address(sender)) + ">\n",
		delivered:  "Delivered-To: " + visible(to.Local+"@"+to.Host) + "\n",
	}
}

// visible replaces control bytes, but not the tab.
func visible(s string) string {
	b := []byte(s)
	for i, c := range b {
		if c < ' ' && c != '\t' || c == 0x7f {
			b[i] = '_'
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
