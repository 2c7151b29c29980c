package main

import "syscall"

// attributes lets redis-server die with a benchmark that was itself killed.
func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
