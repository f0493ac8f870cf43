package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"syscall"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/fanqie/tank-websocket-go-server/bench/internal/control"
	"github.com/fanqie/tank-websocket-go-server/bench/internal/setup"
)

// serveBroker is what connects several servers.
func serveBroker(kind, dir string) error {
	if kind == "redis" {
		return execRedis()
	}
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, NoLog: true, NoSigs: true, JetStream: dir != "", StoreDir: dir})
	if err != nil {
		return err
	}
	s.Start()
	if !s.ReadyForConnections(5 * time.Second) {
		return fmt.Errorf("nats is not ready")
	}
	if err := ready(s.Addr().String()); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

func ready(addr string) error {
	return json.NewEncoder(os.Stdout).Encode(control.Ready{Subscribers: addr})
}

// execRedis becomes Redis, which keeps nothing on disk. It knows nothing of standard input, so it is to end with its parent.
func execRedis() error {
	name, err := exec.LookPath(setup.RedisProgram)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	addr := l.Addr().(*net.TCPAddr)
	l.Close()
	if err := ready(addr.String()); err != nil {
		return err
	}
	const setDeathSignal = 1 // PR_SET_PDEATHSIG, see prctl(2)
	if _, _, errno := syscall.RawSyscall(syscall.SYS_PRCTL, setDeathSignal, uintptr(syscall.SIGKILL), 0); errno != 0 {
		return errno
	}
	return syscall.Exec(name, []string{name, "--port", fmt.Sprint(addr.Port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"}, os.Environ())
}
