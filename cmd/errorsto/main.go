// Code generated from PROGRAMS; DO NOT EDIT.

package main

import (
	"paperpath/internal/proc/host"
	"paperpath/service/chain"
)

func main() { host.Main(&chain.Errorsto) }
