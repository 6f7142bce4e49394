// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package nbdkit

import (
	"fmt"
	"reflect"
	"strings"
	"sync"
)

// An optional method whose signature is not quite right would silently be no
// callback at all. So the names are compared as well.

// A method is an optional one of a plugin or a connection.
type method struct {
	name string
	want any // the interface's method, which has the interface as its first parameter
	// of is v.MethodByName(name). Where the name is not a constant, Go's
	// linker cannot leave out any exported method of the whole program.
	of func(v reflect.Value) reflect.Value
}

var pluginMethods = []method{
	{"Describe", Describer.Describe, func(v reflect.Value) reflect.Value { return v.MethodByName("Describe") }},
	{"Load", Loader.Load, func(v reflect.Value) reflect.Value { return v.MethodByName("Load") }},
	{"Unload", Unloader.Unload, func(v reflect.Value) reflect.Value { return v.MethodByName("Unload") }},
	{"DumpPlugin", DumpPluginer.DumpPlugin, func(v reflect.Value) reflect.Value { return v.MethodByName("DumpPlugin") }},
	{"Config", Configurer.Config, func(v reflect.Value) reflect.Value { return v.MethodByName("Config") }},
	{"ConfigComplete", ConfigCompleter.ConfigComplete, func(v reflect.Value) reflect.Value { return v.MethodByName("ConfigComplete") }},
	{"ThreadModel", ThreadModeler.ThreadModel, func(v reflect.Value) reflect.Value { return v.MethodByName("ThreadModel") }},
	{"GetReady", GetReadyer.GetReady, func(v reflect.Value) reflect.Value { return v.MethodByName("GetReady") }},
	{"AfterFork", AfterForker.AfterFork, func(v reflect.Value) reflect.Value { return v.MethodByName("AfterFork") }},
	{"Cleanup", Cleaner.Cleanup, func(v reflect.Value) reflect.Value { return v.MethodByName("Cleanup") }},
	{"PreConnect", PreConnecter.PreConnect, func(v reflect.Value) reflect.Value { return v.MethodByName("PreConnect") }},
	{"ListExports", ExportLister.ListExports, func(v reflect.Value) reflect.Value { return v.MethodByName("ListExports") }},
	{"DefaultExport", DefaultExporter.DefaultExport, func(v reflect.Value) reflect.Value { return v.MethodByName("DefaultExport") }},
}

var connectionMethods = []method{
	{"Close", ConnectionCloser.Close, func(v reflect.Value) reflect.Value { return v.MethodByName("Close") }},
	{"BlockSize", BlockSizer.BlockSize, func(v reflect.Value) reflect.Value { return v.MethodByName("BlockSize") }},
	{"ExportDescription", ExportDescriber.ExportDescription, func(v reflect.Value) reflect.Value { return v.MethodByName("ExportDescription") }},
	{"CanWrite", CanWriter.CanWrite, func(v reflect.Value) reflect.Value { return v.MethodByName("CanWrite") }},
	{"CanFlush", CanFlusher.CanFlush, func(v reflect.Value) reflect.Value { return v.MethodByName("CanFlush") }},
	{"IsRotational", IsRotationaler.IsRotational, func(v reflect.Value) reflect.Value { return v.MethodByName("IsRotational") }},
	{"CanTrim", CanTrimmer.CanTrim, func(v reflect.Value) reflect.Value { return v.MethodByName("CanTrim") }},
	{"CanZero", CanZeroer.CanZero, func(v reflect.Value) reflect.Value { return v.MethodByName("CanZero") }},
	{"CanFastZero", CanFastZeroer.CanFastZero, func(v reflect.Value) reflect.Value { return v.MethodByName("CanFastZero") }},
	{"CanExtents", CanExtentser.CanExtents, func(v reflect.Value) reflect.Value { return v.MethodByName("CanExtents") }},
	{"CanFUA", CanFUAer.CanFUA, func(v reflect.Value) reflect.Value { return v.MethodByName("CanFUA") }},
	{"CanMultiConn", CanMultiConner.CanMultiConn, func(v reflect.Value) reflect.Value { return v.MethodByName("CanMultiConn") }},
	{"CanCache", CanCacher.CanCache, func(v reflect.Value) reflect.Value { return v.MethodByName("CanCache") }},
	{"PWrite", PWriter.PWrite, func(v reflect.Value) reflect.Value { return v.MethodByName("PWrite") }},
	{"Flush", Flusher.Flush, func(v reflect.Value) reflect.Value { return v.MethodByName("Flush") }},
	{"Trim", Trimmer.Trim, func(v reflect.Value) reflect.Value { return v.MethodByName("Trim") }},
	{"Zero", Zeroer.Zero, func(v reflect.Value) reflect.Value { return v.MethodByName("Zero") }},
	{"Extents", Extenter.Extents, func(v reflect.Value) reflect.Value { return v.MethodByName("Extents") }},
	{"Cache", Cacher.Cache, func(v reflect.Value) reflect.Value { return v.MethodByName("Cache") }},
	{"DirectFD", DirectFDer.DirectFD, func(v reflect.Value) reflect.Value { return v.MethodByName("DirectFD") }},
	{"DirectMap", DirectMapper.DirectMap, func(v reflect.Value) reflect.Value { return v.MethodByName("DirectMap") }},
	{"DirectGate", DirectGater.DirectGate, func(v reflect.Value) reflect.Value { return v.MethodByName("DirectGate") }},
	{"DirectCounts", DirectCounter.DirectCounts, func(v reflect.Value) reflect.Value { return v.MethodByName("DirectCounts") }},
}

