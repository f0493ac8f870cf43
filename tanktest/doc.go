// Package tanktest is for tests of programs that use package tank: a server and WebSocket clients in memory, which can be slow,
// freeze and vanish at will, and say what they know when a test fails.
//
// In a bubble of [testing/synctest], time is fake: hours of heartbeats pass in milliseconds, timeouts come at the very
// nanosecond. What does not depend on time can differ from run to run: the order of goroutines, and with it how many messages
// an outbox policy drops, which [tank.Manager.Stats] says. A complete test:
//
//	func TestNewsArrive(t *testing.T) {
//		synctest.Test(t, func(t *testing.T) {
//			tkws := tank.NewInstance()
//			s := tanktest.Serve(t, tkws)
//			ann, bob := s.Dial("/?user_id=ann"), s.Dial("/?user_id=bob")
//			ann.Subscribe("news")
//			bob.Subscribe("news")
//
//			tkws.BroadcastTopicMessage("news", "hello")
//			ann.Expect("news", "hello")
//
//			bob.Freeze() // its network is gone, and nobody says so
//			time.Sleep(time.Minute)
//			if n := tkws.GetClientCount(); n != 1 {
//				t.Errorf("%d clients are left", n)
//			}
//		})
//	}
//
// The same works without the bubble, in real time.
//
// [ServeHandler] puts your own mux and middleware in front, [Server.Client] makes ordinary HTTP requests to it, and
// [Server.DialRefused] is for connections that it must not take. Options of both say who connects and from where: [User], [Token],
// [Header], [Subprotocols], [RemoteAddr].
//
// [Client.Expect] wants the very next message. Where several topics, or broadcasts, reach a client, their order is not defined, and
// [Client.ExpectTopic] looks for the next message of one of them.
//
// # Clients of tank.v2
//
// [Server.DialV2] connects a client that speaks tank.v2. After an interruption, it asks for what it has missed of topics that keep
// messages, see tank.WithTopics:
//
//	ann := s.DialV2("/?user_id=ann")
//	ann.Subscribe("chat:42")
//	tkws.Publish(t.Context(), "chat:42", "hello")
//	ann.ExpectTopic("chat:42", "hello")
//
//	ann.Cut() // a train enters a tunnel
//	tkws.Publish(t.Context(), "chat:42", "anybody there?")
//	if got := ann.Resume()["chat:42"]; !got.Recovered {
//		t.Errorf("something is missing: %+v", got)
//	}
//	ann.ExpectSeq("chat:42", 2, "anybody there?")
//
// [ClientV2.Lose] cuts the connection while messages are in flight, which then never arrive: the page has missed them.
//
// Calls that send a command wait for its answer and return it. They fail the test when the server refuses; their siblings whose names
// end with Refused want just that. The client looks at the number of each message when it comes. One that comes twice fails the test,
// unless the test has asked for a replay, and so does one that is missing, unless the outbox policy has dropped it.
// [ClientV2.ExpectSeq] wants a certain number.
//
// # Expected use
//
// In a bubble, make the instance inside the bubble, and call Serve there. Nothing has to be closed: the end of the test cuts
// the clients, shuts the instance down, and fails the test when a callback or a request has not ended by then. So an
// instance that a test has served is over; do not serve GetSingleInstance in more than one test of a process.
//
// When something is not as expected, a call fails the test with [testing.TB.Fatalf]. That is allowed in the goroutine of the
// test only, and so are these calls. To wait for several clients, ask one after the other: what comes is kept.
//
// # Concurrency properties
//
// Each connection of a client has a goroutine that reads all that comes, without bound, and answers pings and close frames, whatever the
// test does meanwhile. [Client.Freeze] stops it at a known byte, and [Client.ReadSlowly] lets it have so many bytes a second.
//
//   - [Client.Subscribe], [Client.Unsubscribe] and [Client.Sync] return when the server has handled all that the client has
//     sent. The protocol knows no acknowledgements: the server's side of the network tells. Nothing is sent for it, and in a
//     bubble it takes no time but what callbacks and rate limits take.
//   - Calls of [ClientV2] that send a command, and [ClientV2.Resume], return when the server has answered.
//   - [ClientV2.Lose] waits until as many messages are in flight as it is to lose.
//   - [Client.Next] and the calls whose names begin with Expect wait for what they expect; [Client.Rest] and [Client.Close]
//     wait for the end of the connection. On one that has ended they do not wait.
//   - All of them, and [Server.Dial] and [Server.DialV2], wait no longer than [Server.Patience], 5 s at first, and then fail the test.
//   - [Client.Send], [Client.SendBinary], [Client.Publish] and [ClientV2.Send] wait only while a megabyte that the client has sent has not
//     been read, 5 s at most.
//   - [Client.Freeze], [Client.Thaw], [Client.ReadSlowly], [Client.Cut] and the others do not wait.
//
// Calls may come in any order, also after the end of the connection.
package tanktest
