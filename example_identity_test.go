package tank_test

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	tank "github.com/fanqie/tank-websocket-go-server"
)

// account is what these programs know about a user.
type account struct{ staff bool }

// accounts stands for a look into your database.
func accounts(r *http.Request) (tank.Identity, error) {
	name := r.FormValue("user_id") // in your program, what a session or a token proves
	return tank.Identity{UserID: name, Value: account{staff: name == "ann"}, Expires: time.Now().Add(time.Hour)}, nil
}

// staffOnly is a subscribe authorizer that looks at what the authenticator has found out.
func staffOnly(c *tank.Client, topic string) error {
	if who, ok := tank.ValueOf[account](c); topic == "staff" && !(ok && who.staff) {
		return errors.New("not of the staff")
	}
	return nil
}

// ValueOf has the type that the program has put into the Identity.
func ExampleValueOf() {
	tkws := tank.NewInstance(tank.WithAuthenticator(accounts))
	server, stop := run(tkws)
	defer stop()
	for _, user := range []string{"ann", "bob"} {
		defer open(server, user).CloseNow()
		await(tkws, tank.EventConnect)
	}
	for _, c := range tkws.GetAllClients() {
		who, ok := tank.ValueOf[account](c)
		fmt.Println(c.UserID(), who.staff, ok)
	}
	// Output:
	// ann true true
	// bob false true
}

// Value is what the authenticator has put into the Identity.
func ExampleClient_Value() {
	tkws := tank.NewInstance(tank.WithAuthenticator(func(r *http.Request) (tank.Identity, error) {
		return tank.Identity{UserID: r.FormValue("user_id"), Value: []string{"reader", "editor"}}, nil
	}))
	server, stop := run(tkws)
	defer stop()
	defer open(server, "ann").CloseNow()
	await(tkws, tank.EventConnect)
	fmt.Println(tkws.GetAllClients()[0].Value())
	// Output: [reader editor]
}

// Visitors without a session may come in, as nobody in particular.
func ExampleClient_Authenticated() {
	tkws := tank.NewInstance(tank.WithAuthenticator(func(r *http.Request) (tank.Identity, error) {
		if r.FormValue("user_id") == "" { // in your program, without a session
			return tank.Identity{Anonymous: true}, nil
		}
		return tank.Identity{UserID: r.FormValue("user_id")}, nil
	}))
	server, stop := run(tkws)
	defer stop()
	for _, user := range []string{"ann", ""} {
		defer open(server, user).CloseNow()
		await(tkws, tank.EventConnect)
	}
	for _, c := range tkws.GetAllClients() {
		fmt.Println(c.Authenticated(), c.UserID() == c.ID())
	}
	// Output:
	// true false
	// false true
}

// Ann is of the staff no more. Her connection stays open, and loses the topic.
func ExampleClient_Renew() {
	tkws := tank.NewInstance(tank.WithAuthenticator(accounts), tank.WithSubscribeAuthorizer(staffOnly))
	server, stop := run(tkws)
	defer stop()
	page := open(server, "ann")
	defer page.CloseNow()
	page.send("sub:staff")
	page.send("sub:news")
	await(tkws, tank.EventSubscribe, tank.EventSubscribe)

	c := tkws.GetAllClients()[0]
	in30Minutes := time.Now().Add(30 * time.Minute)
	fmt.Println(c.Renew(tank.Identity{UserID: "ann", Value: account{staff: false}, Expires: in30Minutes}))
	fmt.Println(page.receive())
	fmt.Println(c.Topics())
	fmt.Println(errors.Is(c.Renew(tank.Identity{UserID: "bob"}), tank.ErrInvalidIdentity))
	// Output:
	// <nil>
	// {"error":{"code":"forbidden","message":"tank: forbidden: subscription ended","topic":"staff"}}
	// [news]
	// true
}

// SendToUser reaches all devices of a user, whatever they are subscribed to.
func ExampleManager_SendToUser() {
	tkws := tank.NewInstance()
	server, stop := run(tkws)
	defer stop()
	laptop, phone := open(server, "ann"), open(server, "ann")
	defer laptop.CloseNow()
	defer phone.CloseNow()
	await(tkws, tank.EventConnect, tank.EventConnect)

	call := tank.Message{Data: []byte("bob is calling")}
	fmt.Println(tkws.SendToUser("ann", call), tkws.SendToUser("carl", call))
	fmt.Println(laptop.receive())
	fmt.Println(phone.receive())
	// Output:
	// 2 0
	// bob is calling
	// bob is calling
}

// Ann has left the room, on all of her devices.
func ExampleManager_UnsubscribeUser() {
	tkws := tank.NewInstance()
	server, stop := run(tkws)
	defer stop()
	for _, user := range []string{"ann", "ann", "bob"} {
		page := open(server, user)
		defer page.CloseNow()
		page.send("sub:room:tea")
		await(tkws, tank.EventSubscribe)
	}
	fmt.Println(tkws.UnsubscribeUser("ann", "room:tea"))
	fmt.Println(tkws.GetTopicSubscriberCount("room:tea"))
	// Output:
	// 2
	// 1
}

// CloseUser closes all connections of a user. End the user's session before, or they come back.
func ExampleManager_CloseUser() {
	tkws := tank.NewInstance()
	server, stop := run(tkws)
	defer stop()
	laptop, phone := open(server, "ann"), open(server, "ann")
	defer laptop.CloseNow()
	defer phone.CloseNow()
	await(tkws, tank.EventConnect, tank.EventConnect)

	fmt.Println(tkws.CloseUser("ann"), tkws.CloseUser("bob"))
	fmt.Println(laptop.receive())
	// Output:
	// 2 0
	// closed with 1000 closed by server
}

// CloseClient is the former name of CloseUser.
func ExampleManager_CloseClient() {
	tkws := tank.NewInstance()
	server, stop := run(tkws)
	defer stop()
	page := open(server, "ann")
	defer page.CloseNow()
	await(tkws, tank.EventConnect)
	fmt.Println(tkws.CloseClient("ann"))
	fmt.Println(page.receive())
	// Output:
	// 1
	// closed with 1000 closed by server
}

// A connection whose credentials have expired is closed, and the page knows that it needs new ones.
func ExampleIdentity_expires() {
	tkws := tank.NewInstance(tank.WithAuthenticator(func(r *http.Request) (tank.Identity, error) {
		return tank.Identity{UserID: "ann", Expires: time.Now().Add(50 * time.Millisecond)}, nil
	}))
	server, stop := run(tkws)
	defer stop()
	page := open(server, "")
	defer page.CloseNow()
	fmt.Println(page.receive())
	// Output: closed with 3000 credentials expired
}
