//go:build !unix

package client

import (
	"errors"
	"syscall"
)

// unblock says that no socket can be read and written without blocking.
func unblock(syscall.RawConn) error { return errors.ErrUnsupported }

type socket struct{ raw syscall.RawConn }

func (socket) TryWrite([]byte) (int, error) { panic("client: no socket can be tried here") }

func (*reader) readSocket([]byte) (int, error) { panic("client: no socket can be tried here") }
