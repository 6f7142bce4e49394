// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"nbdkit-tmpdisk-plugin/tmpdisk/status"
)

// noPID is above the kernel's largest process ID.
const noPID = 1<<22 + 1

var now = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// document is of a server that has just written it: this process.
func document(name string, disks ...status.Disk) status.Document {
	return status.Document{
		Format: status.Format,
		Server: status.Server{Name: name, Version: "1.2.3", PID: os.Getpid(),
			Started: now.Add(-time.Hour), Written: now, TmpdirFree: 1 << 30, TmpdirSize: 4 << 30},
		Exports: []status.Export{{Spares: 2}, {Spares: 3}},
		Disks:   disks,
	}
}

func fresh(name string, disks ...status.Disk) *reading {
	return &reading{path: "/run/" + name + ".json", document: document(name, disks...)}
}

func write(t *testing.T, dir, name string, document any) string {
	t.Helper()
	text, ok := document.(string)
	if !ok {
		data, err := json.Marshal(document)
		if err != nil {
			t.Fatal(err)
		}
		text = string(data)
	}
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
