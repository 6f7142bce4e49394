// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package config

import (
	"os"
	"testing"

	"nbdkit-tmpdisk-plugin/tmpdisk/export"
	"nbdkit-tmpdisk-plugin/tmpdisk/internal/testkit"
)

func TestBase(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	image := t.TempDir() + "/image"
	testkit.Must(t, os.WriteFile(image, make([]byte, 5000), 0o600))
	empty := t.TempDir() + "/empty"
	testkit.Must(t, os.WriteFile(empty, nil, 0o600))
	for _, c := range []struct {
		name  string
		pairs []string
		wants []string // in the error; nil is none
		size  int64
	}{
		{"alone", []string{"base", image}, nil, 0},
		{"larger", []string{"base", image, "size", "1M"}, nil, 1 << 20},
		{"as large", []string{"base", image, "size", "5000"}, nil, 5000},
		{"smaller", []string{"base", image, "size", "4999"}, []string{"parameter size", "4999", "5000", image, "leave size= out"}, 0},
		{"empty, with a size", []string{"base", empty, "size", "1M"}, nil, 1 << 20},
		{"empty", []string{"base", empty}, []string{"parameter base", empty, "give size="}, 0},
		{"no name", []string{"base", ""}, []string{"parameter base", "name an image"}, 0},
		{"missing", []string{"base", image + ".no"}, []string{"parameter base", image + ".no", "no such file"}, 0},
		{"a directory", []string{"base", "/"}, []string{"parameter base", "a directory"}, 0},
		{"sectors and the image", []string{"base", image, "sector-size", "512"}, []string{"parameter sector-size: 512: the disk has 5000 bytes"}, 0},
		{"sectors and the size", []string{"base", image, "sector-size", "512", "size", "8K"}, nil, 8192},
		{"with a type", []string{"base", image, "type", "xfs"}, []string{"parameter base", "leave out type=, or base="}, 0},
		{"with a label", []string{"base", image, "label", "x"}, []string{"parameter base", "leave out label=, or base="}, 0},
		{"with a command", []string{"command", ":", "size", "1M", "base", image}, []string{"parameter base", "leave out command=, or base=", "another name"}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := New(testkit.Host{TB: t})
			err := error(nil)
			for i := 0; err == nil && i < len(c.pairs); i += 2 {
				err = cfg.Set(c.pairs[i], c.pairs[i+1])
			}
			if err == nil {
				err = cfg.Complete()
			}
			if err == nil {
				_, err = cfg.CheckFiles()
			}
			if c.wants != nil {
				testkit.Contains(t, err, c.wants...)
			} else if err != nil || cfg.Size != c.size || cfg.Base == "" {
				t.Errorf("got %v, size %d, base %q", err, cfg.Size, cfg.Base)
			}
		})
	}
}

// What an export says replaces what all exports have, a base as well as what makes disks.
func TestBaseOfAnExport(t *testing.T) {
	all := func(pairs ...string) *Config {
		c := New(testkit.Host{TB: t})
		for i := 0; i < len(pairs); i += 2 {
			testkit.Must(t, c.Set(pairs[i], pairs[i+1]))
		}
		testkit.Must(t, c.Complete())
		return c
	}
	for _, c := range []struct {
		name     string
		of       *Config
		settings []export.Setting
		base     string
		size     int64
		builtin  bool
	}{
		{"base for a type", all("size", "1G", "type", "xfs", "label", "l", "export-dir", "/e"),
			[]export.Setting{{Key: "base", Value: "/i"}}, "/i", 0, false},
		{"base for a command", all("size", "1G", "command", ":", "export-dir", "/e"),
			[]export.Setting{{Key: "base", Value: "/i"}, {Key: "size", Value: "2G"}}, "/i", 2 << 30, false},
		{"type for a base", all("base", "/i", "size", "1G", "export-dir", "/e"),
			[]export.Setting{{Key: "type", Value: "xfs"}}, "", 1 << 30, true},
		{"the base of all", all("base", "/i", "export-dir", "/e"), nil, "/i", 0, false},
		{"without the base of all", all("base", "/i", "size", "1G", "export-dir", "/e"),
			[]export.Setting{{Key: "base", Value: ""}}, "", 1 << 30, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			e, err := c.of.Export(c.settings)
			testkit.Must(t, err)
			if e.Base != c.base || e.Size != c.size || e.Builtin() != c.builtin || e.Base != "" && e.Command != "" {
				t.Errorf("got base %q, size %d, built in %t, command %q", e.Base, e.Size, e.Builtin(), e.Command)
			}
		})
	}
	_, err := all("base", "/i", "export-dir", "/e").Export([]export.Setting{{Key: "type", Value: "xfs", Line: 7}})
	testkit.Contains(t, err, "parameter size: missing")
	_, err = all("size", "1G", "export-dir", "/e").Export([]export.Setting{{Key: "base", Value: "/i", Line: 3}, {Key: "type", Value: "xfs", Line: 4}})
	testkit.Contains(t, err, "line 3", "leave out type=, or base=")
}
