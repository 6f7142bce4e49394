// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package maker

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/internal/testkit"
)

func TestTemplateKey(t *testing.T) {
	base := filepath.Join(t.TempDir(), "base")
	write := func(text string) {
		t.Helper()
		testkit.Must(t, os.WriteFile(base, []byte(text), 0o600))
	}
	write("12345")
	usual := []string{"size", "1M", "command", "true", "image", base, "a", "1"}
	want := keyOf(t, usual...)

	same := map[string][]string{
		"again":          usual,
		"in other order": {"a", "1", "image", base, "size", "1M", "command", "true"},
		"a value twice":  append([]string{"a", "9"}, usual...),
		"size in bytes":  append(usual, "size", "1048576"),
		"kept":           append(usual, "template-dir", t.TempDir()),
	}
	for name, pairs := range same {
		t.Run("same/"+name, func(t *testing.T) {
			if got := keyOf(t, pairs...); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		})
	}

	others := map[string][]string{
		"size":               append(usual, "size", "2M"),
		"command":            append(usual, "command", "true "),
		"value":              append(usual, "a", "2"),
		"another variable":   append(usual, "b", "1"),
		"another name":       {"size", "1M", "command", "true", "image", base, "b", "1"},
		"empty value":        append(usual, "a", ""),
		"label":              append(usual, "label", "x"),
		"type":               append(usual, "type", "xfs"),
		"border of a value":  {"size", "1M", "command", "true", "image", base, "a1", ""},
		"mkfs":               {"size", "1M"},
		"mkfs of one type":   {"size", "1M", "type", "xfs"},
		"mkfs with label":    {"size", "1M", "label", "x"},
		"mkfs, other label":  {"size", "1M", "label", "y"},
		"mkfs of other size": {"size", "2M"},
		"mkfs with options":  {"size", "1M", "mkfs-options", "-m 0"},
		"mkfs for sectors":   {"size", "1M", "type", "vfat", "sector-size", "512"},
		"mkfs, one option":   {"size", "1M", "mkfs-options", "'-m 0'"},
	}
	seen := map[string]string{want: "usual"}
	for name, pairs := range others {
		key := keyOf(t, pairs...)
		if before, ok := seen[key]; ok {
			t.Errorf("got the same key for %s and %s", name, before)
		}
		seen[key] = name
	}

	old := time.Now().Add(-time.Hour)
	for _, change := range []struct {
		name string
		do   func() error
	}{
		{"content", func() error { write("123456"); return nil }},
		{"time", func() error { return os.Chtimes(base, old, old) }},
		{"nanosecond", func() error { return os.Chtimes(base, old, old.Add(1)) }},
		{"inode", func() error {
			if err := os.Rename(base, base+".old"); err != nil {
				return err
			}
			write("123456")
			return os.Chtimes(base, old, old.Add(1))
		}},
		{"gone", func() error { return os.Remove(base) }},
		{"a directory", func() error { return os.Mkdir(base, 0o700) }},
	} {
		testkit.Must(t, change.do())
		key := keyOf(t, usual...)
		if before, ok := seen[key]; ok && change.name != "a directory" {
			t.Errorf("got the same key after a change of the file's %s as for %s", change.name, before)
		}
		seen[key] = change.name
	}
}

func keyOf(t *testing.T, pairs ...string) string {
	t.Helper()
	return makerIn(t, t.TempDir(), pairs...).Key()
}

// What is written in place is seen, even if size and time of modification are
// as before. Reading and cloning change nothing.
func TestFileIdentityOfAFileChangedInPlace(t *testing.T) {
	path := filepath.Join(t.TempDir(), "base")
	testkit.Must(t, os.WriteFile(path, []byte("12345"), 0o600))
	info, err := os.Stat(path)
	testkit.Must(t, err)
	before := fileIdentity(path)
	if out, err := exec.Command("cp", "--reflink=auto", path, path+".clone").CombinedOutput(); err != nil {
		t.Fatalf("cp: %v: %s", err, out)
	}
	if got := fileIdentity(path); got != before {
		t.Errorf("got %s after it was cloned, want %s", got, before)
	}
	// The kernel's clock for files may go in steps of 10 ms.
	time.Sleep(20 * time.Millisecond)
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	testkit.Must(t, err)
	if _, err := f.WriteString("54321"); err != nil {
		t.Error(err)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	testkit.Must(t, os.Chtimes(path, time.Time{}, info.ModTime()))
	if got := fileIdentity(path); got == before {
		t.Errorf("got %s as before, want another", got)
	}
}

func TestFileIdentityOfDevices(t *testing.T) {
	testkit.NeedRoot(t)
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
