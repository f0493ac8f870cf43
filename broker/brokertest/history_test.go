package brokertest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fanqie/tank-websocket-go-server/broker"
)

// reset publishes a Reset to "news".
func (d *desk) reset() {
	d.t.Helper()
	_, err := d.Publish(d.t.Context(), "news", broker.Publication{Keep: true, Reset: true})
	d.must(err)
}

// after checks a page of "news", as printed by a diary.
func (d *desk) after(epoch string, offset uint64, most int, whole, more bool, want ...string) {
	d.t.Helper()
	p, err := d.After(d.t.Context(), "news", epoch, offset, most)
	d.must(err)
	var got diary
	got.Deliver(p.Messages)
	got.is(d.t, want...)
	if p.Whole != whole || p.More != more {
		d.t.Errorf("After(%d) is whole: %v, and there is more: %v", offset, p.Whole, p.More)
	}
}

// afterFails checks the error of After.
func (d *desk) afterFails(want error) {
	d.t.Helper()
	if _, err := d.After(d.t.Context(), "news", "epoch-1", 0, 10); !errors.Is(err, want) {
		d.t.Errorf("After returned %v, not %v", err, want)
	}
}

func TestHealFills(t *testing.T) {
	script(t, NewKeepingNetwork, func(t *testing.T, w *Network, one, two *desk) {
		one.told.is(t, "began epoch-1 0")
		two.told.is(t, "began epoch-1 0")
		one.publish("1")
		two.Cut()
		one.publish("2", "3")
		two.told.is(t, "1 7 after 0")
		two.Heal()
		two.told.is(t, "2 14 after 7", "3 21 after 14")
		one.publish("4")
		two.told.is(t, "4 28 after 21")
		w.Cut()
		w.Heal()
		one.publish("5")
		two.told.is(t, "5 35 after 28")

		two.Cut()
		one.publish("6", "7", "8")
		w.Forget("news", 2)
		two.Heal()
		two.told.is(t, "lost", "began epoch-1 42", "7 49 after 42", "8 56 after 49")
		two.Cut()
		one.publish("9")
		w.Forget("news", 0)
		two.Heal()
		one.publish("10")
		two.told.is(t, "lost", "began epoch-1 63", "10 70 after 63")
	})
}

func TestRestartBeginsAnEpoch(t *testing.T) {
	script(t, NewKeepingNetwork, func(t *testing.T, w *Network, one, two *desk) {
		one.publish("1")
		two.told.is(t, "began epoch-1 0", "1 7 after 0")
		w.Restart()
		one.publish("2")
		two.told.is(t, "lost", "began epoch-2 0", "2 7 after 0")
		one.watch.is(t, "down 0", "up")

		two.Cut()
		w.Restart()
		one.publish("3", "4")
		two.told.is(t)
		two.Heal()
		two.told.is(t, "lost", "began epoch-3 0", "3 7 after 0", "4 14 after 7")

		two.Cut()
		w.Restart()
		one.publish("5", "6")
		w.Forget("news", 1)
		two.Heal()
		two.told.is(t, "lost", "began epoch-4 7", "6 14 after 7")
	})
}

func TestLoseWhatIsKept(t *testing.T) {
	script(t, NewKeepingNetwork, func(t *testing.T, _ *Network, one, two *desk) {
		two.Lose(1)
		one.publish("1", "2")
		two.told.is(t, "began epoch-1 0", "lost", "began epoch-1 7", "2 14 after 7")
		two.LoseSilently(1)
		one.publish("3", "4")
		two.told.is(t, "4 28 after 21")
	})
}

