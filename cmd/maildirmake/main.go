// Code generated from PROGRAMS; DO NOT EDIT.

package main

import (
	"paperpath/internal/proc/host"
	"paperpath/mta/maildir"
)

func main() { host.Main(&maildir.Maildirmake) }
