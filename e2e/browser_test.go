package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// patience is how long a test waits for anything. It is generous, for machines that are slow or busy.
const patience = 60 * time.Second

// Set by TestMain, for all tests.
var (
	browser   context.Context // one browser; every page gets a profile of its own in it
	binaries  string          // directory with the example programs
	artifacts string          // directory for screenshots
)

func TestMain(m *testing.M) {
	code, err := runTests(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		code = 1
	}
	os.Exit(code)
}

func runTests(m *testing.M) (int, error) {
	chromium, err := findChromium()
	if err != nil {
		return 1, err
	}
	if artifacts, err = filepath.Abs(artifactsDir()); err != nil {
		return 1, err
	}
	if err := os.MkdirAll(artifacts, 0o755); err != nil {
		return 1, err
	}
	temp, err := os.MkdirTemp("", "e2e-")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(temp)
	binaries = filepath.Join(temp, "bin")
	if err := buildExamples(binaries); err != nil {
		return 1, err
	}
	var stop func()
	if browser, stop, err = startBrowser(chromium, filepath.Join(temp, "profile")); err != nil {
		return 1, err
	}
	defer stop()
	return m.Run(), nil
}

func findChromium() (string, error) {
	if path := os.Getenv("CHROMIUM"); path != "" {
		found, err := exec.LookPath(path)
		if err != nil {
			return "", fmt.Errorf("the environment variable CHROMIUM does not name an executable: %w", err)
		}
		return found, nil
	}
	found, err := exec.LookPath("chromium")
	if err != nil {
		return "", fmt.Errorf("these tests need Chromium: install it as chromium, or name the executable in the environment variable CHROMIUM (%w)", err)
	}
	return found, nil
}

func artifactsDir() string {
	if dir := os.Getenv("E2E_ARTIFACTS"); dir != "" {
		return dir
	}
	return filepath.Join("..", "artifacts", "e2e")
}

func buildExamples(into string) error {
	into += string(filepath.Separator)
	for dir, programs := range map[string][]string{
		"..": {"./examples/chat", "./examples/single", "./examples/multi", "./examples/echo", "./examples/ticker", "./examples/auth",
			"./clients/js/testdata/server"},
		"../examples/inspect": {"."}, // a module of its own
		"../examples/orders":  {"."}, // and another
		"../examples/cluster": {"."},
	} {
		build := exec.Command("go", append([]string{"build", "-o", into}, programs...)...)
		build.Dir = dir
		if out, err := build.CombinedOutput(); err != nil {
			return fmt.Errorf("building the examples in %s: %w\n%s", dir, err, out)
		}
	}
	return nil
}

// startBrowser starts Chromium without a window and without any traffic of its own.
func startBrowser(executable, profile string) (ctx context.Context, stop func(), err error) {
	allocator, cancelAllocator := chromedp.NewExecAllocator(context.Background(),
		chromedp.ExecPath(executable),
		chromedp.UserDataDir(profile),
		chromedp.Headless,
		chromedp.NoSandbox,
		chromedp.DisableGPU,
		chromedp.IgnoreCertErrors, // of the TLS proxy in proxy_test.go
		chromedp.NoFirstRun,
		chromedp.NoDefaultBrowserCheck,
		chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-sync", true),
		chromedp.Flag("disable-default-apps", true),
		chromedp.Flag("disable-extensions", true),
		chromedp.Flag("disable-features", "WebUIOmniboxPopup,WebUIOmniboxAimPopup"), // two pages more for each, and a second of work
		chromedp.Flag("disable-background-timer-throttling", true),
		chromedp.Flag("disable-renderer-backgrounding", true),
		chromedp.Flag("disable-dev-shm-usage", true),
		chromedp.Flag("hide-scrollbars", true),
		chromedp.Flag("lang", "en-US"),
		chromedp.WindowSize(1360, 860),
		chromedp.WSURLReadTimeout(patience),
	)
	ctx, cancel := chromedp.NewContext(allocator)
	stop = func() { cancel(); cancelAllocator() }
	if err := chromedp.Do(ctx); err != nil {
		stop()
		return nil, nil, fmt.Errorf("starting %s: %w", executable, err)
	}
	return ctx, stop, nil
}
