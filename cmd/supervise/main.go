// Code generated from PROGRAMS; DO NOT EDIT.

package main

import (
	"paperpath/internal/proc/host"
	"paperpath/supervise"
)

func main() { host.Main(&supervise.Supervise) }
