// Code generated from PROGRAMS; DO NOT EDIT.

package main

import (
	"paperpath/internal/proc/host"
	"paperpath/mta/admin"
)

func main() { host.Main(&admin.QmailShowctl) }
