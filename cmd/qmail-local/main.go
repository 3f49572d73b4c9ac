// Code generated from PROGRAMS; DO NOT EDIT.

package main

import (
	"paperpath/internal/proc/host"
	"paperpath/mta/local"
)

func main() { host.Main(&local.QmailLocal) }
