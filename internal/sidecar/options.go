package sidecar

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"path/filepath"
	"time"
)

// Options are all that a Server depends on. The zero value of a field is its default.
type Options struct {
	Listen []Endpoint // default: DefaultListen
	// SocketMode and SocketOwner are those of Unix sockets; default: 0600, and who runs the sidecar.
	SocketMode  fs.FileMode
	SocketOwner *Owner
	// Listeners with TLS show TLSCert, and want from each client what is given here, both if both are: a certificate
	// that ClientCA signed, and the bearer token in TokenFile.
	TLSCert, TLSKey, ClientCA string
	// TokenFile also protects requests that change something on loopback TCP. It does not protect Unix sockets.
	TokenFile string

	Dir          string // where the dump files and the state are; made if it is missing. Required.
	StateFile    string // default: strategy.json in Dir
	StrategyFile string // watched; default: none

	Usage            UsageSource   // nil: nothing is measured, so nothing is recorded
	SampleInterval   time.Duration // time between two of Usage's measurements, for warnings; default: not known
	UsageStaleAfter  time.Duration // age from which a reading is not believed; default: 5s
	ReportStaleAfter time.Duration // age from which a plugin that polled counts as gone; default: 15s

	EnvoyAdmin       string // http://HOST:PORT or unix:///PATH; default: none, so no configuration dumps
	EnvoyAdminRemote bool   // EnvoyAdmin may be another machine

	MaxPortraitBytes int64 // default: 1 MiB
	MaxConfigBytes   int64 // of Envoy's configuration; default: 16 MiB
	Rotation         Rotation

	Now    func() time.Time // default: time.Now
	Logger *slog.Logger     // default: none

	// For tests.
	limits     limits
	openFolder func(dir string) (dumpFolder, func() error, error)
	listen     func(ctx context.Context, e Endpoint) (net.Listener, Endpoint, error)
	writeState func(path string, data []byte) error
}

// limits bound what clients can make a Server hold.
type limits struct {
	headerTimeout time.Duration // to read the head of a request
	readTimeout   time.Duration // to read all of it
	writeTimeout  time.Duration // to answer
	idleTimeout   time.Duration // between requests
	shutdown      time.Duration // for requests in progress, and then for writes to the disk
	persist       time.Duration // that a request waits for the disk
	headerBytes   int
	connections   int // of each listener; one that is idle gives way to the next
	requests      int // at a time
	portraits     int // of them
	strategies    int // of them, to set one
	retry         time.Duration
	filePoll      time.Duration
	fileQuiet     time.Duration
}

// The defaults of Options.
const (
	DefaultSocketMode       fs.FileMode = 0o600
	DefaultUsageStaleAfter              = 5 * time.Second
	DefaultReportStaleAfter             = 15 * time.Second
	DefaultMaxPortraitBytes             = 1 << 20
	DefaultMaxConfigBytes               = 16 << 20
	DefaultMaxFileBytes                 = 64 << 20
	DefaultMaxFileAge                   = 24 * time.Hour
	DefaultMaxTotalBytes                = 512 << 20
)

// maxHeadBytes is more than what precedes a portrait or a configuration in its line.
const maxHeadBytes = 128

