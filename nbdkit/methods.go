// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package nbdkit

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"sync"
)

// An optional method whose signature is not quite right would silently be no
// callback at all. So its name is compared as well.

// methodTable maps the names of optional methods to their types.
type methodTable map[string]reflect.Type

func (m methodTable) add(iface reflect.Type) {
	for i := range iface.NumMethod() {
		m[iface.Method(i).Name] = iface.Method(i).Type
	}
}

func tableOf(ifaces ...reflect.Type) methodTable {
	m := methodTable{}
	for _, iface := range ifaces {
		m.add(iface)
	}
	return m
}

var pluginMethods = tableOf(
	reflect.TypeFor[Describer](),
	reflect.TypeFor[Loader](),
	reflect.TypeFor[Unloader](),
	reflect.TypeFor[DumpPluginer](),
	reflect.TypeFor[Configurer](),
	reflect.TypeFor[ConfigCompleter](),
	reflect.TypeFor[ThreadModeler](),
	reflect.TypeFor[GetReadyer](),
	reflect.TypeFor[AfterForker](),
	reflect.TypeFor[Cleaner](),
	reflect.TypeFor[PreConnecter](),
	reflect.TypeFor[ExportLister](),
	reflect.TypeFor[DefaultExporter](),
)

var connectionMethods = tableOf(
	reflect.TypeFor[ConnectionCloser](),
	reflect.TypeFor[BlockSizer](),
	reflect.TypeFor[ExportDescriber](),
	reflect.TypeFor[CanWriter](),
	reflect.TypeFor[CanFlusher](),
	reflect.TypeFor[IsRotationaler](),
	reflect.TypeFor[CanTrimmer](),
	reflect.TypeFor[CanZeroer](),
	reflect.TypeFor[CanFastZeroer](),
	reflect.TypeFor[CanExtentser](),
	reflect.TypeFor[CanFUAer](),
	reflect.TypeFor[CanMultiConner](),
	reflect.TypeFor[CanCacher](),
	reflect.TypeFor[PWriter](),
	reflect.TypeFor[Flusher](),
	reflect.TypeFor[Trimmer](),
	reflect.TypeFor[Zeroer](),
	reflect.TypeFor[Extenter](),
	reflect.TypeFor[Cacher](),
	reflect.TypeFor[DirectFDer](),
)

// checkMethods returns an error that names the first method of v that has the
// name of an optional one and another signature, or that v does not have
// because it is no pointer.
func checkMethods(v any, table methodTable) error {
	t := reflect.TypeOf(v)
	for _, name := range slices.Sorted(maps.Keys(table)) {
		_, has := t.MethodByName(name)
		if _, pointerHas := reflect.PointerTo(t).MethodByName(name); pointerHas && !has {
			return fmt.Errorf("%s.%s: the method has a pointer receiver: give nbdkit a *%s", t, name, t)
		}
	}
	for i := range t.NumMethod() {
		m := t.Method(i)
		want, ok := table[m.Name]
		if !ok {
			continue
		}
		if got := reflect.ValueOf(v).Method(i).Type(); got != want {
			return fmt.Errorf("%s.%s: the method has type %s, but the callback needs %s", t, m.Name, got, want)
		}
	}
	return nil
}

// checkedTypes remembers the verdict for each type of connection.
var checkedTypes sync.Map // reflect.Type -> error or nil

func checkConnection(c ConnectionInterface) error {
	t := reflect.TypeOf(c)
	if err, ok := checkedTypes.Load(t); ok {
		e, _ := err.(error)
		return e
	}
	err := checkMethods(c, connectionMethods)
	checkedTypes.Store(t, err)
	return err
}
