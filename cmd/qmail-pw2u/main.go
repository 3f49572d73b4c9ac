// Code generated from PROGRAMS; DO NOT EDIT.

package main

import (
	"paperpath/internal/proc/host"
	"paperpath/mta/users"
)

func main() { host.Main(&users.QmailPw2u) }
