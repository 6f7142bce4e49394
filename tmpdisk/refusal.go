// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package tmpdisk

import (
	"context"
	"errors"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/clients"
	"nbdkit-tmpdisk-plugin/tmpdisk/descriptors"
	"nbdkit-tmpdisk-plugin/tmpdisk/minfree"
	"nbdkit-tmpdisk-plugin/tmpdisk/register"
	"nbdkit-tmpdisk-plugin/tmpdisk/session"
	"nbdkit-tmpdisk-plugin/tmpdisk/session/keep"
	"nbdkit-tmpdisk-plugin/tmpdisk/status"
)

// logged is an error that is in the log already, or must not be.
type logged struct{ error }

func (l logged) Unwrap() error { return l.error }

// Logged is for the bindings, which log all other errors.
func (logged) Logged() bool { return true }

// refuse books that a client gets no disk of an export, whose tally it is, and returns
// err for it.
func (s *Server) refuse(export string, t *register.Tally, err error) error {
	why, err := refusal(err), descriptors.WithRemedy(err)
	t.Opens[why].Add(1)
	s.log.Log(why.String()+" "+export, err.Error())
	return logged{err}
}

// refusal is which kind of error kept a client from a disk.
func refusal(err error) status.Outcome {
	var lost *keep.LostError
	var none *noExport
	switch {
	case errors.As(err, &none):
		return status.RefusedUnknown
	case errors.Is(err, clients.ErrTooMany):
		return status.RefusedLimit
	case errors.Is(err, minfree.ErrTooLittle):
		return status.RefusedMinFree
	case errors.Is(err, unix.EMFILE), errors.Is(err, unix.ENFILE):
		return status.RefusedDescriptors
	case errors.As(err, &lost):
		return status.RefusedLost
	case errors.Is(err, unix.EBUSY):
		return status.RefusedSession
	case errors.Is(err, context.Canceled), errors.Is(err, unix.ESHUTDOWN):
		return status.RefusedGone
	}
	return status.RefusedFailed
}

// requestFailed books that a request failed, and returns err for its client.
func (s *Server) requestFailed(t *register.Tally, err error) error {
	switch {
	case errors.Is(err, unix.EOPNOTSUPP): // a fast zero that would not be: a normal answer
	case errors.Is(err, session.ErrFenced):
		t.Fenced.Add(1)
		s.log.Log("fenced", err.Error())
	default:
		var errno unix.Errno
		errors.As(err, &errno)
		s.log.Log("request "+errno.Error(), err.Error())
	}
	return logged{err}
}