func (o Options) withDefaults() Options {
	if len(o.Listen) == 0 {
		o.Listen = []Endpoint{{Network: "tcp", Address: DefaultListen}}
	}
	if o.StateFile == "" {
		o.StateFile = filepath.Join(o.Dir, "strategy.json")
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.openFolder == nil {
		o.openFolder = openRootFolder
	}
	if o.writeState == nil {
		o.writeState = writeFileAtomically
	}
	orDefault(&o.SocketMode, DefaultSocketMode)
	if o.listen == nil {
		o.listen = func(ctx context.Context, e Endpoint) (net.Listener, Endpoint, error) {
			return e.listen(ctx, o.SocketMode, o.SocketOwner)
		}
	}
	orDefault(&o.UsageStaleAfter, DefaultUsageStaleAfter)
	orDefault(&o.ReportStaleAfter, DefaultReportStaleAfter)
	orDefault(&o.MaxPortraitBytes, DefaultMaxPortraitBytes)
	orDefault(&o.MaxConfigBytes, DefaultMaxConfigBytes)
	orDefault(&o.Rotation.MaxFileBytes, DefaultMaxFileBytes)
	orDefault(&o.Rotation.MaxAge, DefaultMaxFileAge)
	orDefault(&o.Rotation.MaxTotalBytes, DefaultMaxTotalBytes)
	orDefault(&o.limits.headerTimeout, 5*time.Second)
	orDefault(&o.limits.readTimeout, 15*time.Second)
	orDefault(&o.limits.writeTimeout, 30*time.Second)
	orDefault(&o.limits.idleTimeout, 20*time.Second)
	orDefault(&o.limits.shutdown, 3*time.Second)
	orDefault(&o.limits.persist, time.Second)
	orDefault(&o.limits.headerBytes, 32<<10)
	orDefault(&o.limits.connections, 128)
	orDefault(&o.limits.requests, 64)
	orDefault(&o.limits.portraits, 8)
	orDefault(&o.limits.strategies, 4)
	orDefault(&o.limits.retry, 5*time.Second)
	orDefault(&o.limits.filePoll, 10*time.Second)
	orDefault(&o.limits.fileQuiet, 100*time.Millisecond)
	return o
}

func orDefault[T comparable](value *T, fallback T) {
	var zero T
	if *value == zero {
		*value = fallback
	}
}

// Validate returns all that is wrong with the options, one error a line, or nil. It reads no files.
func (o Options) Validate() error {
	o = o.withDefaults()
	var errs []error
	wrong := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if o.Dir == "" {
		wrong("dir: want a folder")
	}
	for _, e := range o.Listen {
		if err := o.validateEndpoint(e); err != nil {
			errs = append(errs, err)
		}
	}
	if (o.TLSCert == "") != (o.TLSKey == "") {
		wrong("tls-cert, tls-key: want both or none")
	}
	if o.ClientCA != "" && o.TLSCert == "" {
		wrong("client-ca: want tls-cert and tls-key too")
	}
	if o.SocketMode&^0o777 != 0 {
		wrong("socket-mode: want permission bits only, up to 0777, got %#o", o.SocketMode)
	}
	for _, age := range []struct {
		name  string
		value time.Duration
	}{{"stale-after", o.UsageStaleAfter}, {"report-stale-after", o.ReportStaleAfter}, {"rotate-age", o.Rotation.MaxAge}} {
		if age.value < time.Millisecond {
			wrong("%s: want at least 1ms, got %v", age.name, age.value)
		}
	}
	if o.EnvoyAdmin != "" {
		if _, err := newEnvoyAdmin(o.EnvoyAdmin, o.EnvoyAdminRemote, o.MaxConfigBytes); err != nil {
			errs = append(errs, fmt.Errorf("envoy-admin: %w", err))
		}
	}
	errs = append(errs, o.validateSizes()...)
	return errors.Join(errs...)
}

func (o Options) validateEndpoint(e Endpoint) error {
	if e.Network != "tcp" {
		return nil
	}
	host, _, err := net.SplitHostPort(e.Address)
	if err != nil {
		return fmt.Errorf("listen: want HOST:PORT, got %q", e.Address)
	}
	if !e.TLS {
		if !isLoopbackHost(host) {
			return fmt.Errorf("listen: %s is not a loopback address, want TLS there", e)
		}
		return nil
	}
	if o.TLSCert == "" {
		return fmt.Errorf("listen: %s needs TLS, want tls-cert and tls-key, and client-ca or token-file", e)
	}
	if o.ClientCA == "" && o.TokenFile == "" {
		return fmt.Errorf("listen: %s is open to everybody, want client-ca or token-file", e)
	}
	return nil
}

func (o Options) validateSizes() (errs []error) {
	longest := max(o.MaxPortraitBytes, o.MaxConfigBytes) + maxHeadBytes
	for _, size := range []struct {
		name  string
		value int64
		least int64
		why   string
	}{
		{"max-portrait-bytes", o.MaxPortraitBytes, 2, ""},
		{"max-config-bytes", o.MaxConfigBytes, 2, ""},
		{"rotate-bytes", o.Rotation.MaxFileBytes, longest, ", the longest line"},
		{"total-bytes", o.Rotation.MaxTotalBytes, (dumpFileCount + 1) * o.Rotation.MaxFileBytes, ", four files"},
	} {
		if size.value < size.least {
			errs = append(errs, fmt.Errorf("%s: want at least %d%s, got %d", size.name, size.least, size.why, size.value))
		}
	}
	return errs
}
