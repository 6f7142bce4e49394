// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package workdir

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/internal/testkit"
	"nbdkit-tmpdisk-plugin/tmpdisk/sys"
)

func makeWorkdir(t testing.TB, parent string) *Dir {
	t.Helper()
	w, err := New(parent)
	testkit.Must(t, err)
	t.Cleanup(func() { w.Remove() })
	return w
}

func TestWorkdirIsPrivateWhateverTheUmask(t *testing.T) {
	for _, umask := range []int{0, 0o022, 0o077, 0o200, 0o777} {
		parent := t.TempDir()
		old := syscall.Umask(umask)
		w, err := New(parent)
		syscall.Umask(old)
		if err != nil {
			t.Errorf("umask %03o: got %v", umask, err)
			continue
		}
		info, err := os.Lstat(w.Path())
		if err != nil || info.Mode() != fs.ModeDir|0o700 {
			t.Errorf("umask %03o: got %v, %v, want drwx------", umask, info.Mode(), err)
		}
		if dir, name := filepath.Split(w.Path()); filepath.Clean(dir) != parent || !validName(name) {
			t.Errorf("umask %03o: got %s, want a name of ours in %s", umask, w.Path(), parent)
		}
		if err := w.Remove(); err != nil {
			t.Errorf("umask %03o: remove: %v", umask, err)
		}
		testkit.WantEmpty(t, parent)
	}
}

func TestWorkdirInSetGroupIDParent(t *testing.T) {
	parent := t.TempDir()
	testkit.Must(t, os.Chmod(parent, 0o700|fs.ModeSetgid))
	w := makeWorkdir(t, parent)
	info, err := os.Lstat(w.Path())
	if err != nil || info.Mode() != fs.ModeDir|0o700 {
		t.Errorf("got %v, %v, want drwx------", info.Mode(), err)
	}
}

func TestWorkdirDescriptorsAreClosedOnExec(t *testing.T) {
	w := makeWorkdir(t, t.TempDir())
	for _, f := range []*os.File{w.dir, w.parent} {
		flags, err := unix.FcntlInt(f.Fd(), unix.F_GETFD, 0)
		if err != nil || flags&unix.FD_CLOEXEC == 0 {
			t.Errorf("%s: got flags %d, %v, want FD_CLOEXEC", f.Name(), flags, err)
		}
	}
}

func TestWorkdirParentErrors(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	testkit.Must(t, os.WriteFile(file, nil, 0o600))
	locked := filepath.Join(dir, "locked")
	testkit.Must(t, os.Mkdir(locked, 0o500))
	tests := []struct {
		name, parent string
		want         error
	}{
		{"missing", filepath.Join(dir, "missing"), fs.ErrNotExist},
		{"not a directory", file, unix.ENOTDIR},
		{"not writable", locked, fs.ErrPermission},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if test.want == fs.ErrPermission && os.Geteuid() == 0 {
				t.Skip("root may write anywhere")
			}
			w, err := New(test.parent)
			if err == nil {
				w.Remove()
			}
			if !errors.Is(err, test.want) || !strings.Contains(err.Error(), test.parent) {
				t.Errorf("got %v, want %v and the directory's name", err, test.want)
			}
		})
	}
}

// A sweep may find a directory in the instant when it is not locked yet.
func TestWorkdirLostToASweep(t *testing.T) {
	parent := t.TempDir()
	tests := []struct {
		name string
		do   func(t *testing.T, path string)
	}{
		{"swept", func(t *testing.T, path string) {
			if err := Sweep(parent, testkit.Debug(t)); err != nil {
				t.Error(err)
			}
		}},
		{"being swept", func(t *testing.T, path string) {
			f, err := os.Open(path)
			testkit.Must(t, err)
			t.Cleanup(func() {
				f.Close()
				os.Remove(path)
			})
			if err := sys.Flock(int(f.Fd())); err != nil {
				t.Error(err)
			}
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			first := ""
			w, err := newDir(parent, func(path string) {
				if first == "" {
					first = path
					test.do(t, path)
				}
			})
			testkit.Must(t, err)
			t.Cleanup(func() { w.Remove() })
			if w.Path() == first {
				t.Errorf("got %s, want another name", first)
			}
			if err := os.WriteFile(w.Path()+"/disk", nil, 0o600); err != nil {
				t.Error(err)
			}
		})
	}
}

// fill puts into dir what is hard to remove, and returns a file outside that
// must survive.
func fill(t *testing.T, dir string) (outside string) {
	t.Helper()
	outside = filepath.Join(t.TempDir(), "outside")
	deep := filepath.Join(dir, strings.Repeat("deep/", 300))
	for _, err := range []error{
		os.WriteFile(outside, []byte("x"), 0o600),
		os.WriteFile(filepath.Join(dir, "file"), []byte("x"), 0),
		os.WriteFile(filepath.Join(dir, "a\nname -rf *\xff"), nil, 0o600),
		os.Symlink(outside, filepath.Join(dir, "link")),
		os.Symlink(filepath.Dir(outside), filepath.Join(dir, "link to directory")),
		os.Symlink("nowhere", filepath.Join(dir, "dangling")),
		os.Link(outside, filepath.Join(dir, "hard link")),
		unix.Mkfifo(filepath.Join(dir, "fifo"), 0o600),
		os.MkdirAll(deep, 0o700),
		os.MkdirAll(filepath.Join(dir, "sub/read-only"), 0o700),
		os.WriteFile(filepath.Join(dir, "sub/read-only/file"), nil, 0o600),
		os.Chmod(filepath.Join(dir, "sub/read-only"), 0o500),
		os.Chmod(filepath.Join(dir, "sub"), 0),
		os.Chmod(dir, 0o500),
	} {
		testkit.Must(t, err)
	}
	return outside
}