func TestCutDelaysWhatIsKept(t *testing.T) {
	script(t, NewKeepingNetwork, func(t *testing.T, _ *Network, one, two *desk) {
		one.publish("1")
		two.told.is(t, "began epoch-1 0", "1 7 after 0")
		two.Delay(time.Minute)
		one.publish("2")
		two.Delay(0)
		one.publish("3")
		two.Cut()
		one.publish("4")
		two.Heal()
		two.told.is(t, "2 14 after 7", "3 21 after 14", "4 28 after 21")

		two.Delay(time.Minute)
		one.publish("5")
		two.Lose(1)
		one.publish("6", "7")
		two.Cut()
		two.Heal() // Lost is for "5", too, which came before "6"
		two.told.is(t, "lost", "began epoch-1 42")
		time.Sleep(time.Minute)
		two.told.is(t, "7 49 after 42")
	})
}

func TestReset(t *testing.T) {
	script(t, NewKeepingNetwork, func(t *testing.T, _ *Network, one, two *desk) {
		one.publish("1")
		two.Cut()
		one.reset()
		one.publish("2")
		two.Heal()
		two.told.is(t, "began epoch-1 0", "1 7 after 0", "reset 14 after 7", "2 21 after 14")
		one.after("epoch-1", 0, 10, false, false, "2 21 after 14")
		one.after("epoch-1", 7, 10, false, false, "2 21 after 14")
		one.after("epoch-1", 14, 10, true, false, "2 21 after 14")
		one.after("epoch-1", 21, 10, true, false)

		two.Cut()
		one.publish("3")
		one.reset()
		two.Heal()
		two.told.is(t, "lost", "began epoch-1 28", "reset 35 after 28")
		one.after("epoch-1", 21, 10, false, false)
	})
}

func TestAfter(t *testing.T) {
	script(t, NewKeepingNetwork, func(t *testing.T, w *Network, one, two *desk) {
		one.after("epoch-1", 0, 10, true, false)
		one.publish("1", "2", "3")
		_, err := one.Publish(t.Context(), "other", broker.Publication{Data: "beside it", Keep: true})
		one.must(err)
		one.publish("4")
		two.after("epoch-1", 0, 2, true, true, "1 7 after 0", "2 14 after 7")
		two.after("epoch-1", 14, 2, true, false, "3 21 after 14", "4 35 after 21")
		two.after("epoch-1", 15, 2, true, false, "3 21 after 15", "4 35 after 21")
		two.after("epoch-1", 35, 2, true, false)
		w.Keep(2)
		two.after("epoch-1", 7, 10, false, false, "3 21 after 14", "4 35 after 21")
		one.publish("5")
		two.after("epoch-1", 14, 10, false, false, "4 35 after 21", "5 42 after 35")
		two.after("epoch-1", 21, 10, true, false, "4 35 after 21", "5 42 after 35")
		w.Forget("news", 0)
		two.after("epoch-1", 35, 10, false, false)
		two.after("epoch-1", 42, 10, true, false)
		w.Restart()
		two.afterFails(broker.ErrEpoch)
		two.Cut()
		two.afterFails(broker.ErrDown)
		two.must(two.Close(t.Context()))
		two.afterFails(broker.ErrClosed)
		if _, err := w.Node().After(t.Context(), "news", "epoch-1", 0, 1); !errors.Is(err, broker.ErrClosed) {
			t.Errorf("After returned %v before Open", err)
		}
	})
}

func TestAfterHasTheTime(t *testing.T) {
	script(t, NewKeepingNetwork, func(t *testing.T, _ *Network, one, two *desk) {
		began := time.Now()
		one.publish("1")
		time.Sleep(time.Hour)
		p, err := two.After(t.Context(), "news", "epoch-1", 0, 1)
		two.must(err)
		if at := p.Messages[0].At; !at.Equal(began) {
			t.Errorf("published at %v, not %v", at, began)
		}
	})
}

