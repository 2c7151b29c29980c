package main

import "syscall"

// attributes lets an instance die with a run that was itself killed.
func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
