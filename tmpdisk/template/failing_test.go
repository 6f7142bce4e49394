// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package template

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"nbdkit-tmpdisk-plugin/tmpdisk/internal/testkit"
)

// Commands that fail do so for all clients at a time, not for one after the
// other. Two of these must run together or they end with another error.
func TestTemplateFailsInParallel(t *testing.T) {
	dir := t.TempDir()
	m := templates(t, 1<<20, "dir="+dir+`
[ -e "$dir/together" ] || exit 3
mkdir -p "$dir/runs"; : >"$(mktemp "$dir/runs/XXXXXX")"
n=0
while [ "$(ls "$dir/runs" | wc -l)" -lt 2 ]; do
	n=$((n + 1)); [ $n -lt 600 ] || exit 4
	sleep 0.05
done
exit 3`)
	_, err := m.Make(context.Background())
	testkit.Contains(t, err, "exit code 3")
	testkit.Must(t, os.WriteFile(filepath.Join(dir, "together"), nil, 0o600))
	var wg sync.WaitGroup
	for range 2 {
		inGroup(&wg, func() {
			_, err := m.Make(context.Background())
			testkit.Contains(t, err, "exit code 3")
		})
	}
	wg.Wait()
}

// After a failure that has passed there are templates again.
func TestTemplateAfterAFailure(t *testing.T) {
	dir := t.TempDir()
	m := templates(t, 1<<20, "dir="+dir+`
		[ -e "$dir/works" ] || exit 3; echo >>"$dir/runs"; printf hello >"$disk"`)
	_, err := m.Make(context.Background())
	testkit.Contains(t, err, "exit code 3")
	testkit.Must(t, os.WriteFile(filepath.Join(dir, "works"), nil, 0o600))
	for range 3 {
		makeOne(t, m, "hello")
	}
	if got := testkit.Runs(t, filepath.Join(dir, "runs")); got != 1 {
		t.Errorf("the command ran %d times, want 1", got)
	}
}

// Whoever removes all templates while one is being built harms no client.
func TestTemplateDirectoryRemovedDuringBuild(t *testing.T) {
	dir := t.TempDir()
	m := templatesIn(t, dir, 1<<20, "rm -rf "+dir+`/*; printf hello >"$disk"`)
	makeOne(t, m, "hello")
	makeOne(t, m, "hello")
}
