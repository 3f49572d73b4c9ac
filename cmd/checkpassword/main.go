// Code generated from PROGRAMS; DO NOT EDIT.

package main

import (
	"paperpath/internal/proc/host"
	"paperpath/checkpassword"
)

func main() { host.Main(&checkpassword.Checkpassword) }
