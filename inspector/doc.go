// Package inspector is a live page about a running tank instance: how it fares, its topics, and its clients.
//
//	http.Handle("/inspector/", http.StripPrefix("/inspector/", requireLogin(inspector.Handler(tkws))))
//
// # Who may see it
//
// The handler refuses nobody, so it belongs behind the authentication of the program that it is part of. It shows the names
// of topics and users, and the addresses of clients. It never shows what messages say, and it changes nothing: it answers
// GET and HEAD only.
//
// # What it costs
//
// Nothing while nobody looks: no goroutine, no timer, and some hundred bytes. All who look share what was found out last,
// which is found out anew when somebody asks, once a second at most, and more rarely where that takes long: it takes a
// twentieth of the time at most. A filter looks at each name for each request: 2 ms for 100,000. A minute after the last look
// everything is forgotten. Sorting, filtering and paging are done here, so that a browser gets a page of a table with 100,000
// topics, and not the table.
//
// # JSON
//
// What the page shows, scripts can have: all of these are relative to where the handler is mounted.
//
//	api/health                 state, statistics, samples of the last minutes, distributions
//	api/topics?q=&sort=&page=&size=    topics, filtered by a part of the name
//	api/topic?name=&sort=&page=&size=  a topic and its subscribers
//	api/clients?q=&sort=&page=&size=   clients, filtered by a part of the user id, the id or the address
//	api/client?id=             a client and its subscriptions
//
// Pages count from 1 and have 50 rows, or size, up to 500. sort is the name of a field, with "-" before it for the largest
// first. Parameters that make no sense are answered with 400, what is not there with 404, both with a JSON object that says
// what was wrong.
package inspector
