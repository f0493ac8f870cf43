package load

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"time"
)

// ipBindAddressNoPort is IP_BIND_ADDRESS_NO_PORT of ip(7): the port is chosen by connect, which knows the destination
// and so can use one port for several.
const ipBindAddressNoPort = 24

// sources is over how many source addresses the connections are spread.
const sources = 8

// connect opens a socket to addr, from 127.0.0.2 and following. It is blocking until then: on loopback, connect only
// waits for room in the server's backlog.
func connect(addr netip.AddrPort, number int, smallBuffers bool) (fd int, err error) {
	fd, err = syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	defer func() {
		if err != nil {
			syscall.Close(fd)
		}
	}()
	from := &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, byte(2 + number%sources)}}
	if err := syscall.SetsockoptInt(fd, syscall.IPPROTO_IP, ipBindAddressNoPort, 1); err != nil {
		return fd, fmt.Errorf("setsockopt: %w", err)
	}
	// Closing with a reset leaves no port in TIME_WAIT behind, of which the next contender would run short.
	if err := syscall.SetsockoptLinger(fd, syscall.SOL_SOCKET, syscall.SO_LINGER, &syscall.Linger{Onoff: 1}); err != nil {
		return fd, fmt.Errorf("setsockopt: %w", err)
	}
	if err := syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1); err != nil {
		return fd, fmt.Errorf("setsockopt: %w", err)
	}
	if smallBuffers {
		// The server's buffer is some segments large at first, and those of the loopback interface are of 64 KiB.
		if err := errors.Join(syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_MAXSEG, 536),
			syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_RCVBUF, 4096)); err != nil {
			return fd, fmt.Errorf("setsockopt: %w", err)
		}
	}
	if err := syscall.Bind(fd, from); err != nil {
		return fd, fmt.Errorf("bind: %w", err)
	}
	for {
		err = syscall.Connect(fd, &syscall.SockaddrInet4{Port: int(addr.Port()), Addr: addr.Addr().As4()})
		if !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	if err != nil && !errors.Is(err, syscall.EISCONN) {
		return fd, fmt.Errorf("connect: %w", err)
	}
	return fd, syscall.SetNonblock(fd, true)
}

// writeAll writes to a non-blocking socket. It waits for room, which what the clients say hardly ever needs.
func writeAll(fd int, b []byte) error {
	for deadline := time.Now().Add(10 * time.Second); len(b) > 0; {
		n, err := syscall.Write(fd, b)
		switch {
		case errors.Is(err, syscall.EINTR):
		case errors.Is(err, syscall.EAGAIN) && time.Now().Before(deadline):
			time.Sleep(time.Millisecond)
		case err != nil:
			return err
		default:
			b = b[n:]
		}
	}
	return nil
}

func parseAddr(addr string) (netip.AddrPort, error) {
	tcp, err := net.ResolveTCPAddr("tcp4", addr)
	if err != nil {
		return netip.AddrPort{}, err
	}
	parsed := tcp.AddrPort()
	return netip.AddrPortFrom(parsed.Addr().Unmap(), parsed.Port()), nil
}
