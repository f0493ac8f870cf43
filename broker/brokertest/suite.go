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

	// Keeps says that the nodes are of type [broker.Historian], and keep what the cases publish with Keep: some thousands of messages of a
	// name. Fits(100, time.Minute) has to return nil.
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
	// Forget drops what is kept of a name, as if it had become too old. Without it, cases that need it are left out.
	Forget func(name string)
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

// promised is how many messages of a name have to fit.
const promised = 100

// testCase is a part of the contract.
type testCase struct {
	name  string
	test  func(*env)
	needs func(Implementation) bool // nil: nothing
	keep  bool                      // the case is about names that are kept
}

func (c testCase) run(t testing.TB, impl Implementation) {
	t.Helper()
	c.test(newEnv(t, impl, c.keep))
}

var (
	keeps     = func(i Implementation) bool { return i.Keeps }
	confirmed = func(i Implementation) bool { return i.Confirmed }
	limited   = func(i Implementation) bool { return i.Largest > 0 }
)

var cases = []testCase{
	{"every field crosses", everyField, nil, false},
	{"publishers keep their order", publishersKeepTheirOrder, nil, false},
	{"names are opaque", namesAreOpaque, nil, false},
	{"what follows Subscribe comes", whatFollowsSubscribe, nil, false},
	{"receivers of one name", receiversOfOneName, nil, false},
	{"subscribe again", subscribeAgain, nil, false},
	{"unsubscribe under load", unsubscribeUnderLoad, nil, false},
	{"unsubscribe waits for a receiver", unsubscribeWaits, nil, false},
	{"a name comes and goes", aNameComesAndGoes, nil, false},
	{"many subscriptions", manySubscriptions, nil, false},
	{"a receiver that blocks", aReceiverThatBlocks, nil, false},
	{"away at the beginning", awayAtTheBeginning, nil, false},
	{"down and up", downAndUp, nil, false},
	{"down and up under load", downAndUpUnderLoad, nil, false},
	{"unsubscribe while down", unsubscribeWhileDown, nil, false},
	{"too big", tooBig, limited, false},
	{"ended contexts", endedContexts, nil, false},
	{"publications in doubt", publicationsInDoubt, nil, false},
	{"nothing confirmed is in doubt", nothingConfirmedIsInDoubt, confirmed, false},
	{"close publishes", closePublishes, nil, false},
	{"close ends everything", closeEndsEverything, nil, false},
	{"close while down", closeWhileDown, nil, false},

	{"kept: every field crosses", everyField, keeps, true},
	{"kept: publishers keep their order", publishersKeepTheirOrder, keeps, true},
	{"kept: names are opaque", namesAreOpaque, keeps, true},
	{"kept: what follows Subscribe comes", whatFollowsSubscribe, keeps, true},
	{"kept: receivers of one name", receiversOfOneName, keeps, true},
	{"kept: subscribe again", subscribeAgain, keeps, true},
	{"kept: unsubscribe under load", unsubscribeUnderLoad, keeps, true},
	{"kept: unsubscribe waits for a receiver", unsubscribeWaits, keeps, true},
	{"kept: a name comes and goes", aNameComesAndGoes, keeps, true},
	{"kept: a receiver that blocks", aReceiverThatBlocks, keeps, true},
	{"kept: away at the beginning", awayAtTheBeginning, keeps, true},
	{"kept: unsubscribe while down", unsubscribeWhileDown, keeps, true},
	{"kept: ended contexts", endedContexts, keeps, true},
	{"kept: nothing confirmed is in doubt", nothingConfirmedIsInDoubt, keeps, true},
	{"kept: close publishes", closePublishes, keeps, true},
	{"kept: close ends everything", closeEndsEverything, keeps, true},
	{"kept: close while down", closeWhileDown, keeps, true},
	{"kept: too big", tooBig, func(i Implementation) bool { return i.Keeps && i.Largest > 0 }, true},
	{"kept: many subscriptions", manySubscriptions, keeps, true},
	{"kept: down and up", downAndUp, keeps, true},
	{"kept: down and up under load", downAndUpUnderLoad, keeps, true},
	{"kept: publications in doubt", publicationsInDoubt, keeps, true},
	{"kept: offsets", offsets, keeps, true},
	{"kept: keys", keys, keeps, true},
	{"kept: reset", resetInItsPlace, keeps, true},
	{"kept: beside names that are not", keptBesidePlain, keeps, true},
	{"kept: fits", fits, keeps, true},
	{"kept: after", after, keeps, true},
	{"kept: after joins what is delivered", afterJoins, keeps, true},
	{"kept: after fails", afterFails, keeps, true},
	{"kept: after what was dropped", afterForgets, keeps, true},
	{"kept: a cut is filled", cutIsFilled, keeps, true},
	{"kept: a cut under load", cutUnderLoad, keeps, true},
	{"kept: a cut, and not kept any more", cutAndNotKept, keeps, true},
	{"kept: a reset while cut", resetWhileCut, keeps, true},
}
