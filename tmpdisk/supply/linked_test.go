// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package supply

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/internal/testkit"
)

func TestLinkedDisks(t *testing.T) {
	link, hard := `ln -sf "$image" "$disk"`, `ln -f "$image" "$disk"`
	cases := []struct {
		name   string
		pairs  []string
		shared string // in the error; "" if a client is to be served
	}{
		{"a link", []string{"command", link}, "/base"},
		{"a link to a link", []string{"command", `ln -s "$image" "$disk.2"; ln -sf "$disk.2" "$disk"`}, "/base"},
		{"a hard link", []string{"command", hard}, "another name"},
		{"a template's", []string{"command", link, "template-dir", t.TempDir()}, ""},
		{"a link beside it", []string{"command", `cp "$image" "$disk.2"; ln -sf disk.2 "$disk"`}, ""},
		{"a hard link beside it", []string{"command", `cp "$image" "$disk.2"; ln -f "$disk.2" "$disk"`}, ""},
		{"a mount", []string{"command", `mount --bind "$image" "$disk"`}, "mounted"},
		{"a link into a mount beside it", []string{"command",
			`mkdir "$disk.d"; mount --bind "${image%/*}" "$disk.d"; ln -sf "$disk.d/base" "$disk"`}, "mounted"},
		{"a copy", []string{"command", `cp --reflink=auto "$image" "$disk"`}, ""},
	}
	for _, fs := range []struct {
		name string
		dir  func(testing.TB) string
	}{
		{"TMPDIR", func(t testing.TB) string { return t.TempDir() }},
		{"FUSE", testkit.FUSE},
	} {
		for _, c := range cases {
			t.Run(fs.name+"/"+c.name, func(t *testing.T) {
				if strings.Contains(c.name, "mount") && !canMount(t) {
					t.Skip("needs to mount")
				}
				dir := fs.dir(t)
				parent, base := filepath.Join(dir, "tmp"), filepath.Join(dir, "base")
				testkit.Must(t, os.Mkdir(parent, 0o700))
				testkit.Must(t, os.WriteFile(base, []byte("content"), 0o600))
				s := supplyIn(t, parent, nil, append(c.pairs, "size", "0", "image", base)...)
				d, err := s.Take(context.Background(), 0)
				if c.shared != "" {
					testkit.Contains(t, err, c.shared, "share and change", "cp --reflink=auto")
				} else if err != nil {
					t.Error(err)
				}
				if err == nil {
					s.Return(d)
				}
			})
		}
	}
}

func canMount(t *testing.T) bool {
	dir := t.TempDir()
	return unix.Mount(dir, dir, "", unix.MS_BIND, "") == nil && unix.Unmount(dir, 0) == nil
}
