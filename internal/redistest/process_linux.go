package redistest

import "syscall"

// attributes lets a server die with a test binary that was itself killed.
func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
