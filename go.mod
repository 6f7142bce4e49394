module nbdkit-tmpdisk-plugin

go 1.24.0

require (
	al.essio.dev/pkg/shellescape v1.6.1
	golang.org/x/sys v0.41.0
	libguestfs.org/nbdkit v0.0.0
)

replace libguestfs.org/nbdkit => ./nbdkit
