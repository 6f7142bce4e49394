// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package tmpdisk

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// withSbin makes sure that an ordinary user finds mkfs and its relatives.
func withSbin(t testing.TB) {
	t.Setenv("PATH", os.Getenv("PATH")+":/usr/sbin:/sbin")
}

func TestRestamp(t *testing.T) {
	withSbin(t)
	tests := []struct {
		fsType, size string
		fsck         []string // nil if there is no checker
	}{
		{"ext2", "20M", []string{"e2fsck", "-f", "-n"}},
		{"ext3", "20M", []string{"e2fsck", "-f", "-n"}},
		{"ext4", "20M", []string{"e2fsck", "-f", "-n"}},
		{"ext4", "1G", []string{"e2fsck", "-f", "-n"}},
		{"btrfs", "256M", []string{"btrfs", "check", "--readonly"}},
		{"btrfs", "120M", []string{"btrfs", "check", "--readonly"}}, // --mixed
		{"ntfs", "20M", []string{"ntfsfix", "-n"}},
		{"exfat", "20M", []string{"fsck.exfat", "-n"}},
		{"vfat", "20M", []string{"fsck.fat", "-n"}},
		{"vfat", "1G", []string{"fsck.fat", "-n"}}, // FAT32: a second boot sector
		{"swap", "20M", nil},
	}
	for _, tt := range tests {
		t.Run(tt.fsType+"/"+tt.size, func(t *testing.T) {
			stamp, ok := restampOf(tt.fsType, 1)
			if !ok || stamp == nil {
				t.Fatalf("got no restamp for %s", tt.fsType)
			}
			programs := []string{filesystemOf(tt.fsType).program, stamp.program, "blkid"}
			if tt.fsck != nil {
				programs = append(programs, tt.fsck[0])
			}
			for _, program := range programs {
				if _, err := exec.LookPath(program); err != nil {
					t.Skip(err)
				}
			}
			m := templateMaker(t, "size", tt.size, "type", tt.fsType, "label", "tmp")
			seen := map[string]bool{}
			for range 3 {
				d, err := m.make(context.Background())
				if err != nil {
					t.Fatal(err)
				}
				path := saveDisk(t, d)
				closeDisk(t, d)
				id := blkid(t, path)
				if seen[id["UUID"]] || id["UUID"] == "" {
					t.Errorf("got UUID %q, want another than %v", id["UUID"], seen)
				}
				seen[id["UUID"]] = true
				if !strings.EqualFold(id["LABEL"], "tmp") {
					t.Errorf("got label %q, want tmp", id["LABEL"])
				}
				if tt.fsck == nil {
					continue
				}
				if out, err := exec.Command(tt.fsck[0], append(tt.fsck[1:], path)...).CombinedOutput(); err != nil {
					t.Errorf("%q: %v\n%s", tt.fsck, err, out)
				}
			}
			if n := len(templatesIn(t, m)); n != 1 {
				t.Errorf("got %d templates, want 1", n)
			}
			if m.templates.plain.Load() {
				t.Error("clones could not be given a new UUID")
			}
		})
	}
}

// saveDisk writes a disk to a file of its own.
func saveDisk(t testing.TB, d *Disk) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "disk.img")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := cloneFile(context.Background(), int(f.Fd()), d.fd, cloneOptions{}); err != nil {
		t.Fatal(err)
	}
	return path
}

func blkid(t testing.TB, path string) map[string]string {
	t.Helper()
	out, err := exec.Command("blkid", "-p", "-o", "export", path).CombinedOutput()
	if err != nil {
		t.Fatalf("blkid: %v\n%s", err, out)
	}
	id := map[string]string{}
	for line := range strings.Lines(string(out)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		id[name] = value
	}
	return id
}

func TestRestampChoice(t *testing.T) {
	tests := []struct {
		name    string
		pairs   []string
		want    bool // templates are used
		stamped bool
	}{
		{"ext4", []string{"type", "ext4"}, true, true},
		{"the default type", nil, true, true},
		{"ext4 that is large", []string{"size", "5G"}, false, false},
		{"xfs", []string{"type", "xfs"}, false, false},
		{"xfs that may have the same UUID", []string{"type", "xfs", "template-uuid", "same"}, true, false},
		{"ext4 that may have the same UUID", []string{"template-uuid", "same"}, true, false},
		{"minix", []string{"type", "minix"}, true, false},
		{"a type nobody knows", []string{"type", "foofs"}, false, false},
		{"a command", []string{"command", "true"}, true, false},
		{"a command that has a type", []string{"command", "true", "type", "xfs"}, true, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := templateMaker(t, append([]string{"size", "1G"}, tt.pairs...)...)
			if got := !m.templates.plain.Load(); got != tt.want {
				t.Errorf("got templates used %v, want %v", got, tt.want)
			}
			if (m.templates.stamp != nil) != tt.stamped {
				t.Errorf("got restamp %v, want one %v", m.templates.stamp, tt.stamped)
			}
		})
	}
}

// A program that is missing or fails costs the templates, not the disk.
func TestRestampThatFails(t *testing.T) {
	privateTMPDIR(t)
	ran := filepath.Join(t.TempDir(), "ran")
	m := templateMaker(t, "size", "1M", "command", "echo >>"+ran)
	m.templates.stamp = &restamp{program: "no-such-program", arguments: func(string) string { return "" }}
	for range 3 {
		d, err := m.make(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		closeDisk(t, d)
	}
	if got := runs(t, ran); got != 3 {
		t.Errorf("got %d runs of the command, want 3", got)
	}
}

// BenchmarkRestamp compares, type by type, a fresh mkfs with a clone that is
// given a new UUID: what the list of types in restamp.go is drawn from.
func BenchmarkRestamp(b *testing.B) {
	withSbin(b)
	for _, fsType := range []string{"ext2", "ext3", "ext4", "btrfs", "ntfs", "exfat", "vfat", "swap", "minix"} {
		for _, size := range []string{"256M", "1G", "16G"} {
			b.Setenv("TMPDIR", b.TempDir())
			m := newMaker(configOf(b, "size", size, "type", fsType, "template-dir", b.TempDir()), quietHost{testHost{b}})
			for name, make := range map[string]func(context.Context) (*Disk, error){
				"mkfs":  func(ctx context.Context) (*Disk, error) { return m.makeBy(ctx, m.fresh()) },
				"clone": m.make,
			} {
				b.Run(fmt.Sprintf("%s/%s/%s", fsType, size, name), func(b *testing.B) {
					for b.Loop() {
						d, err := make(context.Background())
						if err != nil {
							b.Fatal(err)
						}
						closeDisk(b, d)
					}
				})
			}
		}
	}
}