func TestWorkdirRemovesAll(t *testing.T) {
	parent := t.TempDir()
	w := makeWorkdir(t, parent)
	outside := fill(t, w.Path())
	for _, call := range []string{"first", "second"} {
		if err := w.Remove(); err != nil {
			t.Errorf("%s call: got %v", call, err)
		}
	}
	testkit.WantEmpty(t, parent)
	if data, err := os.ReadFile(outside); string(data) != "x" {
		t.Errorf("got %q, %v, want what a link points at unharmed", data, err)
	}
}

// A tree that is deeper, in one branch, and wider, in another, than there are
// descriptors, and whose paths are longer than a path may be.
func TestWorkdirRemovesMoreLevelsThanDescriptors(t *testing.T) {
	parent := t.TempDir()
	w := makeWorkdir(t, parent)
	grow := func(from int, name string, levels int) int {
		for range levels {
			testkit.Must(t, unix.Mkdirat(from, name, 0o700))
			fd, err := sys.Openat(from, name, sys.OpenDir)
			testkit.Must(t, err)
			unix.Fchmod(from, 0o500)
			unix.Close(from)
			from = fd
		}
		return from
	}
	top, err := sys.Openat(int(w.dir.Fd()), ".", sys.OpenDir)
	testkit.Must(t, err)
	bottom := grow(top, strings.Repeat("deep", 40), 3000)
	for _, name := range []string{"a", "b", "c"} {
		branch, err := sys.Openat(bottom, ".", sys.OpenDir)
		testkit.Must(t, err)
		unix.Fchmod(bottom, 0o700)
		unix.Close(grow(branch, name, 50))
	}
	unix.Close(bottom)

	free, err := sys.Openat(int(w.dir.Fd()), ".", sys.OpenDir) // the lowest free number
	testkit.Must(t, err)
	unix.Close(free)
	var limit unix.Rlimit
	testkit.Must(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &limit))
	few := unix.Rlimit{Cur: uint64(free) + maxOpen + 10, Max: limit.Max}
	testkit.Must(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &few))
	err = w.Remove()
	unix.Setrlimit(unix.RLIMIT_NOFILE, &limit)
	if err != nil {
		t.Errorf("got %.200v", err)
	}
	testkit.WantEmpty(t, parent)
}

func TestWorkdirRemovedByOthers(t *testing.T) {
	w := makeWorkdir(t, t.TempDir())
	testkit.Must(t, os.Remove(w.Path()))
	if err := w.Remove(); err != nil {
		t.Errorf("got %v, want success", err)
	}
}

func TestWorkdirRemoveDetachesMounts(t *testing.T) {
	testkit.NeedRoot(t)
	parent, outside := t.TempDir(), t.TempDir()
	testkit.Must(t, os.WriteFile(outside+"/file", nil, 0o600))
	w := makeWorkdir(t, parent)
	dir, file := w.Path()+"/directory", w.Path()+"/file"
	testkit.Must(t, errors.Join(os.Mkdir(dir, 0o700), os.WriteFile(file, nil, 0o600)))
	// A bind mount of the same filesystem: only the mount differs.
	if err := unix.Mount(outside, dir, "", unix.MS_BIND, ""); err != nil {
		t.Skipf("mount: %v", err)
	}
	defer unix.Unmount(dir, unix.MNT_DETACH)
	testkit.Must(t, unix.Mount(outside+"/file", file, "", unix.MS_BIND, ""))
	defer unix.Unmount(file, unix.MNT_DETACH)
	if err := w.Remove(); err != nil {
		t.Errorf("got %v", err)
	}
	testkit.WantEmpty(t, parent)
	if _, err := os.Stat(outside + "/file"); err != nil {
		t.Errorf("got %v, want what was mounted unharmed", err)
	}
}

