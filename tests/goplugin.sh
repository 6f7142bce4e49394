# shellcheck shell=bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# Sourced after lib.sh by the tests of the Go bindings, which build small
# plugins of their own from nbdkit/.
#
# shellcheck disable=SC2154 # lib.sh sets work, log, sock and pidfile

# go_plugin PACKAGE [GO-BUILD-OPTION]...: build nbdkit/PACKAGE with nothing but
# go build, as $work/NAME.so for the last part of the package's name.
go_plugin() {
    local package=$1
    shift
    (
        use_go
        cd nbdkit
        "$GO" build -buildvcs=false -buildmode=c-shared "$@" \
            -o "$work/${package##*/}.so" "./$package"
    ) || fail "go build $package"
}

# config_fails TEXT ARGUMENTS...: nbdkit must end with exit status 1 before it
# serves, whatever the mode, and its standard error must have TEXT.
config_fails() {
    local text=$1
    shift
    new_server
    fails_before_the_fork "$text" -f -U "$sock" -P "$pidfile" "$@"
    fails_before_the_fork "$text" -U "$sock" -P "$pidfile" "$@"
    fails_before_the_fork "$text" -U "$sock" "$@" --run "touch '$work/ran'"
    fails_before_the_fork "$text" -s "$@"
    [ ! -e "$pidfile" ] || fail "there is a pid file"
    [ ! -e "$sock" ] || fail "there is a socket"
    [ ! -e "$work/ran" ] || fail "the command of --run ran"
}

fails_before_the_fork() {
    local text=$1 status=0
    shift
    nbdkit "$@" </dev/null >"$work/stdout" 2>"$log" || status=$?
    [ "$status" -eq 1 ] || fail "nbdkit $*: got exit status $status, want 1"
    [ ! -s "$work/stdout" ] || fail "nbdkit $*: something on standard output"
    has "$log" "$text"
}

# client CODE: run Python code with a connection h to the export $export of the
# server at $sock, the default one if $export is empty.
client() {
    sock=$sock export=${export-} code=$1 nbdsh -c - <<'PYTHON'
import os
uri = "nbd+unix:///%s?socket=%s" % (os.environ["export"], os.environ["sock"])
h.connect_uri(uri)
exec(os.environ["code"])
PYTHON
}
