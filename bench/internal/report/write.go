package report

import (
	"encoding/json"
	"os"
	"path/filepath"
)

// Write writes results.json, results.md and the charts to a directory, which is made if it does not exist.
func (r *Results) Write(dir string) error {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	var names []string
	for _, c := range r.charts() {
		if err := os.WriteFile(filepath.Join(dir, c.name), []byte(c.svg), 0o666); err != nil {
			return err
		}
		names = append(names, c.name)
	}
	data, err := json.MarshalIndent(r, "", "\t")
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "results.json"), append(data, '\n'), 0o666); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "results.md"), []byte(r.Markdown(names)), 0o666)
}
