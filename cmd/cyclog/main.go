// Code generated from PROGRAMS; DO NOT EDIT.

package main

import (
	"paperpath/internal/proc/host"
	"paperpath/multilog"
)

func main() { host.Main(&multilog.Cyclog) }