// checkMethods returns an error for a method of v that has the name of one of
// methods but another signature, or that v lacks only because v is not a pointer.
func checkMethods(v any, methods []method) error {
	value := reflect.ValueOf(v)
	t := value.Type()
	for _, m := range methods {
		found := m.of(value)
		switch {
		case t.Implements(reflect.TypeOf(m.want).In(0)):
		case found.IsValid():
			return fmt.Errorf("%s.%s: the method has type %s, but the callback needs %s", t, m.name, found.Type(), m.signature())
		case m.of(reflect.New(t)).IsValid():
			return fmt.Errorf("%s.%s: the method has a pointer receiver: give nbdkit a *%s", t, m.name, t)
		}
	}
	return nil
}

// signature is the method's type without the interface.
func (m method) signature() string {
	f := reflect.TypeOf(m.want)
	rest := strings.TrimPrefix(f.String(), "func("+f.In(0).String())
	return "func(" + strings.TrimPrefix(rest, ", ")
}

// A lookalike is a method that people write in the belief that it is a callback.
// Nothing calls it.
type lookalike struct {
	name, instead string
	of            func(v reflect.Value) reflect.Value // as for method
}

var pluginLookalikes = []lookalike{
	{"Name", "PluginInitialize takes the name", func(v reflect.Value) reflect.Value { return v.MethodByName("Name") }},
	{"Longname", "Describe returns it", func(v reflect.Value) reflect.Value { return v.MethodByName("Longname") }},
	{"LongName", "Describe returns it", func(v reflect.Value) reflect.Value { return v.MethodByName("LongName") }},
	{"Version", "Describe returns it", func(v reflect.Value) reflect.Value { return v.MethodByName("Version") }},
	{"Description", "Describe returns it", func(v reflect.Value) reflect.Value { return v.MethodByName("Description") }},
	{"MagicConfigKey", "Describe returns it", func(v reflect.Value) reflect.Value { return v.MethodByName("MagicConfigKey") }},
	{"ConfigHelp", "Describe returns it", func(v reflect.Value) reflect.Value { return v.MethodByName("ConfigHelp") }},
	{"Preconnect", "PreConnect is the callback", func(v reflect.Value) reflect.Value { return v.MethodByName("Preconnect") }},
}

var connectionLookalikes = []lookalike{
	{"Pwrite", "PWrite is the callback", func(v reflect.Value) reflect.Value { return v.MethodByName("Pwrite") }},
	{"Blocksize", "BlockSize is the callback", func(v reflect.Value) reflect.Value { return v.MethodByName("Blocksize") }},
	{"CanFua", "CanFUA is the callback", func(v reflect.Value) reflect.Value { return v.MethodByName("CanFua") }},
	{"CanMulticonn", "CanMultiConn is the callback", func(v reflect.Value) reflect.Value { return v.MethodByName("CanMulticonn") }},
}

// ignoredByPlugin returns a message for each method of a plugin that looks like a
// callback and is none. One value may be a plugin and its connection.
func ignoredByPlugin(p PluginInterface) []string {
	messages := ignored(p, pluginLookalikes)
	if !is[ConnectionInterface](p) {
		messages = append(messages, misplaced(p, connectionMethods, "of what Open returns")...)
	}
	return messages
}

// ignoredByConnection is ignoredByPlugin for a connection.
func ignoredByConnection(c ConnectionInterface) []string {
	messages := ignored(c, connectionLookalikes)
	if !is[PluginInterface](c) {
		messages = append(messages, misplaced(c, pluginMethods, "of the plugin")...)
	}
	return messages
}

func ignored(v any, lookalikes []lookalike) (messages []string) {
	for _, l := range lookalikes {
		if l.of(reflect.ValueOf(v)).IsValid() {
			messages = append(messages, fmt.Sprintf("%T.%s: the method is ignored: %s", v, l.name, l.instead))
		}
	}
	return messages
}

func misplaced(v any, methods []method, owner string) (messages []string) {
	for _, m := range methods {
		if reflect.TypeOf(v).Implements(reflect.TypeOf(m.want).In(0)) {
			messages = append(messages, fmt.Sprintf("%T.%s: the method is ignored: it is a callback %s", v, m.name, owner))
		}
	}
	return messages
}

// checkedTypes remembers the verdict for each type of connection.
var checkedTypes sync.Map // reflect.Type -> error or nil

func checkConnection(c ConnectionInterface) error {
	t := reflect.TypeOf(c)
	if err, ok := checkedTypes.Load(t); ok {
		e, _ := err.(error)
		return e
	}
	for _, message := range ignoredByConnection(c) {
		Error("open: " + message)
	}
	err := checkMethods(c, connectionMethods)
	checkedTypes.Store(t, err)
	return err
}