func TestWorkdirRemoveStackedMounts(t *testing.T) {
	testkit.NeedRoot(t)
	cases := []struct {
		name string
		make func(w *Dir) (on string, err error)
		what string // in the other directory
	}{
		{"on a directory", func(w *Dir) (string, error) {
			return w.Path() + "/x", os.Mkdir(w.Path()+"/x", 0o700)
		}, ""},
		{"on a file", func(w *Dir) (string, error) {
			return w.Path() + "/x", os.WriteFile(w.Path()+"/x", nil, 0o600)
		}, "/file"},
		{"on the disk's directory", func(w *Dir) (string, error) { return w.Path() + "/d", w.Enter() }, ""},
		{"above it", func(w *Dir) (string, error) { return w.Path(), nil }, ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			parent, outside := t.TempDir(), t.TempDir()
			testkit.Must(t, os.WriteFile(outside+"/file", nil, 0o600))
			w := makeWorkdir(t, parent)
			on, err := c.make(w)
			testkit.Must(t, err)
			for range 3 {
				if err := unix.Mount(outside+c.what, on, "", unix.MS_BIND, ""); err != nil {
					t.Skipf("mount: %v", err)
				}
				defer unix.Unmount(on, unix.MNT_DETACH)
			}
			if err := w.Remove(); err != nil {
				t.Errorf("got %v", err)
			}
			testkit.WantEmpty(t, parent)
			if _, err := os.Stat(outside + "/file"); err != nil {
				t.Errorf("got %v, want what was mounted unharmed", err)
			}
		})
	}
}

// What a command has mounted on its own directory may have a file with the
// disk's name.
func TestWorkdirRemoveMountOnInner(t *testing.T) {
	testkit.NeedRoot(t)
	parent, outside := t.TempDir(), t.TempDir()
	testkit.Must(t, os.WriteFile(outside+"/disk", nil, 0o600))
	w := makeWorkdir(t, parent)
	testkit.Must(t, w.Enter())
	inner := w.Path()
	if err := unix.Mount(outside, inner, "", unix.MS_BIND, ""); err != nil {
		t.Skipf("mount: %v", err)
	}
	defer unix.Unmount(inner, unix.MNT_DETACH)
	if err := w.Remove(); err != nil {
		t.Errorf("got %v", err)
	}
	testkit.WantEmpty(t, parent)
	if _, err := os.Stat(outside + "/disk"); err != nil {
		t.Errorf("got %v, want what was mounted unharmed", err)
	}
}

func TestWorkdirEnter(t *testing.T) {
	parent := t.TempDir()
	w := makeWorkdir(t, parent)
	outer := w.Path()
	testkit.Must(t, w.Enter())
	if w.Path() != outer+"/d" {
		t.Errorf("got %s, want %s/d", w.Path(), outer)
	}
	if info, err := os.Stat(w.Path()); err != nil || info.Mode() != os.ModeDir|0o700 {
		t.Errorf("got %v, %v, want a directory of mode 0700", info.Mode(), err)
	}
	if err := w.Remove(); err != nil {
		t.Error(err)
	}
	testkit.WantEmpty(t, parent)
}

// Somebody whom a command has let into its directory, and who is still in it.
func TestWorkdirTakeBack(t *testing.T) {
	testkit.NeedRoot(t)
	w := makeWorkdir(t, testkit.SharedDir(t))
	testkit.Must(t, w.GiveTo(61234, 61234))
	testkit.Must(t, os.Chmod(w.Path(), 0o777))
	intruder := exec.Command("/bin/sh", "-c", "echo in >&2; read line; : >file && ln -s /etc/shadow disk")
	intruder.Dir = w.Path()
	intruder.SysProcAttr = &unix.SysProcAttr{Credential: &syscall.Credential{Uid: 61236, Gid: 61236}}
	in, err := intruder.StdinPipe()
	testkit.Must(t, err)
	said, err := intruder.StderrPipe()
	testkit.Must(t, err)
	testkit.Must(t, intruder.Start())
	said.Read(make([]byte, 10))
	if err := w.TakeBack(); err != nil {
		t.Error(err)
	}
	in.Close()
	if intruder.Wait() == nil {
		t.Error("the intruder has made a file and a link, want permission denied")
	}
	if left := testkit.Names(t, w.Path()); len(left) != 0 {
		t.Errorf("got %q in the directory, want nothing", left)
	}
}

func TestWorkdirGiveTo(t *testing.T) {
	testkit.NeedRoot(t)
	const uid, gid = 61234, 61235
	parent := t.TempDir()
	w := makeWorkdir(t, parent)
	outer := w.Path()
	testkit.Must(t, w.GiveTo(uid, gid))
	if filepath.Dir(w.Path()) != outer {
		t.Errorf("got %s, want something in %s", w.Path(), outer)
	}
	for _, want := range []struct {
		path     string
		uid, gid uint32
		mode     uint32
	}{
		{outer, 0, uint32(os.Getegid()), 0o711},
		{w.Path(), uid, gid, 0o700},
	} {
		var st unix.Stat_t
		testkit.Must(t, unix.Lstat(want.path, &st))
		if st.Uid != want.uid || st.Gid != want.gid || st.Mode&0o7777 != want.mode {
			t.Errorf("%s: got %d:%d %03o, want %d:%d %03o", want.path, st.Uid, st.Gid, st.Mode&0o7777, want.uid, want.gid, want.mode)
		}
	}
	if err := w.GiveTo(uid, gid); err == nil {
		t.Error("got success for the second time, want an error")
	}
	if err := w.Remove(); err != nil {
		t.Error(err)
	}
	testkit.WantEmpty(t, parent)
}
