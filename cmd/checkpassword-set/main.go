// Code generated from PROGRAMS; DO NOT EDIT.

package main

import (
	"paperpath/checkpassword"
	"paperpath/internal/proc/host"
)

func main() { host.Main(&checkpassword.CheckpasswordSet) }
