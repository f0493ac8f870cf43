//go:build !unix

package client

import "syscall"

// canTry says that the socket of a connection can be read and written without blocking.
const canTry = false

type socket struct{ raw syscall.RawConn }

func (socket) TryWrite([]byte) (int, error) { panic("client: no socket can be tried here") }

func (*reader) readSocket([]byte) (int, error) { panic("client: no socket can be tried here") }
