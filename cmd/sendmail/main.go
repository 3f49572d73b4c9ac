// Code generated from PROGRAMS; DO NOT EDIT.

package main

import (
	"paperpath/internal/proc/host"
	"paperpath/mta/inject"
)

func main() { host.Main(&inject.Sendmail) }
