// Code generated from PROGRAMS; DO NOT EDIT.

package main

import (
	"paperpath/internal/proc/host"
	"paperpath/mta/user"
)

func main() { host.Main(&user.Qreceipt) }
