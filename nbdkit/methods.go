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
// callback at all. So the names are compared as well.

// methodTable maps the names of optional methods to their types.
type methodTable map[string]reflect.Type

// tableOf returns the methods of the interface type T.
func tableOf[T any]() methodTable {
	m := methodTable{}
	t := reflect.TypeFor[T]()
	for i := range t.NumMethod() {
		m[t.Method(i).Name] = t.Method(i).Type
	}
	return m
}

var pluginMethods = tableOf[interface {
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
}]()

var connectionMethods = tableOf[interface {
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
	DirectGater
}]()

// checkMethods returns an error for the first method of v that has the name of
// an optional one but another signature, or that v lacks only because v is not
// a pointer.
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
