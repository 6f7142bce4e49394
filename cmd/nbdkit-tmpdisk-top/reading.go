// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/status"
)

const (
	// maxFile is more than 100,000 disks take.
	maxFile = 64 << 20
	// maxAge is three times as long as a server waits before it writes again.
	maxAge = 45 * time.Second
)

// A reading is one status file, or the attempt to read it.
type reading struct {
	path  string
	err   error  // why there is nothing else, or nil
	stale string // why what is there may no longer be true, or empty

	raw      json.RawMessage
	document status.Document
	rates    map[int64]rates // by the disk's number
}

// name is what the server is called, and if it has no name, its file.
func (r *reading) name() string {
	if r.document.Server.Name != "" {
		return r.document.Server.Name
	}
	return strings.TrimSuffix(filepath.Base(r.path), ".json")
}

// readAll reads all files that are named or in a directory that is named, each once.
func readAll(paths []string, now time.Time) []*reading {
	var all []*reading
	seen := map[string]bool{}
	add := func(path string, listed bool) {
		if path = filepath.Clean(path); seen[path] {
			return
		}
		seen[path] = true
		r := read(path, now)
		// A server that ends removes its file.
		if !listed || !errors.Is(r.err, fs.ErrNotExist) {
			all = append(all, r)
		}
	}
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil || !info.IsDir() {
			add(path, false)
			continue
		}
		entries, err := os.ReadDir(path)
		if err != nil {
			all = append(all, &reading{path: path, err: err})
		}
		for _, entry := range entries {
			name := entry.Name()
			if filepath.Ext(name) == ".json" && !strings.HasPrefix(name, ".") {
				add(filepath.Join(path, name), true)
			}
		}
	}
	return all
}

func read(path string, now time.Time) *reading {
	r := &reading{path: path}
	if r.raw, r.err = contents(path); r.err != nil {
		return r
	}
	if r.err = r.decode(); r.err != nil {
		r.err = fmt.Errorf("read: %s: %w", path, r.err)
		return r
	}
	r.stale = staleness(r.document.Server, now)
	return r
}

// decode looks at the format first: another one may have other types.
func (r *reading) decode() error {
	var version struct {
		Format int `json:"format"`
	}
	if err := json.Unmarshal(r.raw, &version); err != nil {
		return err
	}
	if version.Format != status.Format {
		return fmt.Errorf("format %d: this program reads only format %d: use the one of the server's version",
			version.Format, status.Format)
	}
	return json.Unmarshal(r.raw, &r.document)
}

// contents does not wait for what is no file, a FIFO for example: whoever may write
// to the directory may be somebody else.
func contents(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("read: %s: not a regular file", path)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(text) > maxFile {
		err = fmt.Errorf("read: %s: larger than %d bytes", path, maxFile)
	}
	return text, err
}

// staleness says why a server's document may no longer be true.
func staleness(server status.Server, now time.Time) string {
	if server.PID <= 0 || errors.Is(unix.Kill(server.PID, 0), unix.ESRCH) {
		return fmt.Sprintf("process %d is gone", server.PID)
	}
	if age := now.Sub(server.Written); age > maxAge {
		return "not written for " + duration(int64(age.Seconds()))
	}
	return ""
}
