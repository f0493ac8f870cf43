package proc

import (
	"os"
	"testing"
	"time"
)

func TestCPUCounts(t *testing.T) {
	before, err := CPU(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(50 * time.Millisecond); time.Now().Before(end); {
	}
	after, err := CPU(os.Getpid())
	if used := after - before; err != nil || used < 5*time.Millisecond || used > 10*time.Second {
		t.Errorf("used %v in 50 ms, %v", used, err)
	}
	if _, err := CPU(1<<22 + 1); err == nil {
		t.Error("a process that does not exist has a CPU clock")
	}
}

func TestResident(t *testing.T) {
	if n, err := Resident(os.Getpid()); err != nil || n < 1<<20 {
		t.Errorf("%d bytes, %v", n, err)
	}
}

func TestThisMachine(t *testing.T) {
	if m := ThisMachine(); m.Cores < 1 || m.Kernel == "" || m.Go == "" || m.Memory <= 0 {
		t.Errorf("%+v", m)
	}
}

func TestServerThatSaysNothing(t *testing.T) {
	if _, err := Start(t.Context(), "sh", "-c", "echo no use >&2; exit 3"); err == nil {
		t.Error("started")
	}
}

func TestOthersAreNotUs(t *testing.T) {
	before := NowLoad()
	for end := time.Now().Add(200 * time.Millisecond); time.Now().Before(end); {
	}
	share := NowLoad().Others(before, ThisMachine().Cores)
	if share < 0 || share > 1.1 {
		t.Errorf("others took %.2f of the machine", share)
	}
	busy := Load{at: before.at.Add(time.Second), busy: before.busy + time.Second, own: before.own + 600*time.Millisecond}
	if share := busy.Others(before, 2); share < 0.199 || share > 0.201 {
		t.Errorf("0.4 s of 2 are %.3f", share)
	}
}
