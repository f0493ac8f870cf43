package brokertest

import (
	"testing"
	"testing/synctest"

	"github.com/fanqie/tank-websocket-go-server/broker"
)

// Implementation is a broker for [Run] to test, and what it promises beyond the contract.
type Implementation struct {
	// Open begins a group, which ends with the test. It is called for each case.
	Open func(t testing.TB) Group

	// Bubble has each case run in a bubble of testing/synctest. It is for what needs neither sockets nor other processes.
	Bubble bool

	// Keeps says that publications have offsets, names have epochs, and repetitions of keys are duplicates.
	Keeps bool
	// OneOrder says that all nodes see the publications of a name in one order, whoever publishes them.
	OneOrder bool
	// Confirmed says that nil of Publish means that the server has the publication, so that no loss of the connection can lose it.
	Confirmed bool
	// Largest is how many bytes of data a publication may have that has nothing else. One more is too big. 0: any number.
	Largest int
}

// Group is a server that several nodes connect to.
type Group struct {
	// Node makes a Broker for one more node. The suite opens and closes it.
	Node func(t testing.TB) broker.Broker
	// Break takes the server away: all connections are lost, and none can be made. What was on its way may be lost.
	Break func()
	// Heal ends Break.
	Heal func()
	// Cut is Break for the connection of one node alone, and Mend ends it. Without them, cases that need them are left out.
	Cut, Mend func(broker.Broker)
}

// Run tests whether an implementation keeps the contract of [broker.Broker]: a subtest for each part of it.
//
// Whether goroutines outlive Close, it finds by their profiler labels. They are inherited, so those of a server in the same process do
// not count, as long as Group begins them.
func Run(t *testing.T, impl Implementation) {
	for _, c := range cases {
		if c.needs != nil && !c.needs(impl) {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			if impl.Bubble {
				synctest.Test(t, func(t *testing.T) { c.run(t, impl) })
			} else {
				c.run(t, impl)
			}
		})
	}
}

// testCase is a part of the contract.
type testCase struct {
	name  string
	test  func(*env)
	needs func(Implementation) bool // nil: nothing
}

func (c testCase) run(t testing.TB, impl Implementation) {
	t.Helper()
	c.test(newEnv(t, impl))
}

var (
	keeps     = func(i Implementation) bool { return i.Keeps }
	confirmed = func(i Implementation) bool { return i.Confirmed }
	limited   = func(i Implementation) bool { return i.Largest > 0 }
)

var cases = []testCase{
	{"every field crosses", everyField, nil},
	{"publishers keep their order", publishersKeepTheirOrder, nil},
	{"names are opaque", namesAreOpaque, nil},
	{"what follows Subscribe comes", whatFollowsSubscribe, nil},
	{"receivers of one name", receiversOfOneName, nil},
	{"subscribe again", subscribeAgain, nil},
	{"unsubscribe under load", unsubscribeUnderLoad, nil},
	{"unsubscribe waits for a receiver", unsubscribeWaits, nil},
	{"a name comes and goes", aNameComesAndGoes, nil},
	{"many subscriptions", manySubscriptions, nil},
	{"a receiver that blocks", aReceiverThatBlocks, nil},
	{"away at the beginning", awayAtTheBeginning, nil},
	{"down and up", downAndUp, nil},
	{"down and up under load", downAndUpUnderLoad, nil},
	{"unsubscribe while down", unsubscribeWhileDown, nil},
	{"too big", tooBig, limited},
	{"ended contexts", endedContexts, nil},
	{"publications in doubt", publicationsInDoubt, nil},
	{"nothing confirmed is in doubt", nothingConfirmedIsInDoubt, confirmed},
	{"close publishes", closePublishes, nil},
	{"close ends everything", closeEndsEverything, nil},
	{"close while down", closeWhileDown, nil},
	{"offsets", offsets, keeps},
	{"keys", keys, keeps},
}
