// Code generated from PROGRAMS; DO NOT EDIT.

package main

import (
	"paperpath/internal/proc/host"
	"paperpath/rblsmtpd"
)

func main() { host.Main(&rblsmtpd.Rblsmtpd) }
