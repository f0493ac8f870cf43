package report

import (
	"encoding/json"
	"os"
	"path/filepath"
)

// file is the name of the page and of the file for machines, without their extensions.
func (r *Results) file() string {
	switch {
	case r.is(curvesMode):
		return curvesMode
	case r.is(coresMode):
		return coresMode
	}
	return "results"
}

// Write writes results.json, results.md and the charts to a directory, which is made if it does not exist. The modes curves and cores
// have files of these names.
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
	if err := os.WriteFile(filepath.Join(dir, r.file()+".json"), append(data, '\n'), 0o666); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, r.file()+".md"), []byte(r.Markdown(names)), 0o666)
}
