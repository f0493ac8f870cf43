// Package e2e tests the example programs in a real browser: each is built, started as a process and used through its
// page. And it tests what the pages in docs/ show: programs are built and run, configurations of proxies, of systemd and of
// Kubernetes are given to those they are for, and the browser's code runs in a browser. So does the client of clients/js, which
// is cut off from its server in many ways.
//
// It needs Linux, Chromium, nginx, Caddy, systemd-analyze and Node with npm, and is a module of its own, so that what drives a browser stays
// out of the library's dependencies:
//
//	cd e2e && go test ./...
//
// CHROMIUM names the browser's executable, chromium by default. Screenshots go to the directory named by E2E_ARTIFACTS,
// ../artifacts/e2e by default.
package e2e
