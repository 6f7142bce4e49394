// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package tmpdisk

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// Commands that fail do so for all clients at a time, not for one after the
// other. Two of these must run together or they end with another error.
func TestTemplateFailsInParallel(t *testing.T) {
	dir := t.TempDir()
	m := templateMaker(t, "size", "1M", "dir", dir, "command", `
[ -e "$dir/together" ] || exit 3
mkdir -p "$dir/runs"; : >"$(mktemp "$dir/runs/XXXXXX")"
n=0
while [ "$(ls "$dir/runs" | wc -l)" -lt 2 ]; do
	n=$((n + 1)); [ $n -lt 600 ] || exit 4
	sleep 0.05
done
exit 3`)
	_, err := m.make(context.Background())
	contains(t, err, "exit code 3")
	if err := os.WriteFile(filepath.Join(dir, "together"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 2 {
		inGroup(&wg, func() {
			_, err := m.make(context.Background())
			contains(t, err, "exit code 3")
		})
	}
	wg.Wait()
}

// After a failure that has passed there are templates again.
func TestTemplateAfterAFailure(t *testing.T) {
	dir := t.TempDir()
	m := templateMaker(t, "size", "1M", "dir", dir, "command",
		`[ -e "$dir/works" ] || exit 3; echo >>"$dir/runs"; printf hello >"$disk"`)
	_, err := m.make(context.Background())
	contains(t, err, "exit code 3")
	if err := os.WriteFile(filepath.Join(dir, "works"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		makeOne(t, m, "hello")
	}
	if got := runs(t, filepath.Join(dir, "runs")); got != 1 {
		t.Errorf("the command ran %d times, want 1", got)
	}
}

// Who removes all templates while one is being built harms no client.
func TestTemplateDirectoryRemovedDuringBuild(t *testing.T) {
	m := templateMaker(t, "size", "1M", "templates", "x", "command", `printf hello >"$disk"`)
	m.cfg.setVar("templates", m.cfg.templateDir)
	m.cfg.command = `rm -rf "$templates"/*; printf hello >"$disk"`
	makeOne(t, m, "hello")
	makeOne(t, m, "hello")
}

func TestFileIdentityOfDevices(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	dir := t.TempDir()
	identity := func(name string, minor uint32) string {
		path := filepath.Join(dir, name)
		if err := unix.Mknod(path, unix.S_IFBLK|0o600, int(unix.Mkdev(259, minor))); err != nil {
			t.Skip(err)
		}
		return fileIdentity(path)
	}
	// Such numbers are nobody's: the devices cannot be opened.
	a, b, again := identity("a", 1<<19), identity("b", 1<<19+1), identity("c", 1<<19)
	if a == "" || a == b {
		t.Errorf("got identities %q and %q of two devices, want two", a, b)
	}
	if a != again {
		t.Errorf("got identities %q and %q of one device, want one", a, again)
	}
}
