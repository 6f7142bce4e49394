// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package nbdkit

import (
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
)

type goodPlugin struct{}

func (goodPlugin) Open(bool) (ConnectionInterface, error) { return bare{}, nil }

type wrongConfig struct{ goodPlugin }

func (wrongConfig) Config(string, string) {}

type wrongModel struct{ goodPlugin }

func (wrongModel) ThreadModel() uint32 { return 0 }

type pointerConfig struct{ goodPlugin }

func (*pointerConfig) Config(string, string) error { return nil }

type wrongZero struct{ bare }

func (wrongZero) Zero(count, offset uint64, flags uint32) error { return nil }

type pointerPWrite struct{ bare }

func (*pointerPWrite) PWrite([]byte, uint64, uint32) error { return nil }

type wrongCounts struct{ bare }

func (wrongCounts) DirectCounts() uint64 { return 0 }

func TestCheckMethods(t *testing.T) {
	tests := []struct {
		name  string
		value any
		table []method
		want  string // part of the error, "" for none
	}{
		{"plugin", goodPlugin{}, pluginMethods, ""},
		{"plugin, pointer", &goodPlugin{}, pluginMethods, ""},
		{"pointer receiver, pointer", &pointerConfig{}, pluginMethods, ""},
		{"pointer receiver, value", pointerConfig{}, pluginMethods, "pointerConfig.Config: the method has a pointer receiver"},
		{"no result", wrongConfig{}, pluginMethods, "wrongConfig.Config: the method has type func(string, string), but"},
		{"no error", &wrongModel{}, pluginMethods, "wrongModel.ThreadModel: "},
		{"connection", answeringZero{}, connectionMethods, ""},
		{"wrong parameter", wrongZero{}, connectionMethods, "wrongZero.Zero: the method has type func(uint64, uint64, uint32) error, but the callback needs func(uint32, uint64, uint32) error"},
		{"wrong result", wrongCounts{}, connectionMethods, "wrongCounts.DirectCounts: the method has type func() uint64"},
		{"connection, value", pointerPWrite{}, connectionMethods, "give nbdkit a *nbdkit.pointerPWrite"},
		{"nil pointer", (*pointerPWrite)(nil), connectionMethods, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			err := checkMethods(test.value, test.table)
			switch {
			case test.want == "" && err != nil:
				t.Errorf("got error %v, want none", err)
			case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
				t.Errorf("got error %v, want %q in it", err, test.want)
			}
		})
	}
}

type versionedPlugin struct{ goodPlugin }

func (versionedPlugin) Version() string               { return "1" }
func (versionedPlugin) PWrite([]byte, uint64, uint32) {}
func (versionedPlugin) Flush(uint32) error            { return nil }
func (versionedPlugin) Helper()                       {}

type pluginAndConnection struct {
	goodPlugin
	withFlush
}

type misspelt struct{ bare }

func (*misspelt) Pwrite([]byte, uint64, uint32) error { return nil }
func (*misspelt) Version() string                     { return "1" }
func (*misspelt) Cleanup()                            {}

func TestIgnoredMethods(t *testing.T) {
	tests := []struct {
		name string
		got  []string
		want []string
	}{
		{"good plugin", ignoredByPlugin(describedPlugin{}), nil},
		{"good connection", ignoredByConnection(answeringZero{}), nil},
		{"plugin", ignoredByPlugin(versionedPlugin{}), []string{
			"nbdkit.versionedPlugin.Version: the method is ignored: Describe returns it",
			"nbdkit.versionedPlugin.Flush: the method is ignored: it is a callback of what Open returns"}},
		{"connection", ignoredByConnection(&misspelt{}), []string{
			"*nbdkit.misspelt.Pwrite: the method is ignored: PWrite is the callback",
			"*nbdkit.misspelt.Cleanup: the method is ignored: it is a callback of the plugin"}},
		{"both, as a plugin", ignoredByPlugin(pluginAndConnection{}), nil},
		{"both, as a connection", ignoredByConnection(pluginAndConnection{}), nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if !slices.Equal(test.got, test.want) {
				t.Errorf("got %q, want %q", test.got, test.want)
			}
		})
	}
}

// A lookalike is looked for by its own name, and is the name of no callback.
func TestLookalikes(t *testing.T) {
	text, err := os.ReadFile("methods.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range slices.Concat(pluginLookalikes, connectionLookalikes) {
		if !regexp.MustCompile(`\{"` + l.name + `", .*MethodByName\("` + l.name + `"\)`).Match(text) {
			t.Errorf("%s: another method is looked for", l.name)
		}
		for _, m := range slices.Concat(pluginMethods, connectionMethods) {
			if m.name == l.name {
				t.Errorf("%s: it is a callback", l.name)
			}
		}
	}
}

func TestCheckConnectionRemembers(t *testing.T) {
	for range 2 {
		if err := checkConnection(wrongZero{}); err == nil {
			t.Error("wrong connection: got no error, want one")
		}
		if err := checkConnection(bare{}); err != nil {
			t.Errorf("right connection: got %v, want no error", err)
		}
	}
}

// allPlugin and allConnection have each optional method.
type allPlugin struct {
	Describer
	Loader
	Unloader
	DumpPluginer
	Configurer
	ConfigCompleter
	ThreadModeler
	GetReadyer
	AfterForker
	Cleaner
	PreConnecter
	ExportLister
	DefaultExporter
}

type allConnection struct {
	ConnectionCloser
	BlockSizer
	ExportDescriber
	CanWriter
	CanFlusher
	IsRotationaler
	CanTrimmer
	CanZeroer
	CanFastZeroer
	CanExtentser
	CanFUAer
	CanMultiConner
	CanCacher
	PWriter
	Flusher
	Trimmer
	Zeroer
	Extenter
	Cacher
	DirectFDer
	DirectMapper
	DirectGater
	DirectCounter
}

// The three places of a method in its table are about the same method.
func TestMethodTables(t *testing.T) {
	for _, test := range []struct {
		all   any
		table []method
	}{{allPlugin{}, pluginMethods}, {allConnection{}, connectionMethods}} {
		if got, want := len(test.table), reflect.TypeOf(test.all).NumMethod(); got != want {
			t.Errorf("%T: got %d methods in the table, want %d", test.all, got, want)
		}
		for _, m := range test.table {
			iface := reflect.TypeOf(m.want).In(0)
			if got := iface.Method(0).Name; got != m.name {
				t.Errorf("%s: got the interface's method %s, want its own", m.name, got)
			}
			field := reflect.StructField{Name: iface.Name(), Type: iface, Anonymous: true}
			if only := reflect.Zero(reflect.StructOf([]reflect.StructField{field})); !m.of(only).IsValid() {
				t.Errorf("%s: got another method by its name, want its own", m.name)
			}
		}
	}
}
