#!/usr/bin/env bash
# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# Every package below tmpdisk/ has a doc.go, and imports no other one but those
# listed here: imports go one way, and nothing imports the Server.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

use_go
declare -A may=(
    [sys]="" [privdir]="sys" [pool]="logs sys" [status]="logs privdir sys" [mkfs]="mkfs"
    [disk]="sys sparse" [overlay]="disk sys" [sparse]="sys" [workdir]="privdir sys" [users]="sys"
    [command]="users sys" [mold]="mkfs sparse sys" [template]="disk logs overlay privdir sparse sys"
    [maker]="command config disk fsprobe logs mkfs mold overlay sparse sys users workdir"
    [session]="disk fsprobe overlay privdir sparse sys" [export]="logs privdir sys" [clients]="sys" [logs]="sys" [fsprobe]="privdir sparse sys"
    [supply]="disk maker overlay pool status sys template" [register]="clients status sys" [keepalive]="sys" [descriptors]="" [minfree]="sys"
    [config]="disk privdir users mkfs minfree template session export clients status"
)
module=nbdkit-tmpdisk-plugin/tmpdisk
while read -r package imports; do
    room=${package#"$module"/} room=${room%%/*}
    case $room in
    internal) continue ;;
    esac
    [ -n "${may[$room]+listed}" ] || fail "$package: a new room: say here what it may import"
    [ -e "tmpdisk/${package#"$module"/}/doc.go" ] || fail "$package: no doc.go"
    for import in $imports; do
        case $import in
        "$module" | "$module"/*) ;;
        *) continue ;;
        esac
        other=${import#"$module"} other=${other#/} other=${other%%/*}
        case " ${may[$room]} $room " in
        *" $other "*) ;;
        *) fail "$package imports $import" ;;
        esac
    done
done < <("$GO" list -f '{{.ImportPath}} {{join .Imports " "}}' ./tmpdisk/... | grep -v "^$module ")
! "$GO" list -f '{{join .Imports "\n"}}' ./tmpdisk/... ./shellquote | grep -x C || fail "cgo below tmpdisk/"
! "$GO" list -deps ./plugin | grep tcell || fail "the plugin imports what only nbdkit-tmpdisk-top needs"