func TestAfterIsHeldSlowOrFails(t *testing.T) {
	script(t, NewKeepingNetwork, func(t *testing.T, _ *Network, one, two *desk) {
		results := make(chan string, 10)
		after := func(ctx context.Context) {
			go func() {
				p, err := two.After(ctx, "news", "epoch-1", 0, 10)
				results <- fmt.Sprint(len(p.Messages), " ", err)
			}()
			synctest.Wait()
		}
		result := func(want string) {
			t.Helper()
			if got := <-results; got != want {
				t.Errorf("After returned %s, not %s", got, want)
			}
		}
		two.HoldAfter()
		after(t.Context())
		ctx, cancel := within(time.Hour)
		defer cancel()
		after(ctx)
		result("0 context deadline exceeded")
		one.publish("1")
		two.ReleaseAfter()
		result("1 <nil>")

		two.SlowAfter(time.Minute)
		began := time.Now()
		after(t.Context())
		one.publish("2")
		result("1 <nil>")
		if took := time.Since(began); took != time.Minute {
			t.Errorf("After took %v", took)
		}
		after(t.Context())
		result("2 <nil>")

		two.FailAfter(errors.New("some"))
		after(t.Context())
		result("0 some")

		two.SlowAfter(time.Minute)
		after(t.Context())
		two.Cut()
		two.Heal()
		result("0 " + broker.ErrDown.Error())
		two.HoldAfter()
		after(t.Context())
		two.Cut()
		result("0 " + broker.ErrDown.Error())
		two.Heal()
		after(t.Context())
		two.must(two.Close(t.Context()))
		result("0 " + broker.ErrClosed.Error())
	})
}

func TestKeysAndReceipts(t *testing.T) {
	script(t, NewKeepingNetwork, func(t *testing.T, w *Network, one, two *desk) {
		publish := func(d *desk, p broker.Publication, want string) {
			t.Helper()
			r, err := d.Publish(t.Context(), "news", p)
			if got := fmt.Sprintf("%+v %v", r, err); got != want {
				t.Errorf("Publish returned %s, not %s", got, want)
			}
		}
		key := broker.Publication{Data: "1", Key: "k", Keep: true}
		publish(one, key, "{Epoch:epoch-1 Offset:7 Duplicate:false} <nil>")
		publish(two, key, "{Epoch:epoch-1 Offset:7 Duplicate:true} <nil>")
		two.told.is(t, "began epoch-1 0", "1 7 after 0")
		w.Restart()
		one.LoseReceipt(errors.New("no answer"))
		publish(one, key, "{Epoch: Offset:0 Duplicate:false} no answer")
		publish(one, key, "{Epoch:epoch-2 Offset:7 Duplicate:true} <nil>")
		two.told.is(t, "lost", "began epoch-2 0", "1 7 after 0")

		key.Keep = false // goes to subscriptions without Keep
		publish(one, key, "{Epoch: Offset:0 Duplicate:false} <nil>")
		publish(one, key, "{Epoch: Offset:0 Duplicate:false} <nil>")
		two.told.is(t)
		var plain diary
		two.must(two.Subscribe(t.Context(), []broker.Subscription{{Name: "news", To: &plain}}))
		publish(one, key, "{Epoch: Offset:0 Duplicate:false} <nil>")
		two.Cut()
		two.Heal()
		plain.is(t, "1", "lost")
		two.told.is(t)
	})
}

func TestBeganHasTheOffsetOfAnotherName(t *testing.T) {
	script(t, NewKeepingNetwork, func(t *testing.T, _ *Network, one, two *desk) {
		one.publish("1")
		var other diary
		two.must(two.Subscribe(t.Context(), []broker.Subscription{{Name: "other", Keep: true, To: &other}}))
		other.is(t, "began epoch-1 7")
	})
}

func TestFits(t *testing.T) {
	w := NewKeepingNetwork()
	fits := func(messages int, want bool) {
		t.Helper()
		if err := w.Node().Fits(messages, time.Hour); (err == nil) != want {
			t.Errorf("Fits(%d) returned %v", messages, err)
		}
	}
	fits(0, true)
	fits(1000, true)
	w.Keep(10)
	fits(10, true)
	fits(11, false)
	fits(0, false)
}

func TestKeepsNothing(t *testing.T) {
	n := NewNetwork().Node()
	if err := n.Fits(1, 0); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("Fits returned %v", err)
	}
	if _, err := n.After(t.Context(), "news", "", 0, 1); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("After returned %v", err)
	}
}
