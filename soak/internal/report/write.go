package report

import (
	"encoding/json"
	"os"
	"path/filepath"

	"github.com/fanqie/tank-websocket-go-server/soak/internal/load"
)

// Write leaves the summary, the chart and the raw figures in a directory.
func Write(dir string, r *load.Results) error {
	raw, err := json.MarshalIndent(r, "", "\t")
	if err != nil {
		return err
	}
	svg, err := Chart(r)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	for name, content := range map[string]string{
		"soak.md":   Markdown(r) + "\n![Memory of the server, and its clients](soak.svg)\n",
		"soak.svg":  string(svg),
		"soak.json": string(raw) + "\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o666); err != nil {
			return err
		}
	}
	return nil
}
