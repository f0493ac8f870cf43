// Package setup gets the contenders' programs ready: the Go ones are built, Bun is installed with npm. All of it lands
// in the directory .cache, which is not part of the repository.
package setup

import (
	"context"
	"debug/buildinfo"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

// Module is this module's path.
const Module = "github.com/fanqie/tank-websocket-go-server/bench"

// BunVersion is the version of Bun that is installed.
const BunVersion = "1.4.5"

// RedisProgram is the name of Redis's server. It is not installed: without it, its contenders are left out.
const RedisProgram = "redis-server"

// Root finds this module's directory, from the working directory upwards.
func Root() (string, error) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Path}} {{.Dir}}").Output()
	path, dir, ok := strings.Cut(strings.TrimSpace(string(out)), " ")
	if err != nil || !ok || path != Module {
		return "", errors.New("run it inside the directory bench, with go run ./cmd/bench")
	}
	return dir, nil
}

// BuildServer builds the server program with the Go contenders and returns its name.
func BuildServer(ctx context.Context, root, cache string) (string, error) {
	name := filepath.Join(cache, "server")
	build := exec.CommandContext(ctx, "go", "build", "-o", name, "./cmd/server")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building the server: %w\n%s", err, out)
	}
	return name, nil
}

// modules is which module's version is a contender's.
var modules = map[string]string{
	"github.com/lxzan/gws":                       "gws",
	"github.com/gorilla/websocket":               "gorilla",
	"github.com/olahol/melody":                   "melody",
	"github.com/centrifugal/centrifuge":          "centrifuge",
	"github.com/coder/websocket":                 "coder",
	"github.com/fanqie/tank-websocket-go-server": "tank",
}

// Versions reads from the server program which versions it is made of.
func Versions(server string) (map[string]string, error) {
	info, err := buildinfo.ReadFile(server)
	if err != nil {
		return nil, err
	}
	versions := map[string]string{"floor": "this repository's"}
	for _, dep := range info.Deps {
		if name, ok := modules[dep.Path]; ok {
			versions[name] = dep.Path + " " + dep.Version
		}
	}
	versions["tank"] = "this repository's"
	versions["tank2"] = "this repository's, subscribers speak tank.v2"
	versions["tank2-history"] = "this repository's, subscribers speak tank.v2, with history"
	versions["tank-history"] = "this repository's, with history"
	versions["tank-mixed"] = "this repository's, half of the subscribers speak tank.v2"
	return versions, nil
}

// bunPackage is the npm package with Bun's program for this machine. It is a single file and depends on nothing.
func bunPackage() (string, error) {
	if runtime.GOOS != "linux" {
		return "", fmt.Errorf("not installed on %s", runtime.GOOS)
	}
	switch runtime.GOARCH {
	case "amd64":
		return "@oven/bun-linux-x64", nil
	case "arm64":
		return "@oven/bun-linux-aarch64", nil
	}
	return "", fmt.Errorf("not made for %s", runtime.GOARCH)
}

// InstallBun installs Bun, unless it is there, and returns its name and version.
func InstallBun(ctx context.Context, cache string) (name, version string, err error) {
	pkg, err := bunPackage()
	if err != nil {
		return "", "", err
	}
	dir := filepath.Join(cache, "bun-"+BunVersion)
	name = filepath.Join(dir, "node_modules", pkg, "bin", "bun")
	if _, err := os.Stat(name); err != nil {
		install := exec.CommandContext(ctx, "npm", "install", "--prefix", dir, "--no-save", "--no-audit", "--no-fund", pkg+"@"+BunVersion)
		install.Stdout, install.Stderr = os.Stderr, os.Stderr // what npm says may name hosts and paths, which are not for the report
		if err := install.Run(); err != nil {
			return "", "", fmt.Errorf("npm cannot install %s: %w", pkg, err)
		}
	}
	out, err := exec.CommandContext(ctx, name, "--version").Output()
	if err != nil {
		return "", "", fmt.Errorf("bun does not run: %w", err)
	}
	return name, strings.TrimSpace(string(out)), nil
}
