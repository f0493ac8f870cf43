// Package e2e drives the example programs with a real browser: it builds and starts them, opens their pages in
// Chromium, and looks at what a person would look at. It is a module of its own, so that nobody who imports the library
// downloads a browser driver.
//
//	cd e2e && go test ./...
//
// Chromium is the executable named by the environment variable CHROMIUM, or "chromium" on the path; without one the
// tests fail. Screenshots go to the directory named by E2E_ARTIFACTS, or else to ../artifacts/e2e.
package e2e
