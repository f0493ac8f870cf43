package actor

import (
	"fmt"
	"runtime/debug"
)

// PanicError is a recovered panic as an error.
type PanicError struct {
	Value any    // what was passed to panic
	Stack []byte // the stack of the goroutine that panicked, as runtime/debug.Stack formats it
}

// Error returns the panic's value, without the stack.
func (e *PanicError) Error() string { return fmt.Sprintf("panic: %v", e.Value) }

// Unwrap returns the panic's value when that is an error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

// Try calls f and returns its error, or a *PanicError when it panics.
func Try(f func() error) (err error) {
	if p := Recovered(func() { err = f() }); p != nil {
		return p
	}
	return err
}

// Recovered calls f and returns the panic, if there was one.
func Recovered(f func()) (err *PanicError) {
	defer func() {
		if v := recover(); v != nil {
			err = &PanicError{Value: v, Stack: debug.Stack()}
		}
	}()
	f()
	return nil
}
